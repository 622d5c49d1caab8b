"""What is forgotten in PostgreSQL: people out of rows, keys, and in the end the rows."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("retention")


async def months(database: Database) -> list[Record]:
    """month, made_at and destroyed_at of its key, calls_emptied_at, bindings_emptied_at, dropped_at; oldest first."""
    return await database.fetch(SQL["months"])


async def ends_after(database: Database, cell: int, ids: tuple[UUID, UUID], instant: datetime) -> bool:
    """Whether a binding of the ids in [first, second) ends later."""
    return bool(await database.fetchval(SQL["binding_ends_after"], cell, *ids, instant))


async def destroy_key(connection: Connection, month: date, now: datetime, master_id: int) -> bool:
    """False = it was destroyed before."""
    return bool(await connection.fetchval(SQL["destroy_key"], month, now, master_id))


async def empty_bindings(
    connection: Connection | Database, cell: int, after: UUID, before: UUID, most: int
) -> list[UUID]:
    """The ids that were looked at, in order; fewer than `most` = that was all."""
    return [record["binding_id"] for record in await connection.fetch(SQL["empty_bindings"], cell, after, before, most)]


async def empty_calls(
    connection: Connection, cell: int, after: tuple[datetime, str], before: datetime, most: int
) -> list[tuple[datetime, str]]:
    """The same of calls, by (biz_at, call id)."""
    records = await connection.fetch(SQL["empty_calls"], cell, *after, before, most)
    return [(record["biz_at"], record["call_id"]) for record in records]


async def forget_contents(connection: Connection, keys: Sequence[tuple[int, str]]) -> None:
    """By (call cell, call id)."""
    await connection.execute(SQL["forget_contents"], [cell for cell, _ in keys], [call_id for _, call_id in keys])


async def forget_routed(connection: Connection, before: UUID) -> None:
    await connection.execute(SQL["forget_routed"], before)


async def records_between(
    database: Database | Connection, cell: int, after: UUID, before: UUID, most: int
) -> list[Record]:
    """review_id, record, key_id."""
    return await database.fetch(SQL["records_between"], cell, after, before, most)


async def forget_records(
    database: Database | Connection, cell: int, ids: Sequence[UUID], now: datetime, by: str, why: str
) -> None:
    await database.execute(SQL["forget_records"], cell, ids, now, by, why)


async def calls_emptied(connection: Connection, month: date, now: datetime) -> bool:
    return bool(await connection.fetchval(SQL["calls_emptied"], month, now))


async def bindings_emptied(connection: Connection, month: date, now: datetime) -> bool:
    return bool(await connection.fetchval(SQL["bindings_emptied"], month, now))


async def forget_audit(database: Database, cell: int, before: datetime) -> int:
    return int(await database.fetchval(SQL["forget_audit"], cell, before))


async def forget_logs(database: Database, cell: int, before: datetime, most: int) -> tuple[int, int, int]:
    """Prints, events of orders, changes of recipients; fewer than `most` = that were all."""
    prints, events, changes = await database.fetchval(SQL["forget_logs"], cell, before, most)
    return prints, events, changes


async def drop_month(connection: Connection, month: date, now: datetime) -> bool:
    """False = there is nothing to drop, or something that is still needed."""
    return bool(await connection.fetchval(SQL["drop_month"], month, now))
