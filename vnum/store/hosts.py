"""Host numbers in PostgreSQL, and what is held on them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from asyncpg import Record

from vnum.model.hosts import Host, HostState
from vnum.model.instants import FOREVER
from vnum.store.database import Database
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
    added = await database.fetchval(
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


async def set_state(database: Database, number: str, state: HostState) -> None:
    await database.execute(SQL["set_host_state"], number, state)


async def live_on(database: Database, host: Host, now: datetime | None) -> int:
    """Live bindings of the host."""
    return int(await database.fetchval(SQL["live_on_host"], host.cell, host.host, now))


async def held_on(database: Database, host: Host, now: datetime) -> list[tuple[str, datetime]]:
    """(extension, held until) of the slots that may not be bound at `now`; FOREVER = never again."""
    records = await database.fetch(SQL["held_on_host"], host.cell, host.host, now)
    return [(record["extension"], _aware(record["held_until"])) for record in records]


async def occupancy(database: Database, now: datetime | None) -> list[Record]:
    return await database.fetch(SQL["occupancy"], now)


async def shortage(database: Database, cell: int, numbers: Sequence[str], now: datetime) -> tuple[int, int]:
    """(live, quarantined) slots on these hosts."""
    record = await database.fetchrow(SQL["shortage"], cell, numbers, now)
    assert record is not None
    return record["live"], record["quarantined"]


async def writers_open(database: Database) -> set[str]:
    """The transactions of other sessions that are open now."""
    return {record["virtualtransaction"] for record in await database.fetch(SQL["writers_open"])}


def _aware(instant: datetime) -> datetime:
    """asyncpg gives infinity without a zone."""
    return instant if instant.tzinfo else FOREVER
