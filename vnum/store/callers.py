"""Registered callers in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec.structs import astuple

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("callers")


class Row(msgspec.Struct, frozen=True):
    """One entry; fields in the order of the statement."""

    caller_id: UUID
    phone_hash: bytes
    caller_class: str
    merchant_id: str
    carrier: str
    group: str | None
    verified: bool | None
    phone: bytes
    created_at: datetime
    created_by: str


async def register(connection: Connection, row: Row) -> Record:
    """The entry as it stands now; its caller_id is another than the row's if it was there before."""
    record = await connection.fetchrow(SQL["register"], *astuple(row))
    assert record is not None
    return record


async def page(
    database: Database, merchants: Sequence[str] | None, after: UUID, limit: int, since: datetime
) -> list[Record]:
    """Behind `after`, each with its number of complaints since then. None = of all merchants, and couriers."""
    return await database.fetch(SQL["page"], merchants, after, limit, since)


async def remove(connection: Connection, caller_id: UUID, merchants: Sequence[str] | None) -> bool:
    return await connection.fetchval(SQL["remove"], caller_id, merchants) is not None
