"""The history of bindings and calls, for audits and pictures."""

from datetime import datetime

from asyncpg import Record

from vnum.store.database import Database
from vnum.store.queries import queries

SQL = queries("history")


async def bindings(database: Database) -> list[Record]:
    """host, extension, binding_id, merchant_id, order_id, bound_at, ended_at; by slot and time."""
    return await database.fetch(SQL["bindings"])


async def answered_calls(database: Database) -> list[Record]:
    """call_id, merchant_id, binding_id, answer_time, release_time."""
    return await database.fetch(SQL["answered_calls"])


async def pool_by_day(
    database: Database, first: datetime, last: datetime, quarantine_days: int
) -> list[tuple[datetime, int, int]]:
    """(noon, bound, quarantined) of each day."""
    records = await database.fetch(SQL["pool_by_day"], first, last, quarantine_days)
    return [(record["noon"], record["bound"], record["quarantined"]) for record in records]


async def late_minutes(database: Database) -> int:
    """Minutes of the calls that were charged as adjustments."""
    return int(await database.fetchval(SQL["late_minutes"]))
