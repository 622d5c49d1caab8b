"""Marks of calls in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec.structs import astuple

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("marks")


class Row(msgspec.Struct, frozen=True):
    """One mark; fields in the order of the statement. Hashes are null where nothing is known any more."""

    cell: int
    call_id: str
    mark: str
    marked_at: datetime
    binding_id: UUID
    merchant_id: str
    caller_hash: bytes | None
    recipient_hash: bytes | None


async def routed(database: Database, cell: int, call_id: str) -> Record | None:
    return await database.fetchrow(SQL["routed"], cell, call_id)


async def parties(
    database: Database, cell: int, binding_id: UUID, biz_at: datetime | None, call_id: str
) -> Record | None:
    return await database.fetchrow(SQL["parties"], cell, binding_id, biz_at, call_id)


async def add(connection: Connection, row: Row) -> bool:
    """False = it is there."""
    return await connection.fetchval(SQL["add"], *astuple(row)) is not None


async def complaints(connection: Connection, recipient_hash: bytes, merchant_id: str, since: datetime) -> int:
    """Call it in the transaction that added the last."""
    return int(await connection.fetchval(SQL["complaints"], recipient_hash, merchant_id, since))


async def complain_in_turn(connection: Connection, recipient_hash: bytes) -> None:
    await connection.execute(SQL["complain_in_turn"], recipient_hash)


async def of_calls(database: Database | Connection, keys: Sequence[tuple[int, str]]) -> list[Record]:
    return await database.fetch(SQL["of_calls"], [cell for cell, _ in keys], [call_id for _, call_id in keys])


async def forget_parties(database: Database, before: datetime) -> None:
    await database.execute(SQL["forget_parties"], before)


async def sums(database: Database, merchant_id: str, since: datetime, until: datetime) -> list[Record]:
    return await database.fetch(SQL["sums"], merchant_id, since, until)
