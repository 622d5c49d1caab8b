"""Rating a closed month anew, by another tariff or by what is assigned now, and noting the differences (rule 6.13).

Each invoice of the month is taken in a transaction of its own, under its lock: its usage streams by once, in constant
memory, and is priced twice. By the invoice's own terms it has to come to the invoice to the last digit: where usage was
lost or changed since, nothing is noted. By the new terms it gives what would be correct. The difference to the invoice
and its earlier re-ratings becomes a note; without a difference there is none. So a run that broke off is simply
repeated, and a second run finds nothing to do.
"""

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Final

import msgspec

from billing import ledger
from billing.errors import (
    InvoiceInconsistent,
    MerchantNotFound,
    NoteExceedsInvoice,
    NoteInvalid,
    TariffMissing,
)
from billing.invoice import DEFAULT_ISSUER, Invoice
from billing.invoices import list_invoices, require_closed
from billing.money import EXACT, ZERO, half_up
from billing.notes import ledger as note_ledger
from billing.notes.note import Cause, balance_of
from billing.notes.repricing import compare, terms_of
from billing.periods import Period
from billing.queries import Connection, Pool, load_queries
from billing.tariff_ledger import load_book
from billing.tariffs import TariffBook, TariffId

PAGE: Final = 100

_SQL: Final = load_queries("rerate")


class Rerated(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one invoice. Money in CNY with added tax, exact but for amount_due.

    `charged` is the invoice with its earlier re-ratings, `difference` what the new terms change. `note_number` of the
    note, None without a difference and in a dry run; `refused` is the code of why nothing was noted, told in `detail`.
    """

    invoice_number: str
    merchant_id: str
    charged: Decimal = ZERO
    difference: Decimal = ZERO
    amount_due: Decimal = ZERO
    note_number: str | None = None
    refused: str | None = None
    detail: str | None = None


class RerateReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to: invoices looked at, with a difference (`notes`), and refused; sums of the differences.

    `credits` (below zero) and `debits` are exact, `amount_due` has two places.
    """

    period: Period
    tariff_id: str | None
    dry_run: bool
    invoices: int
    notes: int
    refused: int
    credits: Decimal
    debits: Decimal
    amount_due: Decimal


async def rerate(
    pool: Pool,
    period: Period,
    cause: Cause,
    *,
    merchant_id: str | None = None,
    dry_run: bool = False,
    issuer: str = DEFAULT_ISSUER,
    progress: Callable[[int, int], None] | None = None,
    seen: Callable[[Rerated], None] | None = None,
) -> RerateReport:
    """Rate the closed month of one merchant or, with None, of all; by `cause.tariff_id`, or by what is assigned now.

    `seen` is told of each invoice with a difference or a refusal, in order of merchant; `progress(done, total)` is
    called once an invoice. A dry run only reports.

    Raises:
        MerchantNotFound: the one merchant is unknown.
        PeriodNotClosed: the month is open for one of the merchants.
        TariffMissing: there is no such tariff.
        NoteInvalid: without a reason or an author.
    """
    cause = msgspec.structs.replace(cause, source="rerating")
    async with pool.acquire() as connection:
        book = await load_book(connection)
        of = await _check(connection, book, period, cause, merchant_id)
    sums = _Report(period, cause, dry_run)
    async for invoice in _invoices(pool, period, merchant_id):
        async with pool.acquire() as connection:
            found = await _rerate_one(connection, invoice, book, cause, None if dry_run else issuer)
        sums.add(found)
        if seen is not None and (found.difference or found.refused):
            seen(found)
        if progress is not None:
            progress(sums.invoices, of)
    return sums.made()


async def _check(
    connection: Connection, book: TariffBook, period: Period, cause: Cause, merchant_id: str | None
) -> int:
    """How many invoices there are to rate anew. Raises as `rerate`."""
    if found := cause.problems():
        raise NoteInvalid("; ".join(found))
    if merchant_id is not None and not await ledger.merchant_exists(connection, merchant_id):
        raise MerchantNotFound(f"no merchant {merchant_id!r}")
    if cause.tariff_id is not None and not book.versions(TariffId(cause.tariff_id)):
        raise TariffMissing(f"there is no tariff {cause.tariff_id!r}")
    await require_closed(connection, period, None if merchant_id is None else [merchant_id])
    return (await ledger.tally(connection, period, merchant_id)).invoices


async def _invoices(pool: Pool, period: Period, merchant_id: str | None) -> AsyncIterator[Invoice]:
    last: Invoice | None = None
    merchants = None if merchant_id is None else [merchant_id]
    while True:
        async with pool.acquire() as connection:
            page = await list_invoices(connection, period=period, merchant_ids=merchants, after=last, limit=PAGE)
        for invoice in page:
            yield invoice
        if len(page) < PAGE:
            return
        last = page[-1]


async def _rerate_one(
    connection: Connection, invoice: Invoice, book: TariffBook, cause: Cause, issuer: str | None
) -> Rerated:
    """One transaction; without an issuer nothing is written."""
    one = Rerated(invoice_number=invoice.number, merchant_id=invoice.buyer.merchant_id)
    try:
        async with connection.transaction():
            await connection.execute(_SQL["lift_limits"])
            await note_ledger.lock_invoice(connection, invoice.number)
            compared = await compare(connection, invoice, await terms_of(connection, invoice, book, cause))
            lines = list(compared.lines())
            change, number = balance_of(lines), None
            if change:
                await note_ledger.refuse_excess(connection, invoice, change)
            if change and issuer is not None:
                number = (await note_ledger.add_note(connection, invoice, lines, cause, issuer)).number
    except (InvoiceInconsistent, NoteExceedsInvoice, TariffMissing) as refusal:
        return msgspec.structs.replace(one, refused=refusal.code, detail=refusal.message)
    return msgspec.structs.replace(
        one, charged=compared.balance, difference=change, amount_due=half_up(change), note_number=number
    )


class _Report:
    """Adds up what became of the invoices, so that none has to be kept."""

    def __init__(self, period: Period, cause: Cause, dry_run: bool) -> None:
        self._period, self._tariff_id, self._dry_run = period, cause.tariff_id, dry_run
        self.invoices = self.notes = self.refused = 0
        self.credits = self.debits = self.amount_due = ZERO

    def add(self, one: Rerated) -> None:
        self.invoices += 1
        self.notes += bool(one.difference)
        self.refused += one.refused is not None
        self.credits = EXACT.add(self.credits, min(ZERO, one.difference))
        self.debits = EXACT.add(self.debits, max(ZERO, one.difference))
        self.amount_due = EXACT.add(self.amount_due, one.amount_due)

    def made(self) -> RerateReport:
        return RerateReport(
            period=self._period,
            tariff_id=self._tariff_id,
            dry_run=self._dry_run,
            invoices=self.invoices,
            notes=self.notes,
            refused=self.refused,
            credits=self.credits,
            debits=self.debits,
            amount_due=self.amount_due,
        )
