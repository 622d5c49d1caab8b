"""Usage as it is read from files: tuples whose natural order is that of a bill. Instants are in UTC."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from billing.periods import Period, Span


class Rental(NamedTuple):
    """A binding, in one of the months that it touches; `month` as in 202610."""

    month: int
    merchant_id: str
    bound_at: datetime
    binding_id: UUID
    order_id: str
    ended_at: datetime

    @property
    def span(self) -> Span:
        """[bound_at, ended_at)."""
        return Span(self.bound_at, self.ended_at)


class Call(NamedTuple):
    """An answered call, in the month of its answer."""

    month: int
    merchant_id: str
    answered_at: datetime
    call_id: str
    order_id: str
    binding_id: UUID
    released_at: datetime


class Place(NamedTuple):
    """Where a row stands: which of the files, and in which line it begins (the first is 1)."""

    file: int
    line: int


class Rejected(NamedTuple):
    """A row that is not billed, and why. The row itself stays in its file: it may hold what no list should show."""

    place: Place
    reason: str


def month_number(period: Period) -> int:
    """2026-10 as 202610."""
    return period.year * 100 + period.month
