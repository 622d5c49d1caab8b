"""The detail rows of invoices, one for each charged day and call, recounted against the invoice as they pass.

The close sums in SQL by a closed form; the details list day by day in Python and price each day by the
invoice's own lines. That both agree is checked for every invoice (billing rule 6.8). Rows stream: memory is
constant.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from billing.invoice import Detail, Invoice, Item, Line
from billing.invoices import get_invoice, read_invoice, read_line
from billing.periods import Period, biz_date
from billing.queries import Connection, Pool, load_queries
from billing.recount import Recount
from billing.rental import DAY, day_starts, days_started

if TYPE_CHECKING:
    import asyncpg

Row: TypeAlias = "asyncpg.Record"

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
        self._held: Row | None = None

    async def of(self, merchant_id: str) -> AsyncIterator[Row]:
        """The rows of one merchant; those of merchants before it are passed over."""
        row = self._held or await anext(self._rows, None)
        while row is not None and row["merchant_id"] <= merchant_id:
            if row["merchant_id"] == merchant_id:
                yield row
            row = await anext(self._rows, None)
        self._held = row


async def stream_billed(pool: Pool, selection: Selection) -> AsyncGenerator[Billed, None]:
    """The selected invoices in order of merchant, with their rows, all from one snapshot.

    It holds a connection while it runs: read it under `contextlib.aclosing` where it may be left early.

    Raises:
        InvoiceNotFound: no such number.
        InvoiceInconsistent: details, lines and total of an invoice differ.
    """
    async with pool.acquire() as connection, _snapshot(connection):
        of = await _resolve(connection, selection)
        chosen = (of.period.first_day, of.merchant_ids)
        window = (*chosen, of.period.starts_at, of.period.ends_at)
        lines, listed, late = (
            _ByMerchant(connection, name, *chosen) for name in ("lines", "adjustments", "adjustments")
        )
        rentals, calls = (_ByMerchant(connection, name, *window) for name in ("rentals", "calls"))
        async for head in connection.cursor(_SQL["heads"], *chosen, prefetch=_PREFETCH_ROWS):
            merchant = head["merchant_id"]
            invoice = read_invoice(head, [read_line(row) async for row in lines.of(merchant)])
            yield Billed(
                invoice=invoice,
                adjustments=_late_calls(invoice, listed),
                details=_details(invoice, rentals, calls, late),
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
    invoice: Invoice, rentals: _ByMerchant, calls: _ByMerchant, late: _ByMerchant
) -> AsyncIterator[Detail]:
    """All rows: days by binding, then calls, then late calls; recounted."""
    recount = Recount(invoice)
    merchant, period = invoice.buyer.merchant_id, invoice.period
    windows = [line for line in invoice.lines if line.item is Item.RENTAL]
    async for row in rentals.of(merchant):
        recount.owe_days(days_started(row["bound_at"], row["ended_at"], period.starts_at, period.ends_at))
        for line in windows:
            for detail in _rental_days(invoice, line, row):
                recount.add(detail)
                yield detail
    async for row in calls.of(merchant):
        detail = _call(invoice, row, "call")
        recount.add(detail)
        yield detail
    async for detail in _late_calls(invoice, late):
        recount.add(detail)
        yield detail
    recount.verify()


async def _late_calls(invoice: Invoice, late: _ByMerchant) -> AsyncIterator[Detail]:
    async for row in late.of(invoice.buyer.merchant_id):
        yield _call(invoice, row, "late_call")


def _rental_days(invoice: Invoice, line: Line, row: Row) -> Iterator[Detail]:
    for start in day_starts(row["bound_at"], row["ended_at"], line.starts_at, line.ends_at):
        yield Detail(
            merchant_id=row["merchant_id"],
            biz_date=biz_date(start),
            bill_item=Item.RENTAL,
            bill_duration=1,
            cost=line.rate,
            order_id=row["order_id"],
            binding_id=row["binding_id"],
            call_id=None,
            kind="rental_day",
            rate=line.rate,
            starts_at=start,
            ends_at=start + DAY,
            seconds=None,
            tariff_id=line.tariff_id,
            tariff_version=line.tariff_version,
            invoice_number=invoice.number,
        )


def _call(invoice: Invoice, row: Row, kind: Literal["call", "late_call"]) -> Detail:
    return Detail(
        merchant_id=row["merchant_id"],
        biz_date=biz_date(row["answered_at"]),
        bill_item=Item.CALL,
        bill_duration=row["minutes"],
        cost=row["amount"],
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
    )
