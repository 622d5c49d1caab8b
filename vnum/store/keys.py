"""API keys, by their id; of the secret only a hash is kept."""

from asyncpg import Record

from vnum.store.database import Database
from vnum.store.queries import queries

SQL = queries("keys")


async def add(
    database: Database,
    key_id: str,
    secret_hash: bytes,
    role: str,
    merchants: list[str] | None,
    carrier: str | None,
    note: str | None,
) -> None:
    await database.execute(SQL["add_key"], key_id, secret_hash, role, merchants, carrier, note)


async def key(database: Database, key_id: str) -> Record | None:
    """secret_hash, role, merchants, carrier of a key in force."""
    return await database.fetchrow(SQL["key"], key_id)


async def revoke(database: Database, key_id: str) -> bool:
    return await database.fetchval(SQL["revoke_key"], key_id) is not None


async def keys(database: Database) -> list[Record]:
    return await database.fetch(SQL["keys"])


async def revoke_noted(database: Database, note: str) -> None:
    await database.execute(SQL["revoke_noted_keys"], note)
