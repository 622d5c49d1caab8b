"""Rental by calendar days of the billing zone: each date that a binding touches is one day.

The first day starts at bound_at, each further one at a midnight of Asia/Shanghai before the end; at least one. As with
started days, a day belongs to the window in which it starts. The database has the same closed form as `calendar_days`
(migrations/0002_pricing.sql).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from billing.periods import ZONE, Span, biz_date

_ONE: Final = timedelta(days=1)


class CalendarDay(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="model", tag="calendar_day", forbid_unknown_fields=True
):
    """`rate` in CNY for each date, by Asia/Shanghai, that a binding touches."""

    rate: Decimal

    @staticmethod
    def days(rental: Span, window: Span) -> int:
        """How many of a binding's days start in the window, in closed form."""
        first = window.starts_at <= rental.starts_at < window.ends_at
        begin = max(_midnights(window.starts_at), biz_date(rental.starts_at).toordinal() + 1)
        return first + max(0, _midnights(min(rental.ends_at, window.ends_at)) - begin)

    @staticmethod
    def spans(rental: Span, window: Span) -> Iterator[Span]:
        """Those days in order, each until the midnight after its start."""
        if window.starts_at <= rental.starts_at < window.ends_at:
            yield Span(rental.starts_at, _midnight(biz_date(rental.starts_at) + _ONE))
        begin = max(_midnights(window.starts_at), biz_date(rental.starts_at).toordinal() + 1)
        for ordinal in range(begin, _midnights(min(rental.ends_at, window.ends_at))):
            day = date.fromordinal(ordinal)
            yield Span(_midnight(day), _midnight(day + _ONE))

    @staticmethod
    def whole(rental: Span, window: Span) -> tuple[Span, int]:
        """From the first of those days to the end of the last, and how many they are."""
        days = list(CalendarDay.spans(rental, window)) or [window]
        return Span(days[0].starts_at, days[-1].ends_at), CalendarDay.days(rental, window)


def _midnights(instant: datetime) -> int:
    """How many midnights lie before the instant, counted as ordinals of dates."""
    local = instant.astimezone(ZONE)
    return local.toordinal() + (local.time() > time.min)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, ZONE).astimezone(UTC)
