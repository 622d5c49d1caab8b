"""The blacklist in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec.structs import astuple

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("blacklist")


class Row(msgspec.Struct, frozen=True):
    """One entry; fields in the order of the statement."""

    blacklist_id: UUID
    phone_hash: bytes
    direction: str
    merchant_id: str
    phone: bytes
    reason: str | None
    created_at: datetime
    created_by: str


async def add(connection: Connection, row: Row) -> tuple[Record, bool]:
    """The entry as it stands, and whether it is new."""
    added = await connection.fetchrow(SQL["add"], *astuple(row))
    if added is not None:
        return added, True
    there = await connection.fetchrow(SQL["entry"], row.phone_hash, row.direction, row.merchant_id)
    assert there is not None, "nobody takes it away within a transaction's first two statements and is not seen"
    return there, False


async def page(database: Database, merchants: Sequence[str] | None, after: UUID, limit: int) -> list[Record]:
    """Behind `after`, without their phones. None = of all merchants, and those for all."""
    return await database.fetch(SQL["page"], merchants, after, limit)


async def phones(database: Database, blacklist_ids: Sequence[UUID]) -> dict[UUID, bytes]:
    """Sealed, of each."""
    records = await database.fetch(SQL["phones"], blacklist_ids)
    return {record["blacklist_id"]: record["phone"] for record in records}


async def remove(connection: Connection, blacklist_id: UUID, merchants: Sequence[str] | None) -> bool:
    return await connection.fetchval(SQL["remove"], blacklist_id, merchants) is not None
