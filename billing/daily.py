"""Daily bills: the charges of one date of Asia/Shanghai, of closed and open months alike.

A row is a rental day that starts on the date, at the count and price of the merchant's tariff at that start, or a
charged call that was answered on it, at what its invoice row says (billing rules 6.2, 6.4, 6.12). A late call has its
own date. So the rows of a month's dates are the lines of its invoice, and the late calls of that month wherever they
were billed.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import UUID

import msgspec

from billing.errors import DateInvalid
from billing.invoice import Item
from billing.periods import FIRST_DATE, TICK, Period, biz_date, day_span
from billing.queries import Connection, Pool, load_queries

if TYPE_CHECKING:
    import asyncpg

Row: TypeAlias = "asyncpg.Record"

_SQL: Final = load_queries("daily")
_PREFETCH_ROWS: Final = 1000
_NO_LIMIT_S: Final = 86_400


class Charge(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`bill_duration` in days or started minutes, `cost` in CNY, exact and without added tax."""

    merchant_id: str
    biz_date: date
    bill_item: Item
    bill_duration: int
    cost: Decimal
    order_id: str
    binding_id: UUID
    call_id: str | None


class DailyPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows of a date; `total` and `cost` count and sum them all."""

    biz_date: date
    total: int
    cost: Decimal
    rows: tuple[Charge, ...]


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A date, of some merchants or (None) of all, as it stands at `now`.

    Of today: the rental days that have started. `longest` = no rental is longer, which spares the database from looking
    at older ones; None = unknown.
    """

    biz_date: date
    now: datetime
    merchant_ids: Sequence[str] | None = None
    longest: timedelta | None = None


async def daily_page(connection: Connection, chosen: Chosen, *, page_no: int, page_size: int) -> DailyPage:
    """The rows of a page, counted from 1, by merchant: first rental, then calls, each by their time.

    Raises:
        DateInvalid: the date is in the future, or before there was anything.
    """
    rows = await connection.fetch(_SQL["page"], *_arguments(chosen), page_size, (page_no - 1) * page_size)
    found = tuple(_charge(chosen.biz_date, row) for row in rows if row["merchant_id"] is not None)
    return DailyPage(biz_date=chosen.biz_date, total=rows[0]["rows"], cost=rows[0]["sum"], rows=found)


async def stream_daily(pool: Pool, chosen: Chosen) -> AsyncGenerator[Charge, None]:
    """All rows in the same order, in constant memory, from one snapshot. Raises as `daily_page`."""
    arguments = _arguments(chosen)
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(_SQL["no_time_limit"])
        rows = connection.cursor(_SQL["page"], *arguments, None, 0, prefetch=_PREFETCH_ROWS, timeout=_NO_LIMIT_S)
        async for row in rows:
            if row["merchant_id"] is not None:
                yield _charge(chosen.biz_date, row)


def _arguments(chosen: Chosen) -> tuple[object, ...]:
    today = biz_date(chosen.now)
    if not FIRST_DATE <= chosen.biz_date <= today:
        raise DateInvalid(f"a date lies from {FIRST_DATE} to today, {today} in Asia/Shanghai; not {chosen.biz_date}")
    day = day_span(chosen.biz_date)
    month = Period.starting(chosen.biz_date).starts_at
    return chosen.merchant_ids, month, *day, min(day.ends_at, chosen.now + TICK), chosen.longest


def _charge(day: date, row: Row) -> Charge:
    return Charge(
        merchant_id=row["merchant_id"],
        biz_date=day,
        bill_item=Item(row["bill_item"]),
        bill_duration=row["bill_duration"],
        cost=row["cost"],
        order_id=row["order_id"],
        binding_id=row["binding_id"],
        call_id=row["call_id"],
    )
