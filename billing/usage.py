"""What merchants used and what it costs, date by date of Asia/Shanghai; and what they spent in the running month.

The same rows as the daily bills (`billing.daily`), counted and summed in the database: amounts are exact.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from billing.errors import DateInvalid
from billing.invoices import read_tax
from billing.money import ZERO, total
from billing.periods import FIRST_DATE, TICK, Period, Span, biz_date, day_span
from billing.queries import Connection, load_queries
from billing.tax import added

if TYPE_CHECKING:
    import asyncpg

Row: TypeAlias = "asyncpg.Record"

MOST_DATES: Final = 92
_DAY: Final = timedelta(days=1)
_SQL: Final = load_queries("usage")


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and sums, of a date or of several.

    `new` numbers bound, `rental_days` started, `calls` charged and their started `minutes`; costs in CNY, exact, less
    free minutes and without added tax.
    """

    new: int = 0
    rental_days: int = 0
    rental_cost: Decimal = ZERO
    calls: int = 0
    minutes: int = 0
    call_cost: Decimal = ZERO

    @property
    def cost(self) -> Decimal:
        """Of rental and calls together."""
        return total([self.rental_cost, self.call_cost])


class UsedOn(Used, frozen=True, kw_only=True):
    """A merchant's date. `live_numbers` at its end, of today at present."""

    merchant_id: str
    biz_date: date
    live_numbers: int


class Dates(msgspec.Struct, frozen=True, kw_only=True):
    """[since, until), as it stands at `now`; `longest` as of `billing.daily.Chosen`."""

    since: date
    until: date
    now: datetime
    longest: timedelta | None = None

    @property
    def window(self) -> Span:
        """From the first midnight to the last."""
        return Span(day_span(self.since).starts_at, day_span(self.until).starts_at)

    def check(self) -> None:
        """Raises DateInvalid: a date too many, none at all, or one in the future."""
        today = biz_date(self.now)
        if not FIRST_DATE <= self.since < self.until <= today + _DAY:
            raise DateInvalid(f"dates run from one after {FIRST_DATE} to one behind it, up to today, which is {today}")
        if (self.until - self.since).days > MOST_DATES:
            raise DateInvalid(f"{MOST_DATES} dates at most, not {(self.until - self.since).days}")


async def usage_by_date(connection: Connection, merchant_ids: Sequence[str], dates: Dates) -> list[UsedOn]:
    """Every date of every merchant, in order, also those without any usage.

    Raises:
        DateInvalid: the dates can not be shown.
    """
    dates.check()
    window, now = dates.window, dates.now
    numbers = {
        (row["merchant_id"], row["biz_date"]): (row["new"], row["live"])
        for row in await connection.fetch(_SQL["numbers"], merchant_ids, *window, now, dates.longest, biz_date(now))
    }
    amounts = defaultdict[tuple[str, date], list[Row]](list)
    for row in await _amounts(connection, merchant_ids, window, now, dates.longest):
        amounts[row["merchant_id"], row["biz_date"]].append(row)
    days = [dates.since + timedelta(days=n) for n in range((dates.until - dates.since).days)]
    return [
        _used_on(merchant_id, day, numbers.get((merchant_id, day), (0, 0)), amounts[merchant_id, day])
        for merchant_id in sorted(merchant_ids)
        for day in days
    ]


def sum_of(days: Sequence[Used]) -> Used:
    """All dates together."""
    return Used(
        new=sum(day.new for day in days),
        rental_days=sum(day.rental_days for day in days),
        rental_cost=total(day.rental_cost for day in days),
        calls=sum(day.calls for day in days),
        minutes=sum(day.minutes for day in days),
        call_cost=total(day.call_cost for day in days),
    )


async def spent(
    connection: Connection, merchant_ids: Sequence[str], now: datetime, longest: timedelta | None = None
) -> dict[str, Decimal]:
    """What each merchant's running month has cost until now, in CNY: with added tax, before any rounding.

    Rental days that have started and calls of this month, less its free minutes; late calls of other months are not of
    this one, and what was carried over is no spending.
    """
    rows = await _amounts(connection, merchant_ids, Period.of(now).span, now, longest)
    found = dict.fromkeys(merchant_ids, ZERO)
    for row in rows:
        found[row["merchant_id"]] = total(
            [found[row["merchant_id"]], row["amount"], added(read_tax(row), row["amount"])]
        )
    return found


async def first_day_prices(connection: Connection, merchant_ids: Sequence[str], now: datetime) -> dict[str, Decimal]:
    """What each merchant pays, with added tax, for the first day of a number bound now."""
    return {
        row["merchant_id"]: total([row["amount"], added(read_tax(row), row["amount"])])
        for row in await connection.fetch(_SQL["first_days"], merchant_ids, now)
    }


async def _amounts(
    connection: Connection, merchant_ids: Sequence[str], window: Span, now: datetime, longest: timedelta | None
) -> Sequence[Row]:
    return await connection.fetch(_SQL["amounts"], merchant_ids, *window, min(window.ends_at, now + TICK), longest)


def _used_on(merchant_id: str, day: date, numbers: tuple[int, int], rows: Sequence[Row]) -> UsedOn:
    rental, calls = ([row for row in rows if row["item"] == item] for item in (0, 1))
    new, live = numbers
    return UsedOn(
        merchant_id=merchant_id,
        biz_date=day,
        live_numbers=live,
        new=new,
        rental_days=sum(row["quantity"] for row in rental),
        rental_cost=total(row["amount"] for row in rental),
        calls=sum(row["count"] for row in calls),
        minutes=sum(row["quantity"] for row in calls),
        call_cost=total(row["amount"] for row in calls),
    )
