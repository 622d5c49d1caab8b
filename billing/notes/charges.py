"""What an invoice charged for single calls and bindings: rows of its details, found without reading the rest."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from billing.details import CallTerms, call_row, rental_rows
from billing.invoice import RENTAL_KINDS, Detail, Invoice
from billing.invoices import read_tax
from billing.queries import Connection, load_queries

_SQL: Final = load_queries("charges")


async def charged_calls(connection: Connection, invoice: Invoice, call_ids: Sequence[str]) -> dict[str, Detail]:
    """The calls, also adjustments, that are on the invoice; others are left out."""
    merchant, terms = invoice.buyer.merchant_id, CallTerms(invoice.lines)
    window = (merchant, call_ids, *invoice.period.span)
    before: dict[str, int] = {}
    if terms.grants_free:
        before = {row["call_id"]: row["before"] for row in await connection.fetch(_SQL["units_before"], *window)}
    found = {
        row["call_id"]: call_row(invoice, row, terms.tax(row), terms.free_after(row, before.get(row["call_id"], 0)))
        for row in await connection.fetch(_SQL["calls"], *window)
    }
    for row in await connection.fetch(_SQL["late_calls"], merchant, call_ids, invoice.number):
        found[row["call_id"]] = call_row(invoice, row, read_tax(row), 0, "late_call")
    return found


async def charged_days(
    connection: Connection, invoice: Invoice, binding_ids: Sequence[UUID]
) -> dict[UUID, list[Detail]]:
    """The days of bindings that are on the invoice, in order; bindings without any are left out."""
    lines = [line for line in invoice.lines if line.kind in RENTAL_KINDS]
    found: dict[UUID, list[Detail]] = {}
    for row in await connection.fetch(_SQL["rentals"], invoice.buyer.merchant_id, binding_ids):
        if days := [day for line in lines for day in rental_rows(invoice.number, line, row, "day")]:
            found[row["binding_id"]] = days
    return found
