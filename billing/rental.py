"""Which days of a binding are charged in a window (billing rule 6.2).

Day k of a binding starts at bound_at + k x 24 h and is charged when it starts before the end; day 0 always
is. A day belongs to the window in which it starts, so windows that meet add up to the whole. The database
has the same closed form as `rental_days` (migrations/0001_ledger.sql); a test holds the two against each
other.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

DAY: Final = timedelta(hours=24)


def days_charged(bound_at: datetime, ended_at: datetime) -> int:
    """All the days of a binding, at least one."""
    return max(1, _days_begun(ended_at - bound_at))


def days_started(bound_at: datetime, ended_at: datetime, window_starts_at: datetime, window_ends_at: datetime) -> int:
    """How many of a binding's days start in [window_starts_at, window_ends_at), in closed form."""
    first, end = _day_range(bound_at, ended_at, window_starts_at, window_ends_at)
    return max(0, end - first)


def day_starts(
    bound_at: datetime, ended_at: datetime, window_starts_at: datetime, window_ends_at: datetime
) -> Iterator[datetime]:
    """The instants at which those days start, in order."""
    for k in range(*_day_range(bound_at, ended_at, window_starts_at, window_ends_at)):
        yield bound_at + k * DAY


def _day_range(
    bound_at: datetime, ended_at: datetime, window_starts_at: datetime, window_ends_at: datetime
) -> tuple[int, int]:
    end = min(days_charged(bound_at, ended_at), _days_begun(window_ends_at - bound_at))
    return max(0, _days_begun(window_starts_at - bound_at)), end


def _days_begun(span: timedelta) -> int:
    """The span in days, rounded up; timedelta division is in whole microseconds, so exact."""
    return -(-span // DAY)
