"""The billing calendar: months and dates of Asia/Shanghai (billing rule 6.2)."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, NamedTuple, Self
from zoneinfo import ZoneInfo

from billing.errors import PeriodInvalid

ZONE: Final = ZoneInfo("Asia/Shanghai")
FIRST_DATE: Final = date(1970, 1, 1)
"""From when on there are prices."""

TICK: Final = timedelta(microseconds=1)
"""What a span that is to contain an instant ends after it."""

_WRITTEN: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)


def biz_date(instant: datetime) -> date:
    """The date on which an instant falls in the billing zone. The instant must bear its offset."""
    return _aware(instant).astimezone(ZONE).date()


class Span(NamedTuple):
    """Half open: [starts_at, ends_at), instants that bear their offset."""

    starts_at: datetime
    ends_at: datetime


def day_span(day: date) -> Span:
    """A date of the billing zone, in UTC."""
    return Span(_midnight(day), _midnight(day + timedelta(days=1)))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, ZONE).astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Period:
    """A month, written "2026-10"; half open: [starts_at, ends_at)."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "2026-10".

        Raises:
            PeriodInvalid: anything else, also the years 0000, 0001 and 9999, whose ends no datetime can hold.
        """
        match = _WRITTEN.fullmatch(text)
        if match is None or match[1] in ("0000", "0001", "9999"):
            raise PeriodInvalid(f"a period is written YYYY-MM, as in 2026-10, not {text!r}")
        return cls(year=int(match[1]), month=int(match[2]))

    @classmethod
    def of(cls, instant: datetime) -> Self:
        """The period in which an instant falls."""
        return cls.starting(biz_date(instant))

    @classmethod
    def starting(cls, day: date) -> Self:
        """The period of a date."""
        return cls(year=day.year, month=day.month)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    @property
    def first_day(self) -> date:
        """The first date; how a period is kept in the database."""
        return date(self.year, self.month, 1)

    @property
    def starts_at(self) -> datetime:
        """The first instant, in UTC."""
        return _month_starts_at(self.year, self.month)

    @property
    def ends_at(self) -> datetime:
        """The first instant after the period, in UTC."""
        return self.next.starts_at

    @property
    def span(self) -> Span:
        """From the first instant to the one after the last."""
        return Span(self.starts_at, self.ends_at)

    @property
    def next(self) -> "Period":
        """The following month."""
        return Period(year=self.year + self.month // 12, month=self.month % 12 + 1)

    @property
    def previous(self) -> "Period":
        """The month before."""
        return Period(year=self.year - (self.month == 1), month=(self.month - 2) % 12 + 1)


@lru_cache(maxsize=1000)
def _month_starts_at(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=ZONE).astimezone(UTC)


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("an instant without offset has no place in a bill")
    return instant
