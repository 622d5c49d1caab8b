"""Calls in PostgreSQL: whom a dialled slot reaches, and what the switch reported."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec.structs import astuple

from vnum.finance import Rated
from vnum.model.ids import cell_in
from vnum.store.audit import entry_id
from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("calls")
FORGOTTEN = b""
"""The content of a record whose caller is kept no more: it is charged, and no other record equals it."""


class Filed(msgspec.Struct, frozen=True, gc=False):
    """One rated record; fields in the order of the type call_filed. `rated` is shared with calls of the same price.

    The caller is sealed by `key_id`; None when the key of the call's month is destroyed.
    """

    call_cell: int
    call_id: str
    content: bytes
    cell: int
    host: str
    extension: str | None
    binding_id: UUID
    merchant_id: str
    order_id: str
    caller: bytes | None
    caller_hash: bytes | None
    call_time: datetime
    ring_time: datetime | None
    answer_time: datetime | None
    release_time: datetime
    release_dir: int | None
    release_cause: int | None
    rated: Rated
    key_id: int

    @property
    def biz_at(self) -> datetime:
        """Dates the call: the answer, or the dial when nobody answered."""
        return self.answer_time or self.call_time


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What names a record's binding; fields in the order of the type call_asked."""

    call_cell: int
    call_id: str
    cell: int
    host: str
    extension: str | None
    binding_id: UUID | None
    call_time: datetime | None
    from_id: UUID | None
    to_id: UUID | None
    biz_at: datetime


class Chosen(msgspec.Struct, frozen=True, gc=False):
    """A call that is connected: to which binding, whose number the switch `by` is told. `cell` is the host's."""

    call_cell: int
    call_id: str
    binding_id: UUID
    cell: int
    at: datetime
    by: str


async def route(
    database: Database, cell: int, asked: Sequence[tuple[str, str, bytes, datetime | None]]
) -> list[Record]:
    """One record a (host, extension, caller hash, simulated now), in order."""
    records = await database.fetch(SQL["route"], cell, *zip(*asked, strict=True))
    return sorted(records, key=lambda record: record["n"])


async def remember_routes(database: Database, rows: Sequence[Chosen]) -> None:
    """The last one of a call counts; that its number was read is written for each, an entry a cell."""
    calls = {(row.call_cell, row.call_id): row for row in rows}
    cells = {row.cell: row.at for row in rows}
    await database.execute(
        SQL["remember_routes"],
        *zip(*((*call, row.binding_id) for call, row in calls.items()), strict=True),
        *zip(*((row.cell, row.by, str(row.binding_id)) for row in rows), strict=True),
        *zip(*((cell, entry_id(cell, at), at) for cell, at in cells.items()), strict=True),
    )


async def wrong_extension(
    database: Database,
    cell: int,
    host: str,
    caller_hash: bytes,
    call_id: str,
    digits: str,
    since: datetime,
    now: datetime,
) -> tuple[int, int]:
    """(wrong ones in this call, wrong ones by this caller on this host since then), this one included."""
    record = await database.fetchrow(SQL["wrong_extension"], cell, host, caller_hash, call_id, digits, since, now)
    assert record is not None
    return record["in_call"], record["in_window"]


async def lock_out(database: Database, cell: int, host: str, caller_hash: bytes, until: datetime) -> None:
    await database.execute(SQL["lock_out"], cell, host, caller_hash, until)


async def resolve(database: Database, asked: Sequence[Asked]) -> list[Record]:
    """One record a call, in order: its binding, if any, and what is known of the call."""
    records = await database.fetch(SQL["resolve_records"], list(map(astuple, asked)))
    return sorted(records, key=lambda record: record["n"])


async def file(database: Database, rows: Sequence[Filed]) -> set[str]:
    """The call ids that were taken; the others had a record already. All rows are sealed by one key."""
    prices = {id(row.rated): row.rated for row in rows}
    place = {price: n for n, price in enumerate(prices, start=1)}
    items = [(*astuple(row)[:-2], place[id(row.rated)]) for row in rows]
    records = await database.fetch(SQL["file_records"], items, list(map(astuple, prices.values())), rows[0].key_id)
    return {record["call_id"] for record in records}


async def locate(database: Database | Connection, keys: Sequence[tuple[int, str]]) -> list[tuple[int, datetime, str]]:
    """The whole keys (cell, biz_at, call id) of filed calls, by (call cell, call id); no others."""
    records = await database.fetch(SQL["call_keys"], *_unzipped(keys, 2))
    return [(cell_in(record["binding_id"]), record["biz_at"], record["call_id"]) for record in records]


async def at(database: Database | Connection, keys: Sequence[tuple[int, datetime, str]]) -> dict[str, Record]:
    """Filed calls by their ids, out of their whole keys; the caller sealed."""
    return {record["call_id"]: record for record in await database.fetch(SQL["calls_at"], *_unzipped(keys, 3))}


async def payer(database: Database | Connection, key: tuple[int, datetime, str]) -> str | None:
    """The merchant who pays for the call of a whole key; None = there is none that whoever acts may see."""
    merchant_id: str | None = await database.fetchval(SQL["payer"], *key)
    return merchant_id


async def of_merchant(
    database: Database,
    merchant_id: str,
    since: datetime,
    until: datetime,
    order_id: str | None,
    after: tuple[datetime, str],
    limit: int,
) -> list[Record]:
    """A merchant's calls in [since, until) behind `after` (biz_at, call id)."""
    return await database.fetch(SQL["calls_of_merchant"], merchant_id, since, until, order_id, *after, limit)


def _unzipped(keys: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[key[n] for key in keys] for n in range(width)]


async def forget_wrong(database: Database, wrong_before: datetime, now: datetime) -> None:
    """Drops wrong extensions and locks that count no more."""
    await database.execute(SQL["forget_wrong_extensions"], wrong_before)
    await database.execute(SQL["forget_lockouts"], now)
