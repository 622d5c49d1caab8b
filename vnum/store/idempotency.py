"""Answers kept for 24 hours under a caller's Idempotency-Key."""

from asyncpg import Record

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("idempotency")


async def kept(database: Database, scope: str, key: str) -> Record | None:
    return await database.fetchrow(SQL["kept_answer"], scope, key)


async def keep(
    connection: Connection | Database, scope: str, key: str, body_hash: bytes, status: int, body: bytes
) -> bool:
    """False = an answer stands there already."""
    return await connection.fetchval(SQL["keep_answer"], scope, key, body_hash, status, body) is not None


async def forget(database: Database) -> None:
    """Drops what is older than 24 hours."""
    await database.execute(SQL["forget_answers"])
