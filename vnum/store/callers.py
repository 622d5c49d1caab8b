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


async def page(database: Database, merchants: Sequence[str] | None, after: UUID, limit: int) -> list[Record]:
    """Behind `after`, without their phones. None = of all merchants, and couriers."""
    return await database.fetch(SQL["page"], merchants, after, limit)


async def known_of(database: Database, caller_ids: Sequence[UUID], since: datetime) -> dict[UUID, tuple[bytes, int]]:
    """(sealed phone, complaints since then) of each."""
    records = await database.fetch(SQL["known_of"], caller_ids, since)
    return {record["caller_id"]: (record["phone"], record["complaints"]) for record in records}


async def remove(connection: Connection, caller_id: UUID, merchants: Sequence[str] | None) -> bool:
    return await connection.fetchval(SQL["remove"], caller_id, merchants) is not None
