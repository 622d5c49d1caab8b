"""Calls in PostgreSQL: what the switch reported."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec.structs import astuple

from vnum.finance import Rated
from vnum.model.ids import cell_in
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


async def resolve(database: Database, asked: Sequence[Asked]) -> list[Record]:
    """One record a call, in order: its binding, if any, and what is known of the call."""
    records = await database.fetch(SQL["resolve_records"], list(map(astuple, asked)))
    return sorted(records, key=lambda record: record["n"])


async def file(database: Database, rows: Sequence[Filed], now: datetime) -> set[str]:
    """The call ids that were taken; the others had a record already. All rows are sealed by one key."""
    prices = {id(row.rated): row.rated for row in rows}
    place = {price: n for n, price in enumerate(prices, start=1)}
    items = [(*astuple(row)[:-2], place[id(row.rated)]) for row in rows]
    priced = list(map(astuple, prices.values()))
    records = await database.fetch(SQL["file_records"], items, priced, rows[0].key_id, now)
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
