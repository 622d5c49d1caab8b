"""What became of calls, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from vnum.model.ids import cell_in
from vnum.store.database import Database
from vnum.store.queries import queries

SQL = queries("lives")


async def key(database: Database, cell: int, call_id: str) -> Record | None:
    return await database.fetchrow(SQL["key"], cell, call_id)


async def tries(database: Database, call_id: str) -> list[Record]:
    return await database.fetch(SQL["tries"], call_id)


async def bindings(database: Database, ids: Sequence[UUID]) -> dict[UUID, Record]:
    """merchant_id, order_id, host, extension, by binding."""
    records = await database.fetch(SQL["bindings"], [cell_in(one) for one in ids], list(ids))
    return {record["binding_id"]: record for record in records}


async def record(database: Database, cell: int, biz_at: datetime, call_id: str) -> Record | None:
    return await database.fetchrow(SQL["record"], cell, biz_at, call_id)


async def not_taken(database: Database, cell: int, call_id: str) -> list[Record]:
    return await database.fetch(SQL["not_taken"], cell, call_id)


async def unrecorded(database: Database, now: datetime, after: tuple[datetime, str], limit: int) -> list[Record]:
    """Overdue at `now`, behind `after` (overdue_at, call id)."""
    return await database.fetch(SQL["unrecorded"], now, *after, limit)


async def count_unrecorded(database: Database, now: datetime, most: int) -> int:
    return int(await database.fetchval(SQL["count_unrecorded"], now, most))
