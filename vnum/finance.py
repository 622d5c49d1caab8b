"""The one door to `billing`: what the rest of vnum may use of it."""

from collections.abc import AsyncIterator

from asyncpg import Pool

from billing.calls import Rated, rate_call
from billing.close import CloseReport, close
from billing.details import OfPeriod, OneInvoice
from billing.disputes import Dispute, DisputeState, dispute_states, list_disputes, open_dispute, resolve_dispute
from billing.draft import draft
from billing.drain import drain
from billing.errors import BillingRefusal, CloseBlocked, InvoiceNotFound, TariffInvalid, TariffNotFound
from billing.errors import Code as BillingCode
from billing.export import (
    Progress,
    draft_head,
    export_csv,
    export_fapiao,
    export_json,
    export_statement,
    export_xlsx,
    harmless,
    invoice_head,
)
from billing.invoice import RENTAL_KINDS, Draft, Invoice, Item, Kind
from billing.invoices import get_invoice, list_invoices, require_closed
from billing.migrate import Migration
from billing.migrate import apply as apply_migrations
from billing.migrate import load as load_migrations
from billing.money import plain, two_places
from billing.periods import ZONE, Period, Span
from billing.prices import CalendarDay, Increments, RentalPrice, StartedDay
from billing.tariff_ledger import BEGINNING, LEAD, Listed, add_version, assign, assignments, list_versions
from billing.tariff_ledger import load_book as _load_book
from billing.tariffs import DEFAULT_TARIFF, Assignment, TariffBook, TariffId, TariffVersion
from billing.tax import NO_TAX, Tax

__all__ = [
    "BEGINNING",
    "DEFAULT_TARIFF",
    "LEAD",
    "NO_TAX",
    "RENTAL_KINDS",
    "ZONE",
    "Assignment",
    "BillingCode",
    "BillingRefusal",
    "CalendarDay",
    "CloseBlocked",
    "CloseReport",
    "Dispute",
    "DisputeState",
    "Draft",
    "Increments",
    "Invoice",
    "InvoiceNotFound",
    "Item",
    "Kind",
    "Listed",
    "Migration",
    "OfPeriod",
    "OneInvoice",
    "Period",
    "Progress",
    "Rated",
    "RentalPrice",
    "Span",
    "StartedDay",
    "TariffBook",
    "TariffId",
    "TariffInvalid",
    "TariffNotFound",
    "TariffVersion",
    "Tax",
    "add_version",
    "apply_migrations",
    "assign",
    "assignments",
    "close",
    "dispute_states",
    "draft",
    "draft_head",
    "drain",
    "export_csv",
    "export_fapiao",
    "export_json",
    "export_statement",
    "export_xlsx",
    "get_invoice",
    "harmless",
    "invoice_head",
    "invoices_of",
    "list_disputes",
    "list_invoices",
    "list_versions",
    "load_book",
    "load_migrations",
    "open_dispute",
    "plain",
    "rate_call",
    "require_closed",
    "resolve_dispute",
    "two_places",
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
