"""Events in PostgreSQL: what waits to be told, written where somebody listens."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("events")


async def anyone(connection: Connection | Database, event: str) -> bool:
    """Whether anybody listens to it."""
    return bool(await connection.fetchval(SQL["anyone"], event))


async def begin_sweep(database: Database, cell: int, event: str, now: datetime) -> None:
    await database.execute(SQL["begin_sweep"], cell, event, now)


async def lock_sweep(connection: Connection, cell: int, event: str) -> datetime | None:
    """Up to when the ends were told; None = another worker is at it."""
    until: datetime | None = await connection.fetchval(SQL["lock_sweep"], cell, event)
    return until


async def end_sweep(connection: Connection, cell: int, event: str, until: datetime) -> None:
    await connection.execute(SQL["end_sweep"], cell, event, until)


async def tell_ends(
    connection: Connection,
    cell: int,
    event: str,
    span: tuple[datetime, datetime],
    ahead: timedelta,
    now: datetime,
    code: str,
) -> int:
    """Files the event of each binding that ends in (first, second]; how many rows."""
    await connection.execute(SQL["by_index"])
    return len(await connection.fetch(SQL["tell_ends"], cell, event, *span, ahead, now, code))


async def tell_short_ends(
    connection: Connection,
    cell: int,
    event: str,
    span: tuple[datetime, datetime],
    longest: timedelta,
    part: int,
    now: datetime,
    code: str,
) -> int:
    """Files the event of each binding, of a life of `longest` at most, whose last part begins in (first, second]; how
    many rows."""
    await connection.execute(SQL["by_index"])
    return len(await connection.fetch(SQL["tell_short_ends"], cell, event, *span, longest, now, code, part))


async def tell_closes(connection: Connection, now: datetime, rows: Sequence[tuple[str, str, str]]) -> None:
    """(invoice number, merchant, what is told)."""
    await connection.execute(SQL["tell_closes"], 0, now, *zip(*rows, strict=True))


async def lows(connection: Connection | Database) -> set[str]:
    """The hosts and cities that were told to be low."""
    return {record["subject"] for record in await connection.fetch(SQL["pool_lows"])}


async def note_lows(connection: Connection, subjects: Sequence[str], now: datetime) -> set[str]:
    """Those that were not low before."""
    return {record["subject"] for record in await connection.fetch(SQL["note_lows"], subjects, now)}


async def forget_lows(connection: Connection, subjects: Sequence[str]) -> None:
    await connection.execute(SQL["forget_lows"], subjects)


async def tell_lows(connection: Connection, now: datetime, rows: Sequence[tuple[str, str]]) -> None:
    """(subject, what is told)."""
    await connection.execute(SQL["tell_lows"], 0, now, *zip(*rows, strict=True))
