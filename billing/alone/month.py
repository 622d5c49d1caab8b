"""One merchant's month, out of his usage and of what prices it: the lines of his bill, then its details. Pure.

Both take the same usage, in the order of a bill, and go through it once; `recount` holds them against each other. What
is charged how much is asked of the price models, as the ledger does.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from billing.alone.usage import Call, Rental
from billing.calls import Rated, rate_call
from billing.details import CallTerms, call_row, rental_rows
from billing.invoice import RENTAL_KINDS, Detail, Invoice, Kind, Line
from billing.money import times
from billing.periods import Period
from billing.prices import CalendarDay
from billing.recount import Recount
from billing.tariffs import Stretch, TariffVersion

_KINDS: Final = list(Kind)


class _Sum:
    """How many bindings or calls, how many days or units."""

    __slots__ = ("count", "quantity")

    def __init__(self) -> None:
        self.count = self.quantity = 0

    def add(self, quantity: int) -> None:
        if quantity:
            self.count += 1
            self.quantity += quantity


def bill_lines(
    period: Period, rentals: Iterable[Rental], calls: Iterable[Call], stretches: Sequence[Stretch]
) -> list[Line]:
    """What a month comes to; empty without usage. `stretches` cover the period; calls come in order of their answer."""
    lines = [*_rental_lines(rentals, stretches), *_call_lines(period, calls, stretches)]
    return sorted(
        lines, key=lambda line: (_KINDS.index(line.kind), line.starts_at, line.tariff_id, line.tariff_version)
    )


def _rental_lines(rentals: Iterable[Rental], stretches: Sequence[Stretch]) -> Iterator[Line]:
    sums = [(stretch, _Sum()) for stretch in stretches]
    for rental in rentals:
        for (span, version), of in sums:
            of.add(version.rental.days(rental.span, span))
    for (span, version), of in sums:
        if of.count:
            yield Line(
                kind=Kind.CALENDAR_DAY if isinstance(version.rental, CalendarDay) else Kind.RENTAL_DAY,
                tariff_id=version.tariff_id,
                tariff_version=version.version,
                rate=version.rental.rate,
                tax=version.tax,
                starts_at=span.starts_at,
                ends_at=span.ends_at,
                count=of.count,
                quantity=of.quantity,
                amount=times(version.rental.rate, of.quantity),
            )


class _Talk(NamedTuple):
    """What the calls of one version came to."""

    version: TariffVersion
    units: _Sum
    free: _Sum


def _call_lines(period: Period, calls: Iterable[Call], stretches: Sequence[Stretch]) -> Iterator[Line]:
    """Free minutes (billing rule 6.12) are those of the first stretch; every call uses them up, whatever its tariff."""
    talks: dict[tuple[str, int], _Talk] = {}
    left_s = stretches[0].version.free_minutes * 60
    for _, version, rated in _rated(calls, stretches):
        key = (version.tariff_id, version.version)
        talk = talks.get(key) or talks.setdefault(key, _Talk(version, _Sum(), _Sum()))
        talk.units.add(rated.units)
        talk.free.add(min(rated.units, max(0, left_s) // rated.unit_s))
        left_s -= rated.units * rated.unit_s
    for talk in talks.values():
        prices, calls_made = talk.version.calls, talk.units.count
        yield _call_line(period, Kind.CALL, talk.version, calls_made, talk.units.quantity)
        if prices.setup_fee:
            yield _call_line(period, Kind.CALL_SETUP, talk.version, calls_made, calls_made)
        if talk.free.count:
            yield _call_line(period, Kind.FREE_MINUTES, talk.version, talk.free.count, -talk.free.quantity)


def _call_line(period: Period, kind: Kind, version: TariffVersion, count: int, quantity: int) -> Line:
    fees = kind is Kind.CALL_SETUP
    rate = version.calls.setup_fee if fees else version.calls.unit_price
    return Line(
        kind=kind,
        tariff_id=version.tariff_id,
        tariff_version=version.version,
        rate=rate,
        unit_s=None if fees else version.calls.unit_s,
        tax=version.tax,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        count=count,
        quantity=quantity,
        amount=times(rate, quantity),
    )


def _rated(calls: Iterable[Call], stretches: Sequence[Stretch]) -> Iterator[tuple[Call, TariffVersion, Rated]]:
    """The charged ones; as they come in order of their answer, the stretches are gone through once."""
    ahead = iter(stretches)
    stretch = next(ahead)
    for call in calls:
        while call.answered_at >= stretch.span.ends_at:
            stretch = next(ahead)
        rated = rate_call(call.answered_at, call.released_at, stretch.version)
        if rated.units:
            yield call, stretch.version, rated


def bill_details(
    invoice: Invoice, rentals: Iterable[Rental], calls: Iterable[Call], stretches: Sequence[Stretch]
) -> Iterator[Detail]:
    """The rows of an invoice: bindings, each with the days that a line prices, then calls.

    Raises:
        InvoiceInconsistent: at the end, if they do not add up to the invoice.
    """
    recount = Recount(invoice)
    days = [line for line in invoice.lines if line.kind in RENTAL_KINDS]
    for rental in rentals:
        row = rental._asdict()
        for line in days:
            for detail in rental_rows(invoice.number, line, row, "binding"):
                recount.rental(line, detail)
                yield detail
    terms = CallTerms(invoice.lines)
    for call, version, rated in _rated(calls, stretches):
        row = _row(call, rated)
        detail = call_row(invoice, row, version.tax, terms.take_free(row))
        recount.call(detail)
        yield detail
    recount.verify()


def _row(call: Call, rated: Rated) -> dict[str, object]:
    """A call as the ledger's queries give it."""
    return {
        **call._asdict(),
        "seconds": rated.seconds,
        "minutes": rated.minutes,
        "units": rated.units,
        "unit_s": rated.unit_s,
        "rate": rated.rate,
        "setup_fee": rated.setup_fee,
        "amount": rated.cost,
        "tariff_id": rated.tariff_id,
        "tariff_version": rated.tariff_version,
    }
