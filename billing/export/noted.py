"""The notes that go into files, each with the buyer that its invoice names."""

from collections.abc import AsyncGenerator
from typing import NamedTuple

from billing.details import OneInvoice, Selection
from billing.errors import InvoiceInconsistent
from billing.invoice import Buyer
from billing.invoices import buyers
from billing.notes.ledger import MOST_LISTED, get_note, list_notes
from billing.notes.note import Note, problems
from billing.periods import Period, Span
from billing.queries import Connection, Pool


class Noted(NamedTuple):
    """A note that adds up; the buyer as at the close of the invoice that it corrects."""

    note: Note
    buyer: Buyer


async def noted(pool: Pool, number: str) -> Noted:
    """One note. Raises NoteNotFound, InvoiceInconsistent where its own sums differ."""
    async with pool.acquire() as connection:
        return (await _with_buyers(connection, [await get_note(connection, number)]))[0]


def notes_about(pool: Pool, selection: Selection) -> AsyncGenerator[Noted, None]:
    """The notes that correct the selected invoices, whenever they were issued. Raises InvoiceInconsistent."""
    if isinstance(selection, OneInvoice):
        return _all(pool, invoice_number=selection.number)
    return _all(pool, period=selection.period, merchant_ids=selection.merchant_ids)


def notes_issued(pool: Pool, selection: Selection) -> AsyncGenerator[Noted, None]:
    """The notes that were issued in the selected month, whatever invoices they correct; of one invoice, all of its
    notes. Raises InvoiceInconsistent."""
    if isinstance(selection, OneInvoice):
        return _all(pool, invoice_number=selection.number)
    return _all(pool, issued=selection.period.span, merchant_ids=selection.merchant_ids)


async def _all(
    pool: Pool,
    *,
    invoice_number: str | None = None,
    period: Period | None = None,
    issued: Span | None = None,
    merchant_ids: tuple[str, ...] | None = None,
) -> AsyncGenerator[Noted, None]:
    """In order of their numbers, a page at a time."""
    last: Note | None = None
    while True:
        async with pool.acquire() as connection:
            page = await list_notes(
                connection,
                invoice_number=invoice_number,
                period=period,
                issued=issued,
                merchant_ids=merchant_ids,
                after=last,
            )
            found = await _with_buyers(connection, page)
        for one in found:
            yield one
        if len(page) < MOST_LISTED:
            return
        last = page[-1]


async def _with_buyers(connection: Connection, notes: list[Note]) -> list[Noted]:
    for note in notes:
        if wrong := problems(note):
            raise InvoiceInconsistent(f"note {note.number}: {'; '.join(wrong)}")
    named = await buyers(connection, [note.invoice_number for note in notes])
    return [Noted(note, named[note.invoice_number]) for note in notes]
