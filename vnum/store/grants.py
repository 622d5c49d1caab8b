"""Grants: for which merchants a service provider's key may act."""

from datetime import datetime

from asyncpg import Record

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("grants")


async def give(connection: Connection, merchant_id: str, isv: str, now: datetime, by: str) -> bool:
    """False = it is granted already."""
    return await connection.fetchval(SQL["grant"], merchant_id, isv, now, by) is not None


async def withdraw(connection: Connection, merchant_id: str, isv: str, now: datetime, by: str) -> bool:
    """False = no grant is in force."""
    return await connection.fetchval(SQL["withdraw"], merchant_id, isv, now, by) is not None


async def newest(connection: Connection, merchant_id: str, isv: str) -> Record | None:
    return await connection.fetchrow(SQL["newest"], merchant_id, isv)


async def page(database: Database, merchant_id: str, before: int, most: int) -> list[Record]:
    return await database.fetch(SQL["grants"], merchant_id, before, most)


async def parties(connection: Connection, merchant_id: str, isv: str, now: datetime) -> tuple[bool, bool]:
    """Whether there is such a merchant, and such a key."""
    record = await connection.fetchrow(SQL["parties"], merchant_id, isv, now)
    assert record is not None
    return record["merchant"], record["isv"]
