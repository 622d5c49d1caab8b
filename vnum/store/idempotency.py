"""Answers kept for 24 hours under a caller's Idempotency-Key."""

from asyncpg import Record

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("idempotency")


async def claim(database: Database, scope: str, key: str, body_hash: bytes, tie: bytes | None) -> Record | None:
    """None = the key is this request's now; else what stands there (status 0 = claimed, not answered yet)."""
    if await database.fetchval(SQL["claim"], scope, key, body_hash, tie):
        return None
    return await database.fetchrow(SQL["claimed"], scope, key)


async def keep(
    connection: Connection | Database, scope: str, key: str, body_hash: bytes, status: int, body: bytes
) -> bool:
    """False = an answer stands there already."""
    return await connection.fetchval(SQL["keep_answer"], scope, key, body_hash, status, body) is not None


async def forget(database: Database) -> None:
    """Drops what is older than 24 hours."""
    await database.execute(SQL["forget_answers"])
