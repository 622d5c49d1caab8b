"""The one door to `billing`: what the rest of vnum may use of it."""

from collections.abc import AsyncIterator

from asyncpg import Pool

from billing.calls import CallRater, Rated, rate_call
from billing.close import CloseReport, close
from billing.daily import Charge, Chosen, DailyPage, daily_page
from billing.daily_csv import daily_csv
from billing.details import OfPeriod, OneInvoice
from billing.disputes import (
    Dispute,
    DisputeState,
    dispute_states,
    disputes_of_call,
    list_disputes,
    open_dispute,
    resolve_dispute,
)
from billing.draft import draft
from billing.drain import drain
from billing.errors import BillingRefusal, CloseBlocked, InvoiceNotFound, NoteNotFound, TariffInvalid, TariffNotFound
from billing.errors import Code as BillingCode
from billing.export import (
    FAPIAO_ITEM,
    Issuer,
    Progress,
    draft_head,
    export_csv,
    export_fapiao,
    export_json,
    export_note,
    export_statement,
    export_xlsx,
    harmless,
    invoice_head,
    note_head,
)
from billing.invoice import RENTAL_KINDS, Draft, Invoice, Item, Kind
from billing.invoices import get_invoice, invoice_of_call, list_invoices, require_closed
from billing.migrate import Migration
from billing.migrate import apply as apply_migrations
from billing.migrate import load as load_migrations
from billing.money import ZERO, plain, times, total, two_places
from billing.notes.issue import BindingCredit, CallCredit, Correction, FreeLine, issue_note
from billing.notes.ledger import Corrected, carried_to, correct, get_note, list_notes
from billing.notes.note import Cause, Note, NoteLine
from billing.notes.rerate import Rerated, RerateReport, rerate
from billing.periods import ZONE, Period, Span
from billing.prices import CalendarDay, Increments, RentalPrice, StartedDay
from billing.tariff_ledger import BEGINNING, LEAD, Listed, add_version, assign, assignments, list_versions
from billing.tariff_ledger import load_book as _load_book
from billing.tariffs import DEFAULT_TARIFF, Assignment, TariffBook, TariffId, TariffVersion
from billing.tax import NO_TAX, Tax
from billing.usage import Dates, Used, UsedOn, first_day_prices, spent, sum_of, usage_by_date

__all__ = [
    "BEGINNING",
    "DEFAULT_TARIFF",
    "FAPIAO_ITEM",
    "LEAD",
    "NO_TAX",
    "RENTAL_KINDS",
    "ZERO",
    "ZONE",
    "Assignment",
    "BillingCode",
    "BillingRefusal",
    "BindingCredit",
    "CalendarDay",
    "CallCredit",
    "CallRater",
    "Cause",
    "Charge",
    "Chosen",
    "CloseBlocked",
    "CloseReport",
    "Corrected",
    "Correction",
    "DailyPage",
    "Dates",
    "Dispute",
    "DisputeState",
    "Draft",
    "FreeLine",
    "Increments",
    "Invoice",
    "InvoiceNotFound",
    "Issuer",
    "Item",
    "Kind",
    "Listed",
    "Migration",
    "Note",
    "NoteLine",
    "NoteNotFound",
    "OfPeriod",
    "OneInvoice",
    "Period",
    "Progress",
    "Rated",
    "RentalPrice",
    "RerateReport",
    "Rerated",
    "Span",
    "StartedDay",
    "TariffBook",
    "TariffId",
    "TariffInvalid",
    "TariffNotFound",
    "TariffVersion",
    "Tax",
    "Used",
    "UsedOn",
    "add_version",
    "apply_migrations",
    "assign",
    "assignments",
    "carried_to",
    "close",
    "correct",
    "daily_csv",
    "daily_page",
    "dispute_states",
    "disputes_of_call",
    "draft",
    "draft_head",
    "drain",
    "export_csv",
    "export_fapiao",
    "export_json",
    "export_note",
    "export_statement",
    "export_xlsx",
    "first_day_prices",
    "get_invoice",
    "get_note",
    "harmless",
    "invoice_head",
    "invoice_of_call",
    "invoices_of",
    "issue_note",
    "list_disputes",
    "list_invoices",
    "list_notes",
    "list_versions",
    "load_book",
    "load_migrations",
    "note_head",
    "open_dispute",
    "plain",
    "rate_call",
    "require_closed",
    "rerate",
    "resolve_dispute",
    "spent",
    "sum_of",
    "times",
    "total",
    "two_places",
    "usage_by_date",
]


async def load_book(database: Pool) -> TariffBook:
    """Every tariff version there is now."""
    async with database.acquire() as connection:
        return await _load_book(connection)


async def invoices_of(database: Pool, period: Period) -> AsyncIterator[Invoice]:
    """All invoices of a month, by merchant."""
    last: Invoice | None = None
    while True:
        async with database.acquire() as connection:
            page = await list_invoices(connection, period=period, after=last)
        for invoice in page:
            yield invoice
        if not page:
            return
        last = page[-1]
