"""Routed calls in PostgreSQL: what they are decided by, and what was decided."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec.structs import astuple

from vnum.model.cells import cell_of_hash
from vnum.store.audit import entry_id
from vnum.store.database import Database, trying_again
from vnum.store.queries import queries

SQL = queries("routes")


class Connected(msgspec.Struct, frozen=True, gc=False):
    """A call that goes through, and that no cap is to judge; fields in the order of the statement's arrays."""

    call_cell: int
    call_id: str
    binding_id: UUID
    caller_hash: bytes
    actor: str
    at: datetime
    overdue_at: datetime


class ConnectedBack(msgspec.Struct, frozen=True, gc=False):
    """A call back; fields in the order of the statement's arrays."""

    call_cell: int
    call_id: str
    binding_id: UUID
    actor: str
    at: datetime
    overdue_at: datetime


class Filed(msgspec.Struct, frozen=True, gc=False):
    """Any other decided call; fields in the order of the type route_decided, less n. code "" = connect."""

    call_cell: int
    call_id: str
    host: str
    caller_hash: bytes
    digits: str
    actor: str
    at: datetime
    code: str
    caller_class: str
    binding_id: UUID | None
    merchant_id: str
    order_id: str
    attempt_id: UUID
    counts: bool
    since: datetime
    most: int
    lock_until: datetime
    recipient_cell: int
    recipient_hash: bytes | None
    hour_ago: datetime
    day_ago: datetime
    caps: list[int] | None
    overdue_at: datetime


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """What a call came to that is not connected: why, its how manieth try of the call this was, and whether it locked
    the caller out."""

    code: str
    in_call: int
    locks: bool


async def look_up(
    database: Database, cell: int, asked: Sequence[tuple[str, str, bytes, datetime | None]]
) -> list[Record]:
    """One record a (host, extension, caller hash, simulated now), in order."""
    records = await database.fetch(SQL["look_up"], cell, *zip(*asked, strict=True))
    return sorted(records, key=lambda record: record["n"])


async def connect(database: Database, cell: int, rows: Sequence[Connected]) -> None:
    """Files them in one commit. Of rows none may share a call."""
    await _connect(database, "connect", cell, rows)


async def connect_back(database: Database, cell: int, rows: Sequence[ConnectedBack]) -> None:
    """Files them in one commit. Of rows none may share a call."""
    await _connect(database, "connect_back", cell, rows)


async def _connect(database: Database, statement: str, cell: int, rows: Sequence[Connected | ConnectedBack]) -> None:
    columns = zip(*map(astuple, rows), strict=True)
    at = max(row.at for row in rows)
    entry = entry_id(cell, at)
    async for attempt in trying_again():
        with attempt:
            await database.execute(SQL[statement], cell, *columns, entry, at)


async def call_back(
    database: Database, cell: int, asked: Sequence[tuple[str, bytes, datetime | None]], window: timedelta
) -> list[list[Record]]:
    """For each (host, caller hash, simulated now), in order, the live bindings of that phone on the host."""
    found: list[list[Record]] = [[] for _ in asked]
    for record in await database.fetch(SQL["call_back"], cell, *zip(*asked, strict=True), window):
        found[record["n"] - 1].append(record)
    return found


async def file(database: Database, cell: int, rows: Sequence[Filed]) -> dict[int, Refusal]:
    """Files them in one commit; the refusals by position, the others are connected. Of rows none may share a call, a
    capped recipient, or (if refused) a caller of a host."""
    items = [(n, *astuple(row)) for n, row in enumerate(rows)]
    at = max(row.at for row in rows)
    entry = entry_id(cell, at)
    records: list[Record] = []
    async for attempt in trying_again():
        with attempt:
            records = await database.fetch(SQL["file"], cell, items, entry, at)
    return {record["n"]: Refusal(record["code"], record["in_call"], record["locks"]) for record in records}


async def contacts(
    database: Database, recipient_hash: bytes, merchant_id: str, hour_ago: datetime, day_ago: datetime, cells: int
) -> tuple[int, int, int, int]:
    """Connected calls to a recipient: the merchant's within an hour and a day, everybody's within an hour and a day."""
    cell = cell_of_hash(cells, recipient_hash)
    record = await database.fetchrow(SQL["contacts"], cell, recipient_hash, merchant_id, hour_ago, day_ago)
    return (0, 0, 0, 0) if record is None else (record[0], record[1], record[2], record[3])


async def forget(database: Database, wrong_before: datetime, now: datetime, contacts_before: datetime) -> None:
    """Drops wrong extensions, locks and contacts that count no more."""
    await database.execute(SQL["forget_wrong_extensions"], wrong_before)
    await database.execute(SQL["forget_lockouts"], now)
    await database.execute(SQL["forget_contacts"], contacts_before)


async def forget_reached(database: Database, cell: int, first: UUID) -> None:
    await database.execute(SQL["forget_reached"], cell, first)


async def forget_attempts(database: Database, cell: int, first: UUID, most: int) -> int:
    """Drops up to `most` refused calls with ids before `first`; how many."""
    done = await database.execute(SQL["forget_attempts"], cell, first, most)
    return int(done.rpartition(" ")[2])


async def attempts(
    database: Database, merchant_id: str, since: datetime, until: datetime, after: tuple[datetime, UUID], limit: int
) -> list[Record]:
    """A merchant's refused calls in [since, until) behind `after` (at, attempt id)."""
    return await database.fetch(SQL["attempts"], merchant_id, since, until, *after, limit)
