"""From rows as they come to usage in the order of bills: what stands twice counts once (billing rule 6.5).

A binding or call of a known id with the same content is a duplicate and counted once; with other content it is a
conflict: the first in the order of the files is billed, the others are rejected. Content is compared in UTC and whole
seconds.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from billing.alone.reading import Progress, read_usage
from billing.alone.sorting import Sorter
from billing.alone.usage import Call, Place, Rejected, Rental, month_number
from billing.periods import Period

_INSTANT: Final = timedelta(microseconds=1)


class Months(NamedTuple):
    """From one month to another, both included."""

    first: Period
    last: Period

    def __contains__(self, period: object) -> bool:
        """Whether it is one of them."""
        return isinstance(period, Period) and self.first <= period <= self.last

    def all(self) -> Iterator[Period]:
        """One after the other."""
        period = self.first
        while period <= self.last:
            yield period
            period = period.next


class Counts(msgspec.Struct, kw_only=True):
    """What became of the rows. `outside` = bindings and calls wholly outside of the months that are billed."""

    rows: int = 0
    rentals: int = 0
    calls: int = 0
    unanswered: int = 0
    duplicates: int = 0
    outside: int = 0


R = TypeVar("R", Rental, Call)


class _Placed(NamedTuple, Generic[R]):
    """Sorts by id, then by place."""

    id: str
    place: Place
    row: R


class Gathered:
    """The usage of some files: first `read` each, then `arrange` once, then look at `rentals` and `calls`."""

    def __init__(self, folder: Path) -> None:
        self._names: list[str] = []
        self._given_rentals = Sorter(msgspec.msgpack.Decoder(list[_Placed[Rental]]), folder)
        self._given_calls = Sorter(msgspec.msgpack.Decoder(list[_Placed[Call]]), folder)
        self.rentals = Sorter(msgspec.msgpack.Decoder(list[Rental]), folder)
        self.calls = Sorter(msgspec.msgpack.Decoder(list[Call]), folder)
        self.rejected = Sorter(msgspec.msgpack.Decoder(list[Rejected]), folder)
        self.counts = Counts()
        self._first = datetime.max.replace(tzinfo=UTC)
        self._last = datetime.min.replace(tzinfo=UTC)

    @property
    def months(self) -> Months | None:
        """Those in which anything began, or ran; None if nothing did."""
        if self._last < self._first:
            return None
        return Months(Period.of(self._first), Period.of(self._last))

    def read(self, path: Path, progress: Progress) -> None:
        """Take the next file. Raises UsageUnusable."""
        self._names.append(path.name)
        for place, row in read_usage(path, len(self._names) - 1, progress):
            self.counts.rows += 1
            match row:
                case Rental():
                    self._note(row.bound_at, _last_moment(row))
                    self._given_rentals.add(_Placed(str(row.binding_id), place, row))
                case Call():
                    self._note(row.answered_at, row.answered_at)
                    self._given_calls.add(_Placed(row.call_id, place, row))
                case Rejected():
                    self.rejected.add(row)
                case None:
                    self.counts.unanswered += 1

    def arrange(self, months: Months) -> None:
        """Sort what lies in these months; a binding stands in each month that it touches."""
        for rental in self._unique(self._given_rentals, "binding_id"):
            touched = Months(Period.of(rental.bound_at), Period.of(_last_moment(rental)))
            mine = [period for period in touched.all() if period in months]
            for period in mine:
                self.rentals.add(rental._replace(month=month_number(period)))
            self.counts.rentals += bool(mine)
            self.counts.outside += not mine
        for call in self._unique(self._given_calls, "call_id"):
            if Period.of(call.answered_at) in months:
                self.calls.add(call)
                self.counts.calls += 1
            else:
                self.counts.outside += 1

    def reasons(self) -> Iterator[tuple[str, int, str]]:
        """File, line and reason of what is not billed, in the order of the files."""
        for rejected in self.rejected.rows():
            yield self._names[rejected.place.file], rejected.place.line, rejected.reason

    def _note(self, first: datetime, last: datetime) -> None:
        self._first, self._last = min(self._first, first), max(self._last, last)

    def _unique(self, given: Sorter[_Placed[R]], name: str) -> Iterator[R]:
        """The first of each id; further ones are duplicates or, with other content, rejected."""
        first: _Placed[R] | None = None
        for placed in given.rows():
            if first is None or placed.id != first.id:
                first = placed
                yield placed.row
            elif _content(placed.row) == _content(first.row):
                self.counts.duplicates += 1
            else:
                where = f"{self._names[first.place.file]} line {first.place.line}"
                self.rejected.add(
                    Rejected(
                        placed.place, f"conflict: {name} {placed.id} has other content in {where}, which is billed"
                    )
                )


def _last_moment(rental: Rental) -> datetime:
    return max(rental.bound_at, rental.ended_at - _INSTANT)


def _content(row: Rental | Call) -> tuple[object, ...]:
    return tuple(cell.replace(microsecond=0) if isinstance(cell, datetime) else cell for cell in row)
