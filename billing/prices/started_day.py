"""Rental by started periods of 24 hours (billing rule 6.2), the usual count.

Day k of a binding starts at bound_at + k x 24 h and is charged when it starts before the end; day 0 always is. A day
belongs to the window in which it starts, so windows that meet add up to the whole. The database has the same closed
form as `rental_days` (migrations/0001_ledger.sql); a test holds the two against each other.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from billing.periods import Span

DAY: Final = timedelta(hours=24)


class StartedDay(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="model", tag="started_day", forbid_unknown_fields=True
):
    """`rate` in CNY for each period of 24 hours that a binding starts, counted from bound_at."""

    rate: Decimal

    @staticmethod
    def days(rental: Span, window: Span) -> int:
        """How many of a binding's days start in the window, in closed form."""
        first, end = _range(rental, window)
        return max(0, end - first)

    @staticmethod
    def spans(rental: Span, window: Span) -> Iterator[Span]:
        """Those days in order; the last one may reach beyond the binding's end."""
        bound_at = rental.starts_at
        for k in range(*_range(rental, window)):
            yield Span(bound_at + k * DAY, bound_at + (k + 1) * DAY)

    @staticmethod
    def whole(rental: Span, window: Span) -> tuple[Span, int]:
        """From the first of those days to the end of the last, and how many they are."""
        first, end = _range(rental, window)
        return Span(rental.starts_at + first * DAY, rental.starts_at + end * DAY), max(0, end - first)


def _range(rental: Span, window: Span) -> tuple[int, int]:
    bound_at = rental.starts_at
    end = min(max(1, _begun(rental.ends_at, bound_at)), _begun(window.ends_at, bound_at))
    return max(0, _begun(window.starts_at, bound_at)), end


def _begun(instant: datetime, bound_at: datetime) -> int:
    """The days from bound_at on, rounded up; timedelta division is in whole microseconds, so exact."""
    return -((bound_at - instant) // DAY)
