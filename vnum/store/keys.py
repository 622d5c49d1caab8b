"""API keys, by their id: hashes of their secrets, or sealed ones; and the nonces of signed requests."""

from collections.abc import Sequence
from datetime import date, datetime

from asyncpg import Record

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("keys")

FORGOTTEN_AT_ONCE = 10_000


async def add(connection: Connection, *columns: object) -> None:
    """key_id, secret_hash, secret_sealed (one of them), role, merchants, carrier, note, now, expires_at, rate_per_s."""
    await connection.execute(SQL["add_key"], *columns)


async def key(database: Database, key_id: str, simulated: datetime | None) -> Record | None:
    """What its requests are checked against, unless it was revoked; it may have expired."""
    return await database.fetchrow(SQL["key"], key_id, simulated)


async def rotate(
    connection: Connection, key_id: str, secret: tuple[bytes | None, bytes | None], now: datetime, until: datetime
) -> bool:
    """`secret` = (hash, sealed), one of them. False = no such key of that kind is in force."""
    signed = secret[1] is not None
    return await connection.fetchval(SQL["rotate_key"], key_id, *secret, now, until, signed) is not None


async def change(connection: Connection, key_id: str, now: datetime, changes: Sequence[tuple[bool, object]]) -> bool:
    """note, expires_at, rate_per_s: whether it is changed, and to what. False = no such key is in force."""
    flat = [value for change in changes for value in change]
    return await connection.fetchval(SQL["change_key"], key_id, now, *flat) is not None


async def revoke(connection: Connection, key_id: str, now: datetime) -> bool:
    return await connection.fetchval(SQL["revoke_key"], key_id, now) is not None


async def keys(database: Database, after: str, most: int, only: str | None = None) -> list[Record]:
    return await database.fetch(SQL["keys"], after, most, only)


async def used(database: Database, key_id: str, day: date) -> None:
    await database.execute(SQL["used"], key_id, day)


async def revoke_noted(connection: Connection, note: str, now: datetime) -> list[str]:
    """The keys that were."""
    return [record["key_id"] for record in await connection.fetch(SQL["revoke_noted_keys"], note, now)]


async def take_nonces(
    database: Database, keys: Sequence[str], nonces: Sequence[str], until: Sequence[datetime]
) -> list[Record]:
    """Those that are good: nobody had them before."""
    return await database.fetch(SQL["take_nonces"], keys, nonces, until)


async def forget_nonces(database: Database, now: datetime) -> None:
    """Those whose requests are too old by now."""
    await database.execute(SQL["forget_nonces"], now, FORGOTTEN_AT_ONCE)
