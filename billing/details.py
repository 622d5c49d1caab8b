"""The detail rows of invoices, one for each charged day and call, recounted against the invoice as they pass.

The close sums in SQL by a closed form; the details list day by day in Python and price each day by the invoice's own
lines. That both agree is checked for every invoice (billing rule 6.8). Rows stream: memory is constant.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

import msgspec

from billing.invoice import RENTAL_KINDS, Detail, Invoice, Item, Kind, Line
from billing.invoices import get_invoice, read_invoice, read_line, read_tax
from billing.money import EXACT, times, total
from billing.periods import Period, Span, biz_date
from billing.prices import CalendarDay, StartedDay
from billing.queries import Connection, Pool, load_queries
from billing.recount import Recount
from billing.tax import Tax

if TYPE_CHECKING:
    import asyncpg

Record: TypeAlias = "asyncpg.Record"


class Row(Protocol):
    """A row by column: of the database, or of usage that was read from a file."""

    def __getitem__(self, column: str, /) -> Any: ...


By = Literal["day", "binding"]
"""Whether rental has a row for each day, or one for all the days of a binding that one line prices."""

_SQL: Final = load_queries("details")
_PREFETCH_ROWS: Final = 1000


class OneInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """Selects the invoice of a number."""

    number: str


class OfPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """Selects the invoices of a month, of all merchants or of some."""

    period: Period
    merchant_ids: tuple[str, ...] | None = None


Selection = OneInvoice | OfPeriod


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice with its rows, to be read to their end before the next invoice is asked for.

    `details` are all its rows and raise InvoiceInconsistent at their end if they do not add up to the
    invoice; `adjustments` are the late calls among them, once more.
    """

    invoice: Invoice
    adjustments: AsyncIterator[Detail]
    details: AsyncIterator[Detail]


class _ByMerchant:
    """Rows in order of merchant, handed out merchant by merchant."""

    __slots__ = ("_held", "_rows")

    def __init__(self, connection: Connection, query: str, *args: object) -> None:
        self._rows = aiter(connection.cursor(_SQL[query], *args, prefetch=_PREFETCH_ROWS))
        self._held: Record | None = None

    async def of(self, merchant_id: str) -> AsyncIterator[Record]:
        """The rows of one merchant; those of merchants before it are passed over."""
        row = self._held or await anext(self._rows, None)
        while row is not None and row["merchant_id"] <= merchant_id:
            if row["merchant_id"] == merchant_id:
                yield row
            row = await anext(self._rows, None)
        self._held = row


async def stream_billed(pool: Pool, selection: Selection, *, by: By = "day") -> AsyncGenerator[Billed, None]:
    """The selected invoices in order of merchant, with their rows, all from one snapshot.

    It holds a connection while it runs: read it under `contextlib.aclosing` where it may be left early.

    Raises:
        InvoiceNotFound: no such number.
        InvoiceInconsistent: details, lines and total of an invoice differ.
    """
    async with pool.acquire() as connection, _snapshot(connection):
        of = await _resolve(connection, selection)
        chosen = (of.period.first_day, of.merchant_ids)
        window = (*chosen, *of.period.span)
        lines, taxes, listed, late = (
            _ByMerchant(connection, name, *chosen) for name in ("lines", "taxes", "adjustments", "adjustments")
        )
        rentals, calls = (_ByMerchant(connection, name, *window) for name in ("rentals", "calls"))
        async for head in connection.cursor(_SQL["heads"], *chosen, prefetch=_PREFETCH_ROWS):
            merchant = head["merchant_id"]
            invoice = read_invoice(
                head,
                [read_line(row) async for row in lines.of(merchant)],
                [row async for row in taxes.of(merchant)],
            )
            yield Billed(
                invoice=invoice,
                adjustments=_late_calls(invoice, listed),
                details=_details(invoice, by, rentals, calls, late),
            )


@asynccontextmanager
async def _snapshot(connection: Connection) -> AsyncIterator[None]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(_SQL["no_time_limit"])
        yield


async def _resolve(connection: Connection, selection: Selection) -> OfPeriod:
    if isinstance(selection, OfPeriod):
        return selection
    invoice = await get_invoice(connection, selection.number)
    return OfPeriod(period=invoice.period, merchant_ids=(invoice.buyer.merchant_id,))


async def _details(
    invoice: Invoice, by: By, rentals: _ByMerchant, calls: _ByMerchant, late: _ByMerchant
) -> AsyncIterator[Detail]:
    """All rows: days by binding, then calls, then late calls; recounted."""
    recount = Recount(invoice)
    merchant = invoice.buyer.merchant_id
    days = [line for line in invoice.lines if line.kind in RENTAL_KINDS]
    gaps = list(unpriced(invoice.period.span, [Span(line.starts_at, line.ends_at) for line in days]))
    async for row in rentals.of(merchant):
        recount.miss(days_at_least(Span(row["bound_at"], row["ended_at"]), gaps))
        for line in days:
            for detail in rental_rows(invoice.number, line, row, by):
                recount.rental(line, detail)
                yield detail
    terms = CallTerms(invoice.lines)
    async for row in calls.of(merchant):
        detail = call_row(invoice, row, terms.tax(row), terms.take_free(row))
        recount.call(detail)
        yield detail
    async for detail in _late_calls(invoice, late):
        recount.late(detail)
        yield detail
    recount.verify()


