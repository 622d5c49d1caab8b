"""Months in order: each merchant's bill gets its number and takes over what his last one carried (rules 6.7, 6.9)."""

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar

from billing.alone.gathering import Gathered, Months
from billing.alone.month import bill_details, bill_lines
from billing.alone.terms import Terms
from billing.alone.usage import Call, Rental, month_number
from billing.errors import PeriodNotOver, TariffMissing
from billing.invoice import DEFAULT_ISSUER, Detail, Invoice, Serial, make_invoice
from billing.periods import Period, biz_date
from billing.tariffs import Stretch, stretches

R = TypeVar("R", Rental, Call)


class Billed(NamedTuple):
    """An invoice with its rows, to be read to their end before the next one is asked for."""

    invoice: Invoice
    details: Iterator[Detail]


class Series:
    """Numbers without gaps within issuer and year (billing rule 6.9); further years than the first begin at 1."""

    def __init__(self, issuer: str = DEFAULT_ISSUER, first: int = 1) -> None:
        self._issuer = issuer
        self._first = first
        self._last: dict[int, int] = {}

    def next(self, year: int) -> Serial:
        """The next number of a year."""
        before = self._last.get(year, 0 if self._last else self._first - 1)
        self._last[year] = before + 1
        return Serial(issuer=self._issuer, year=year, serial=before + 1)


def last_closable(months: Months, closed_at: datetime) -> Months:
    """The months that are over at an instant. Raises PeriodNotOver if none is."""
    over = [period for period in months.all() if period.ends_at <= closed_at]
    if not over:
        raise PeriodNotOver(f"{months.first} ends at {months.first.ends_at.isoformat()}, after {closed_at.isoformat()}")
    return Months(over[0], over[-1])


def bill(
    gathered: Gathered,
    months: Months,
    terms: Terms,
    series: Series,
    *,
    closed_at: datetime | None = None,
    done: Callable[[int], None] = lambda rows: None,
) -> Iterator[Billed]:
    """All invoices, month by month and by merchant. A month is closed at `closed_at`, or at its own end.

    `done(rows)` is told how many more rows of usage are billed.

    Raises:
        TariffMissing: a merchant with usage in a month has no price for a part of it.
        InvoiceInconsistent: a fault of the program, found when details and invoice are held against each other.
    """
    carried: dict[str, Decimal] = {}
    to_sum, to_list = (_Usage(gathered, done) for done in (lambda rows: None, done))
    for period in months.all():
        instant = closed_at or period.ends_at
        while merchant := to_sum.next_merchant(period):
            priced = _priced(terms, merchant, period)
            lines = bill_lines(period, to_sum.rentals(period, merchant), to_sum.calls(period, merchant), priced)
            if not lines:
                continue
            invoice = make_invoice(
                serial=series.next(biz_date(instant).year),
                buyer=terms.buyer(merchant),
                period=period,
                closed_at=instant,
                lines=lines,
                carried_in=carried.get(merchant, terms.carried_in(merchant)),
            )
            carried[merchant] = invoice.carried_out
            rentals, calls = to_list.rentals(period, merchant), to_list.calls(period, merchant)
            yield Billed(invoice, bill_details(invoice, rentals, calls, priced))


def _priced(terms: Terms, merchant_id: str, period: Period) -> list[Stretch]:
    """What prices a merchant in a month. Raises TariffMissing, which names him."""
    try:
        return stretches(terms.book, terms.assignments(merchant_id), period.span)
    except TariffMissing as missing:
        raise TariffMissing(f"{period} of {merchant_id}: {missing.message}") from missing


class _ByMerchant(Generic[R]):
    """Rows in order of month and merchant, handed out for one of them after the other."""

    def __init__(self, rows: Iterator[R], done: Callable[[int], None]) -> None:
        self._rows: Iterator[R] = rows
        self._held: R | None = next(rows, None)
        self._done = done

    def next_merchant(self, month: int) -> str | None:
        """Whose rows come next in the month."""
        return self._held.merchant_id if self._held is not None and self._held.month == month else None

    def of(self, month: int, merchant_id: str) -> Iterator[R]:
        """The rows of one merchant; those before them are passed over."""
        row, wanted, passed = self._held, (month, merchant_id), 0
        while row is not None and row[:2] <= wanted:
            if row[:2] == wanted:
                yield row
            row = next(self._rows, None)
            passed += 1
        self._held = row
        self._done(passed)


class _Usage:
    """Bindings and calls side by side."""

    def __init__(self, gathered: Gathered, done: Callable[[int], None]) -> None:
        self._rentals = _ByMerchant(gathered.rentals.rows(), done)
        self._calls = _ByMerchant(gathered.calls.rows(), done)

    def next_merchant(self, period: Period) -> str | None:
        month = month_number(period)
        ahead = [who for who in (self._rentals.next_merchant(month), self._calls.next_merchant(month)) if who]
        return min(ahead, default=None)

    def rentals(self, period: Period, merchant_id: str) -> Iterator[Rental]:
        return self._rentals.of(month_number(period), merchant_id)

    def calls(self, period: Period, merchant_id: str) -> Iterator[Call]:
        return self._calls.of(month_number(period), merchant_id)
