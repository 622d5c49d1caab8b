"""Host numbers in PostgreSQL, and what is held on them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from asyncpg import Record

from vnum.model.hosts import Host, HostState
from vnum.store.database import Database, aware
from vnum.store.queries import queries

SQL = queries("hosts")


def _host(record: Record) -> Host:
    return msgspec.convert({name: record[name] for name in Host.__struct_fields__}, Host)


async def hosts(database: Database) -> list[Host]:
    return [_host(record) for record in await database.fetch(SQL["hosts"])]


async def host(database: Database, number: str) -> Host | None:
    record = await database.fetchrow(SQL["host"], number)
    return _host(record) if record else None


async def newest_revision(database: Database) -> int:
    """Rises with every change to a host."""
    return int(await database.fetchval(SQL["newest_revision"]))


async def hosts_by_cell(database: Database) -> dict[int, int]:
    return {record["cell"]: record["hosts"] for record in await database.fetch(SQL["hosts_by_cell"])}


async def add(database: Database, host: Host, now: datetime | None) -> bool:
    """False = it is registered already."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(SQL["alone"])
        added = await connection.fetchval(
            SQL["add_host"],
            host.host,
            host.cell,
            host.city,
            host.carrier,
            host.plan,
            host.ext_digits,
            host.ext_check,
            host.quarantine_days,
            host.max_live,
            now,
        )
    return added is not None


async def set_state(database: Database, number: str, state: HostState, still: int | None = None) -> int | None:
    """The new revision; None = its revision is no longer `still`, and nothing was changed."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(SQL["alone"])
        revision: int | None = await connection.fetchval(SQL["set_host_state"], number, state, still)
    return revision


async def live_on(database: Database, host: Host, now: datetime | None, apart: Sequence[str] = ()) -> int:
    """Live bindings of the host, those on some extensions not counted."""
    return int(await database.fetchval(SQL["live_on_host"], host.cell, host.host, now, apart))


async def held_on(
    database: Database, host: Host, now: datetime, apart_from: Sequence[tuple[int, int]] = ()
) -> list[tuple[str, datetime]]:
    """(extension, held until) of the slots that may not be bound at `now`; FOREVER = never again.

    `apart_from` = (order, recipient) as holders: the slots that these held last as well.
    """
    orders, recipients = zip(*apart_from, strict=True) if apart_from else ((), ())
    records = await database.fetch(SQL["held_on_host"], host.cell, host.host, now, orders, recipients)
    return [(record["extension"], aware(record["held_until"])) for record in records]


async def occupancy(database: Database, now: datetime | None) -> list[Record]:
    return await database.fetch(SQL["occupancy"], now)


async def use_of(database: Database, cell: int, numbers: Sequence[str], now: datetime) -> dict[str, tuple[int, int]]:
    """Host -> (live, quarantined) slots."""
    records = await database.fetch(SQL["use_of_hosts"], cell, numbers, now)
    return {record["host"]: (record["live"], record["quarantined"]) for record in records}
