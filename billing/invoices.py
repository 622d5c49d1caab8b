"""Reading closed invoices."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from billing.errors import InvoiceNotFound, PeriodNotClosed
from billing.invoice import Buyer, Invoice, Kind, Late, Line, MerchantId, Serial
from billing.periods import Period
from billing.queries import Connection, load_queries
from billing.tax import Tax, TaxShare

if TYPE_CHECKING:
    import asyncpg

Row: TypeAlias = "asyncpg.Record"

MOST_LISTED: Final = 1000

_SQL: Final = load_queries("invoices")


async def get_invoice(connection: Connection, number: str) -> Invoice:
    """One invoice with its lines.

    Raises:
        InvoiceNotFound: no such number.
    """
    row = await connection.fetchrow(_SQL["head"], number)
    if row is None:
        raise InvoiceNotFound(f"no invoice {number!r}")
    return (await _with_lines(connection, [row]))[0]


async def buyers(connection: Connection, numbers: Sequence[str]) -> dict[str, Buyer]:
    """Who pays some invoices, as they say; numbers of none are left out."""
    return {row["invoice_number"]: read_buyer(row) for row in await connection.fetch(_SQL["buyers"], numbers)}


async def invoice_of_call(
    connection: Connection, merchant_id: str, call_id: str, answered_at: datetime, *, late: bool
) -> str | None:
    """The number of the invoice that bears a charged call (billing rules 6.4, 6.6); None = none does yet."""
    month = Period.of(answered_at).first_day
    number: str | None = await connection.fetchval(_SQL["of_call"], merchant_id, call_id, month, late)
    return number


async def require_closed(connection: Connection, period: Period, merchant_ids: Sequence[str] | None = None) -> None:
    """Raises PeriodNotClosed unless the period was closed for all of the merchants (None = all there are)."""
    row = await connection.fetchrow(_SQL["open_accounts"], period.first_day, period.ends_at, merchant_ids)
    assert row is not None
    if row["still_open"] or not row["closed"]:
        if not row["still_open"]:
            raise PeriodNotClosed(f"{period} has nothing to export: no merchant was there before its end")
        names = f" for {', '.join(row['still_open'])}" if row["closed"] else ""
        raise PeriodNotClosed(f"{period} is not closed yet{names}; close it first")


async def count_invoices(connection: Connection, period: Period, merchant_ids: Sequence[str] | None = None) -> int:
    """How many invoices a month has, of all merchants or of some."""
    count: int = await connection.fetchval(_SQL["count"], period.first_day, merchant_ids)
    return count


async def list_invoices(
    connection: Connection,
    *,
    period: Period | None = None,
    merchant_ids: Sequence[str] | None = None,
    after: Invoice | None = None,
    limit: int = MOST_LISTED,
) -> list[Invoice]:
    """Invoices by period, then merchant; None means all; `after` is the last one of the page before."""
    rows = await connection.fetch(
        _SQL["listing"],
        period and period.first_day,
        merchant_ids,
        after and after.period.first_day,
        after and after.buyer.merchant_id,
        min(limit, MOST_LISTED),
    )
    return await _with_lines(connection, rows)


async def _with_lines(connection: Connection, heads: Sequence[Row]) -> list[Invoice]:
    numbers = [head["invoice_number"] for head in heads]
    lines: dict[str, list[Line]] = {number: [] for number in numbers}
    for row in await connection.fetch(_SQL["lines"], numbers):
        lines[row["invoice_number"]].append(read_line(row))
    taxes: dict[str, list[Row]] = {number: [] for number in numbers}
    for row in await connection.fetch(_SQL["taxes"], numbers):
        taxes[row["invoice_number"]].append(row)
    return [read_invoice(head, lines[number], taxes[number]) for number, head in zip(numbers, heads, strict=True)]


def read_tax(row: Row) -> Tax:
    """A tax from its two columns."""
    return Tax(mode=row["tax_mode"], rate=row["tax_rate"])


def read_buyer(row: Row) -> Buyer:
    """Who pays, from the columns of an invoice or an account."""
    merchant_id = MerchantId(row["merchant_id"])
    return Buyer(merchant_id=merchant_id, invoice_title=row["invoice_title"], tax_no=row["tax_no"])


def read_line(row: Row) -> Line:
    """A line from its columns, as selected for the ledger or collected by a close."""
    return Line(
        kind=Kind(row["kind"]),
        tariff_id=row["tariff_id"],
        tariff_version=row["tariff_version"],
        rate=row["rate"],
        unit_s=row["unit_s"],
        tax=read_tax(row),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        count=row["count"],
        quantity=row["quantity"],
        amount=row["amount"],
    )


def read_invoice(row: Row, lines: Sequence[Line], taxes: Sequence[Row]) -> Invoice:
    """An invoice from its columns; the stored sums are taken as they are, `invoice.problems` judges them."""
    return Invoice(
        serial=Serial(issuer=row["issuer"], year=row["year"], serial=row["serial"]),
        buyer=read_buyer(row),
        period=Period.starting(row["period"]),
        closed_at=row["closed_at"],
        lines=tuple(lines),
        late=tuple(
            Late(count=of["late_count"], amount=of["late_base"], tax=read_tax(of)) for of in taxes if of["late_count"]
        ),
        taxes=tuple(TaxShare(tax=read_tax(of), base=of["base"], added=of["added"]) for of in taxes),
        total_exact=row["total_exact"],
        tax_exact=row["tax_exact"],
        carried_in=row["carried_in"],
        balance=row["balance"],
        amount_due=row["amount_due"],
        carried_out=row["carried_out"],
    )
