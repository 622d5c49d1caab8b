"""Invoices as files: CSV for spreadsheets and carriers, JSON for programs. Both stream, in constant memory.

Money is written as plain decimal strings without trailing zeros, only amount_due has two places; instants in
UTC, dates by Asia/Shanghai. An export raises InvoiceInconsistent when an invoice and its details differ: what
was written until then is to be thrown away.
"""

import csv
import io
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

import msgspec

from billing.details import OfPeriod, Selection, stream_billed
from billing.invoice import Bill, Detail, Draft, Invoice, Line
from billing.money import plain, two_places
from billing.queries import Pool
from billing.tax import TaxShare

_FLUSH_CHARS: Final = 64 * 1024
_RISKY_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")

Cell = str | int | None


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


# The first eight are the fixed shape of a bill; those after them explain the row.
_CELLS: Final[dict[str, Callable[[Detail], Cell]]] = {
    "merchant_id": lambda d: d.merchant_id,
    "biz_date": lambda d: d.biz_date.isoformat(),
    "bill_item": lambda d: int(d.bill_item),
    "bill_duration": lambda d: d.bill_duration,
    "cost": lambda d: plain(d.cost),
    "order_id": lambda d: d.order_id,
    "binding_id": lambda d: str(d.binding_id),
    "call_id": lambda d: d.call_id,
    "kind": lambda d: d.kind,
    "rate": lambda d: plain(d.rate),
    "starts_at": lambda d: _instant(d.starts_at),
    "ends_at": lambda d: _instant(d.ends_at),
    "seconds": lambda d: d.seconds,
    "tariff_id": lambda d: d.tariff_id,
    "tariff_version": lambda d: d.tariff_version,
    "invoice_number": lambda d: d.invoice_number,
    "units": lambda d: d.units,
    "unit_s": lambda d: d.unit_s,
    "free_units": lambda d: d.free_units,
    "setup_fee": lambda d: plain(d.setup_fee),
    "tax_mode": lambda d: d.tax.mode,
    "tax_rate": lambda d: plain(d.tax.rate),
}
DETAIL_COLUMNS: Final = tuple(_CELLS)
# Written by people or other systems; the rest is made here and cannot be a formula.
_FREE_TEXT: Final = frozenset({"merchant_id", "order_id", "call_id", "tariff_id", "invoice_number"})


def detail_cells(detail: Detail) -> dict[str, Cell]:
    """One row by column, as every format writes it."""
    return {column: cell(detail) for column, cell in _CELLS.items()}


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula: what begins like one gets a single quote in front."""
    return f"'{text}" if text.startswith(_RISKY_STARTS) else text


async def export_csv(pool: Pool, selection: Selection) -> AsyncGenerator[bytes, None]:
    """The detail rows as UTF-8 CSV with a header row, in pieces of some 64 KiB. Raises as `stream_billed`."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(DETAIL_COLUMNS)
    async with aclosing(stream_billed(pool, selection)) as invoices:
        async for billed in invoices:
            async for detail in billed.details:
                writer.writerow([_csv_cell(column, cell(detail)) for column, cell in _CELLS.items()])
                if buffer.tell() >= _FLUSH_CHARS:
                    yield _take(buffer)
    yield _take(buffer)


async def export_json(pool: Pool, selection: Selection) -> AsyncGenerator[bytes, None]:
    """One invoice as an object; a period as {"period": ..., "invoices": [...]}. Raises as `stream_billed`."""
    buffer = io.StringIO()
    many = isinstance(selection, OfPeriod)
    if isinstance(selection, OfPeriod):
        buffer.write(f'{{"period":{_json(str(selection.period))},"invoices":[')
    comma = ""
    async with aclosing(stream_billed(pool, selection)) as invoices:
        async for billed in invoices:
            buffer.write(comma + _json(invoice_head(billed.invoice))[:-1])
            for name, rows in (("adjustments", billed.adjustments), ("details", billed.details)):
                buffer.write(f',"{name}":[')
                between = ""
                async for detail in rows:
                    buffer.write(between + _json(detail_cells(detail)))
                    between = ","
                    if buffer.tell() >= _FLUSH_CHARS:
                        yield _take(buffer)
                buffer.write("]")
            buffer.write("}")
            comma = ","
    buffer.write("]}" if many else "")
    yield _take(buffer)


def invoice_head(invoice: Invoice) -> dict[str, object]:
    """A closed invoice without its rows, ready for JSON."""
    return {"number": invoice.number, "state": "closed", "closed_at": _instant(invoice.closed_at), **bill_head(invoice)}


def draft_head(draft: Draft) -> dict[str, object]:
    """The same of a month that is not closed."""
    return {"number": None, "state": "draft", "as_of": _instant(draft.as_of), **bill_head(draft)}


def bill_head(bill: Bill) -> dict[str, object]:
    """What both have."""
    return {
        "period": str(bill.period),
        "merchant_id": bill.buyer.merchant_id,
        "invoice_title": bill.buyer.invoice_title,
        "tax_no": bill.buyer.tax_no,
        "lines": [_line(line) for line in bill.lines],
        "adjustments_count": bill.late_count,
        "adjustments_total": plain(bill.late_total),
        "taxes": [_tax(of) for of in bill.taxes],
        "total_exact": plain(bill.total_exact),
        "tax_exact": plain(bill.tax_exact),
        "carried_in": plain(bill.carried_in),
        "balance": plain(bill.balance),
        "amount_due": two_places(bill.amount_due),
        "carried_out": plain(bill.carried_out),
    }


def _tax(of: TaxShare) -> dict[str, object]:
    return {"mode": of.tax.mode, "rate": plain(of.tax.rate), "base": plain(of.base), "added": plain(of.added)}


def _line(line: Line) -> dict[str, object]:
    return {
        "bill_item": int(line.item),
        "kind": line.kind,
        "tariff_id": line.tariff_id,
        "tariff_version": line.tariff_version,
        "rate": plain(line.rate),
        "unit_s": line.unit_s,
        "tax_mode": line.tax.mode,
        "tax_rate": plain(line.tax.rate),
        "starts_at": _instant(line.starts_at),
        "ends_at": _instant(line.ends_at),
        "count": line.count,
        "quantity": line.quantity,
        "amount": plain(line.amount),
    }


def _csv_cell(column: str, cell: Cell) -> Cell:
    return harmless(cell) if column in _FREE_TEXT and isinstance(cell, str) else cell


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _take(buffer: io.StringIO) -> bytes:
    piece = buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    return piece
