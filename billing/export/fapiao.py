"""What the issuer of the tax invoice (发票) needs, as CSV: a row for each invoice and tax, and for each note and tax.

The gross amounts of an invoice or note add up to its amount due. An amount of 0.00 needs no 发票 and has no row. A
header is the Chinese name, a space, and a stable English name for programs.

A month lists the invoices of that month and the notes that were issued in it, whatever invoice they are about: once the
month is over neither can grow, and each note is on one list.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, NamedTuple

from billing.details import Selection
from billing.errors import InvoiceInconsistent
from billing.export.cells import Cell, harmless
from billing.export.csv import BOM, csv_row
from billing.export.issuer import NOBODY, Issuer
from billing.export.noted import notes_issued
from billing.export.reading import Progress, read
from billing.invoice import Buyer, Invoice, InvoiceNumber, problems
from billing.money import plain, two_places
from billing.notes.note import Note
from billing.periods import Period
from billing.queries import Pool
from billing.tax import Split, split

FAPIAO_COLUMNS: Final = (
    "账单号 invoice_number",
    "账期 period",
    "商户编号 merchant_id",
    "购方名称 buyer_title",
    "购方税号 buyer_tax_no",
    "项目名称 item",
    "不含税金额 net",
    "税率 tax_rate",
    "税额 tax",
    "价税合计 gross",
    "缺少信息 missing",
    "备注 remark",
    "通知单号 note_number",
)
_NOTES: Final = {"credit": "贷项通知单", "debit": "借项通知单"}


async def export_fapiao(
    pool: Pool,
    selection: Selection,
    *,
    issuer: Issuer = NOBODY,
    bom: bool = False,
    progress: Progress | None = None,
) -> AsyncGenerator[bytes, None]:
    """UTF-8 CSV. Raises InvoiceInconsistent where the own sums of an invoice or note differ, InvoiceNotFound."""
    yield ((BOM if bom else "") + csv_row(FAPIAO_COLUMNS)).encode()
    async with aclosing(read(pool, selection, progress, by="binding")) as invoices:
        async for billed in invoices:
            yield _written(invoice_rows(billed.invoice), issuer)
    async with aclosing(notes_issued(pool, selection)) as notes:
        async for note, buyer in notes:
            yield _written(note_rows(note, buyer), issuer)


class Row(NamedTuple):
    """What there is to be invoiced under one tax, or by 红字 (below zero) to be taken back."""

    about: InvoiceNumber
    period: Period
    buyer: Buyer
    part: Split
    remark: str
    note_number: str = ""


def invoice_rows(invoice: Invoice) -> list[Row]:
    """A row for each tax of which something is due."""
    if found := problems(invoice):
        raise InvoiceInconsistent(f"invoice {invoice.number}: {'; '.join(found)}")
    remark = f"账期 {invoice.period}，账单 {invoice.number}"
    parts = split(invoice.taxes, invoice.carried_in)
    return [Row(invoice.number, invoice.period, invoice.buyer, part, remark) for part in parts if part.gross]


def note_rows(note: Note, buyer: Buyer) -> list[Row]:
    """A row for each tax of which something is due; below zero where the merchant gets it back."""
    remark = f"账期 {note.period}，账单 {note.invoice_number}，{_NOTES[note.kind]} {note.number}"
    return [
        Row(note.invoice_number, note.period, buyer, part, f"红字，{remark}" if part.gross < 0 else remark, note.number)
        for part in split(note.taxes)
        if part.gross
    ]


def _written(rows: list[Row], issuer: Issuer) -> bytes:
    return "".join(csv_row(_cells(row, issuer)) for row in rows).encode()


def _cells(row: Row, issuer: Issuer) -> list[Cell]:
    buyer, part = row.buyer, row.part
    wanted = {"购方名称": buyer.invoice_title, "购方税号": buyer.tax_no}
    return [
        harmless(row.about),
        str(row.period),
        harmless(buyer.merchant_id),
        harmless(buyer.invoice_title or ""),
        harmless(buyer.tax_no or ""),
        harmless(issuer.fapiao_item),
        two_places(part.net),
        plain(part.tax.rate),
        two_places(part.tax_amount),
        two_places(part.gross),
        "、".join(name for name, text in wanted.items() if not (text and text.strip())),
        row.remark,
        harmless(row.note_number),
    ]
