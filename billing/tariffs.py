"""Tariffs: prices over time, and which of them a merchant pays (billing rules 6.1, 6.10).

A tariff is a series of versions, each in force from an instant until the next. Merchants are assigned to tariffs, each
from an instant on; one who never was pays the tariff "default". `billing.tariff_ledger` keeps both.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple, NewType

import msgspec

from billing.errors import TariffMissing
from billing.money import MOST_PLACES
from billing.periods import Span
from billing.prices import CalendarDay, CallPrice, RentalPrice, StartedDay
from billing.tax import NO_TAX, Tax

TariffId = NewType("TariffId", str)
DEFAULT_TARIFF: Final = TariffId("default")
MOST: Final = 1_000_000
MOST_FREE: Final = 1_000_000
LONGEST_ID: Final = 64


class TariffVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in CNY, in force from `effective_from` until the next version of the same tariff.

    `free_minutes` a month and merchant, taken by the month's calls in order of their answer (billing rule 6.12).
    """

    tariff_id: TariffId
    version: int
    effective_from: datetime
    rental: RentalPrice
    calls: CallPrice
    free_minutes: int = 0
    tax: Tax = NO_TAX


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """The merchant pays this tariff from `effective_from` until his next assignment."""

    merchant_id: str
    effective_from: datetime
    tariff_id: TariffId


class Stretch(NamedTuple):
    """The version that prices a merchant's days and calls that begin in the span."""

    span: Span
    version: TariffVersion


class TariffBook:
    """All versions of all tariffs, loaded once; load it again after a version was added."""

    __slots__ = ("_instants", "_versions")

    def __init__(self, versions: Iterable[TariffVersion]) -> None:
        self._versions: dict[TariffId, list[TariffVersion]] = {}
        for version in sorted(versions, key=lambda v: (v.tariff_id, v.effective_from, v.version)):
            self._versions.setdefault(version.tariff_id, []).append(version)
        self._instants = {key: [v.effective_from for v in found] for key, found in self._versions.items()}

    def at(self, tariff_id: TariffId, instant: datetime) -> TariffVersion:
        """The version in force at an instant; of two that begin at once the later one.

        Raises:
            TariffMissing: unknown tariff, or the instant is before its first version.
        """
        position = bisect_right(self._instants.get(tariff_id, ()), instant)
        if position == 0:
            raise TariffMissing(f"tariff {tariff_id!r} has no version in force at {instant.isoformat()}")
        return self._versions[tariff_id][position - 1]

    def versions(self, tariff_id: TariffId) -> Sequence[TariffVersion]:
        """All versions of a tariff, oldest first; none if there is no such tariff."""
        return tuple(self._versions.get(tariff_id, ()))

    def __iter__(self) -> Iterator[TariffVersion]:
        """Every version, by tariff, oldest first."""
        return (version for tariff_id in sorted(self._versions) for version in self._versions[tariff_id])


def stretches(
    book: TariffBook, assignments: Iterable[Assignment], window: Span, *, gaps: bool = False
) -> list[Stretch]:
    """What prices one merchant in a window, in order; without a gap, unless `gaps` allows for parts without a price.

    Raises:
        TariffMissing: a part of the window has no price.
    """
    given = sorted((a for a in assignments if a.effective_from < window.ends_at), key=lambda a: a.effective_from)
    changes = {window.starts_at, *(a.effective_from for a in given)}
    for version in book:
        changes.add(version.effective_from)
    edges = [*sorted(edge for edge in changes if window.starts_at <= edge < window.ends_at), window.ends_at]
    found: list[Stretch] = []
    for starts_at, ends_at in pairwise(edges):
        chosen = [a.tariff_id for a in given if a.effective_from <= starts_at]
        try:
            version = book.at(chosen[-1] if chosen else DEFAULT_TARIFF, starts_at)
        except TariffMissing:
            if gaps:
                continue
            raise
        if found and found[-1].version == version and found[-1].span.ends_at == starts_at:
            starts_at = found.pop().span.starts_at
        found.append(Stretch(Span(starts_at, ends_at), version))
    return found


def problems(new: TariffVersion) -> list[str]:
    """Everything that speaks against the terms of a version, by themselves."""
    match new.rental:
        case StartedDay(rate=day) | CalendarDay(rate=day):
            amounts = {"rental.rate": day, "calls.minute": new.calls.minute, "calls.setup_fee": new.calls.setup_fee}
    found = [f"{name} {text}" for name, amount in amounts.items() if (text := _amount_problem(amount))]
    found = found or [f"calls: {text}" for text in new.calls.problems()]
    found += [f"tax: {text}" for text in new.tax.problems()]
    if not 0 <= new.free_minutes <= MOST_FREE:
        found.append(f"free_minutes must be 0 to {MOST_FREE}")
    if not 0 < len(new.tariff_id) <= LONGEST_ID:
        found.append(f"tariff_id must have 1 to {LONGEST_ID} characters")
    return found


def _amount_problem(amount: Decimal) -> str | None:
    if not amount.is_finite() or amount < 0:
        return "must be a plain amount of at least 0"
    if amount >= MOST or not -MOST_PLACES <= int(amount.as_tuple().exponent) < MOST_PLACES:  # 0E+999999 is below MOST
        return f"must be below {MOST} and have at most {MOST_PLACES} places"
    return None
