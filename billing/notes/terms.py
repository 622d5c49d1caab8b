"""The prices of one merchant's month by given terms: each binding's days, each call, and the free minutes.

What the close does in SQL with the terms that hold, this does in Python with any: a tariff's versions, or a merchant's
assignments, each by instant (billing rules 6.2, 6.4, 6.10, 6.12).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, assert_never

from billing.calls import rate_call
from billing.details import days_at_least, unpriced
from billing.errors import TariffMissing
from billing.money import times, total
from billing.notes.note import LineKind
from billing.periods import Span
from billing.prices import CalendarDay, StartedDay
from billing.prices.increments import MINUTE_S
from billing.tariffs import DEFAULT_TARIFF, Assignment, TariffBook, TariffVersion, stretches
from billing.tax import Tax


class Key(NamedTuple):
    """What one tariff version prices at one rate, under one tax; `unit_s` of talk."""

    kind: LineKind
    tariff_id: str
    tariff_version: int
    rate: Decimal
    unit_s: int | None
    tax: Tax


class Priced(NamedTuple):
    """A part of a charge: days, units of talk, a fee, or free units (below 0)."""

    key: Key
    quantity: int
    amount: Decimal


class Terms:
    """Prices what is handed to it; calls that arrived in time have to come in order of their answer.

    Free minutes are those of the terms in force when the window, or the merchant, began.
    """

    def __init__(self, book: TariffBook, assignments: Sequence[Assignment], window: Span, opened_at: datetime) -> None:
        self._book = book
        self._given = sorted(assignments, key=lambda given: given.effective_from)
        self._stretches = stretches(book, self._given, window, gaps=True)
        self._gaps = list(unpriced(window, [stretch.span for stretch in self._stretches]))
        first = next((version for span, version in self._stretches if span.ends_at > opened_at), None)
        self._free_s = 0 if first is None else first.free_minutes * MINUTE_S

    def rental(self, rental: Span) -> Iterator[Priced]:
        """The days of a binding that start in the window.

        Raises:
            TariffMissing: a day has no price.
        """
        if days_at_least(rental, self._gaps):
            raise TariffMissing("a binding has days for which the tariff has no version in force")
        for span, version in self._stretches:
            match version.rental:
                case StartedDay(rate=rate):
                    kind: LineKind = "rental_day"
                case CalendarDay(rate=rate):
                    kind = "calendar_day"
                case _:
                    assert_never(version.rental)
            if days := version.rental.days(rental, span):
                yield Priced(_key(kind, version, rate), days, times(rate, days))

    def call(self, answered_at: datetime, released_at: datetime) -> Iterator[Priced]:
        """A call that arrived in time; it takes what is left of the free minutes.

        Raises:
            TariffMissing: the call has no price.
        """
        version = self._at(answered_at)
        rated = rate_call(answered_at, released_at, version)
        if not rated.units:
            return
        talk = _key("call", version, rated.rate, rated.unit_s)
        yield Priced(talk, rated.units, times(rated.rate, rated.units))
        if rated.setup_fee:
            yield Priced(_key("call_setup", version, rated.setup_fee), 1, rated.setup_fee)
        free = max(0, min(rated.units, self._free_s // rated.unit_s))
        if free:
            yield Priced(talk._replace(kind="free_minutes"), -free, times(rated.rate, -free))
        self._free_s -= rated.units * rated.unit_s

    def late_call(self, answered_at: datetime, released_at: datetime) -> Iterator[Priced]:
        """A late call, by the terms of its own instant, whole: it takes no free minutes. Raises as `call`."""
        version = self._at(answered_at)
        rated = rate_call(answered_at, released_at, version)
        if rated.units:
            amount = total([rated.setup_fee, times(rated.rate, rated.units)])
            yield Priced(_key("late_call", version, rated.rate, rated.unit_s), rated.units, amount)

    def _at(self, instant: datetime) -> TariffVersion:
        chosen = [given.tariff_id for given in self._given if given.effective_from <= instant]
        return self._book.at(chosen[-1] if chosen else DEFAULT_TARIFF, instant)


def _key(kind: LineKind, version: TariffVersion, rate: Decimal, unit_s: int | None = None) -> Key:
    return Key(kind, version.tariff_id, version.version, rate, unit_s, version.tax)
