"""Data keys in PostgreSQL, wrapped."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime

import msgspec

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("data_keys")


class WrappedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A row; `wrapped` None = destroyed."""

    key_id: int
    purpose: str
    month: date | None
    wrapped: bytes | None
    master_id: int
    made_at: datetime
    destroyed_at: datetime | None


async def all_of(database: Database | Connection) -> list[WrappedKey]:
    """Every key that ever was, by id."""
    return [WrappedKey(**dict(record)) for record in await database.fetch(SQL["data_keys"])]


@asynccontextmanager
async def alone(database: Database) -> AsyncIterator[Connection]:
    """A transaction in which nobody else changes the keys."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(SQL["lock_data_keys"])
        yield connection


async def add(connection: Connection, purpose: str, month: date | None, wrapped: bytes, master_id: int) -> None:
    """The first one of a purpose and month counts."""
    await connection.execute(SQL["add_data_key"], purpose, month, wrapped, master_id)


async def file(connection: Connection, key_id: int, purpose: str, wrapped: bytes, master_id: int) -> None:
    """One that was in use before, under its id."""
    await connection.execute(SQL["file_data_key"], key_id, purpose, wrapped, master_id)


async def rewrap(connection: Connection, wrapped: Mapping[int, bytes], master_id: int) -> None:
    """Puts what another master key wrapped in the place of what stands there, by key id."""
    await connection.execute(SQL["rewrap_data_keys"], list(wrapped), list(wrapped.values()), master_id)


async def proofs(database: Database | Connection) -> dict[int, bytes]:
    """Master key id -> proof, of a database that was sealed before data keys had rows of their own."""
    return {record["key_id"]: record["proof"] for record in await database.fetch(SQL["proofs"])}
