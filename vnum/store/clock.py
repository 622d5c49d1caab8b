"""PostgreSQL's clock: the only one that counts."""

from datetime import datetime

from vnum.store.database import Database
from vnum.store.queries import queries

SQL = queries("clock")


async def now(database: Database, cell: int, simulated: datetime | None) -> tuple[datetime, datetime | None]:
    """(the server's clock, the highest instant committed in the cell)."""
    record = await database.fetchrow(SQL["now"], cell, simulated)
    assert record is not None
    return record["server_now"], record["highest"]


async def accept_leap(database: Database, operator: str) -> datetime:
    """Files an operator's word that the server's clock is right."""
    accepted: datetime = await database.fetchval(SQL["accept_leap"], operator)
    return accepted


async def accepted_leap(database: Database) -> datetime | None:
    """The latest instant that an operator accepted."""
    accepted: datetime | None = await database.fetchval(SQL["accepted_leap"])
    return accepted


async def ensure_months(database: Database, from_at: datetime) -> None:
    """Makes the partitions from the month of `from_at` to three months ahead."""
    await database.execute(SQL["ensure_months"], from_at)