async def _late_calls(invoice: Invoice, late: _ByMerchant) -> AsyncIterator[Detail]:
    async for row in late.of(invoice.buyer.merchant_id):
        yield call_row(invoice, row, read_tax(row), 0, "late_call")


class CallTerms:
    """What an invoice's lines say of its calls: their tax, and how many of their units are free.

    Calls take free units in order of their answer until the line that grants them is used up; per line that comes to
    the same as one allowance for all of them (billing rule 6.12), which the close summed.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._taxes = {(line.tariff_id, line.tariff_version): line.tax for line in lines if line.item is Item.CALL}
        self._free: dict[tuple[object, ...], int] = defaultdict(int)
        for line in lines:
            if line.kind is Kind.FREE_MINUTES:
                self._free[line.tariff_id, line.tariff_version, line.unit_s, line.rate] -= line.quantity

    def tax(self, row: Row) -> Tax:
        """The tax of a call's tariff."""
        return self._taxes.get((row["tariff_id"], row["tariff_version"]), Tax())

    def take_free(self, row: Row) -> int:
        """How many of the call's units are free."""
        if not self._free:
            return 0
        taken = self.free_after(row, 0)
        self._free[_price(row)] -= taken
        return taken

    @property
    def grants_free(self) -> bool:
        """Whether any call's units may be free."""
        return bool(self._free)

    def free_after(self, row: Row, before: int) -> int:
        """How many of a call's units are free where calls of its price had `before` units before it."""
        units: int = row["units"]
        return max(0, min(units, self._free.get(_price(row), 0) - before))


def _price(row: Row) -> tuple[object, ...]:
    return (row["tariff_id"], row["tariff_version"], row["unit_s"], row["rate"])


def unpriced(window: Span, priced: Sequence[Span]) -> Iterator[Span]:
    """The stretches of a window that no line covers; the close found no day there."""
    since = window.starts_at
    for span in sorted(priced):
        if since < span.starts_at:
            yield Span(since, span.starts_at)
        since = span.ends_at
    if since < window.ends_at:
        yield Span(since, window.ends_at)


def days_at_least(rental: Span, gaps: Sequence[Span]) -> int:
    """The days that a binding has there by any count: more than none means that a line is missing."""
    return sum(min(StartedDay.days(rental, gap), CalendarDay.days(rental, gap)) for gap in gaps)


def rental_rows(number: str, line: Line, row: Row, by: By) -> Iterator[Detail]:
    """The days of a binding that one line prices, as rows."""
    model = CalendarDay if line.kind is Kind.CALENDAR_DAY else StartedDay
    rental, window = Span(row["bound_at"], row["ended_at"]), Span(line.starts_at, line.ends_at)
    if by == "day":
        for span in model.spans(rental, window):
            yield _rental(number, line, row, span, 1)
    else:
        whole, days = model.whole(rental, window)
        if days:
            yield _rental(number, line, row, whole, days)


def _rental(number: str, line: Line, row: Row, span: Span, days: int) -> Detail:
    return Detail(
        merchant_id=row["merchant_id"],
        biz_date=biz_date(span.starts_at),
        bill_item=Item.RENTAL,
        bill_duration=days,
        cost=times(line.rate, days),
        order_id=row["order_id"],
        binding_id=row["binding_id"],
        call_id=None,
        kind="calendar_day" if line.kind is Kind.CALENDAR_DAY else "rental_day",
        rate=line.rate,
        starts_at=span.starts_at,
        ends_at=span.ends_at,
        seconds=None,
        tariff_id=line.tariff_id,
        tariff_version=line.tariff_version,
        invoice_number=number,
        units=days,
        tax=line.tax,
    )


def call_row(invoice: Invoice, row: Row, tax: Tax, free: int, kind: Literal["call", "late_call"] = "call") -> Detail:
    """A row of usage_calls or of the adjustments; `amount` is its cost before free units are taken off."""
    return Detail(
        merchant_id=row["merchant_id"],
        biz_date=biz_date(row["answered_at"]),
        bill_item=Item.CALL,
        bill_duration=row["minutes"],
        cost=total([row["amount"], EXACT.multiply(row["rate"], -free)]) if free else row["amount"],
        order_id=row["order_id"],
        binding_id=row["binding_id"],
        call_id=row["call_id"],
        kind=kind,
        rate=row["rate"],
        starts_at=row["answered_at"],
        ends_at=row["released_at"],
        seconds=row["seconds"],
        tariff_id=row["tariff_id"],
        tariff_version=row["tariff_version"],
        invoice_number=invoice.number,
        units=row["units"],
        unit_s=row["unit_s"],
        free_units=free,
        setup_fee=row["setup_fee"],
        tax=tax,
    )
