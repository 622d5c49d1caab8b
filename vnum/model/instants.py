"""Instants: aware datetimes; what the core knows of time is only what is passed to it."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FOREVER = datetime.max.replace(tzinfo=UTC)
"""PostgreSQL's `infinity` as asyncpg gives it: a slot that is never used again."""

NEVER_DAY = 65535
_LAST_DAY = 65534
_MICROSECOND = timedelta(microseconds=1)
_DAY_MICROSECONDS = 86_400_000_000


def day_of(instant: datetime) -> int:
    """The UTC day (since 1970) that `instant` lies in."""
    return (instant - EPOCH) // DAY


def free_day(held_until: datetime) -> int:
    """The first UTC day on which a slot held until then may be free: ceil; 65535 = never."""
    if held_until.year >= FOREVER.year:
        return NEVER_DAY
    microseconds = (held_until - EPOCH) // _MICROSECOND
    return min(-(-microseconds // _DAY_MICROSECONDS), _LAST_DAY)
