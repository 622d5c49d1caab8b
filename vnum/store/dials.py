"""Ordered calls in PostgreSQL, and what switches tell of calls while they run."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record
from msgspec.structs import astuple

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("dials")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One order; fields in the order of the statement."""

    cell: int
    call_id: str
    merchant_id: str
    order_id: str
    binding_id: UUID
    host: str
    extension: str
    key_id: int
    agent: bytes
    agent_hash: bytes
    ordered_by: str
    ordered_at: datetime
    take_by: datetime


async def order_in_turn(connection: Connection, merchant_id: str) -> None:
    await connection.execute(SQL["order_in_turn"], merchant_id)


async def ordered_since(connection: Connection, merchant_id: str, since: datetime) -> Record:
    """orders, oldest."""
    record = await connection.fetchrow(SQL["ordered_since"], merchant_id, since)
    assert record is not None
    return record


async def order(connection: Connection, row: Row) -> None:
    """And wakes whoever waits for it, at the commit."""
    await connection.execute(SQL["order"], *astuple(row))
    await connection.execute(SQL["ring"])


async def take(
    database: Database, cell: int, now: datetime, silent_since: datetime, by: str, most: int
) -> list[Record]:
    return await database.fetch(SQL["take"], cell, now, silent_since, by, most)


async def give_up(
    database: Database, cell: int, now: datetime, silent_since: datetime, lost_since: datetime, codes: tuple[str, str]
) -> list[str]:
    """The codes of those that were given up."""
    records = await database.fetch(SQL["give_up"], cell, now, silent_since, lost_since, *codes)
    return [record["code"] for record in records]


async def settle(database: Database, cell: int, since: datetime) -> None:
    await database.execute(SQL["settle"], cell, since)


async def tell(
    database: Database, told: Sequence[tuple[int, str, str, datetime]], now: datetime, failure: str
) -> list[Record]:
    """call_id and state of what is new; moved = the state of its order by it, if any, with its code."""
    return await database.fetch(SQL["tell"], *(list(column) for column in zip(*told, strict=True)), now, failure)


async def page(
    database: Database,
    merchant_id: str,
    since: datetime,
    until: datetime,
    order_id: str | None,
    after: tuple[datetime, str],
    limit: int,
) -> list[Record]:
    """A merchant's without a record in [since, until), behind `after` (ordered_at, call id)."""
    return await database.fetch(SQL["page"], merchant_id, since, until, order_id, *after, limit)


async def one(database: Database, cell: int, call_id: str) -> Record | None:
    return await database.fetchrow(SQL["one"], cell, call_id)


async def states(database: Database, cell: int, call_id: str) -> list[Record]:
    return await database.fetch(SQL["states"], cell, call_id)


async def forget(database: Database, agents_before: datetime, dials_before: datetime, states_before: datetime) -> None:
    await database.execute(SQL["forget_agents"], agents_before)
    await database.execute(SQL["forget_dials"], dials_before)
    await database.execute(SQL["forget_states"], states_before)
