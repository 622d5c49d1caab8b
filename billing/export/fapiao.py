"""What the issuer of the tax invoice (发票) needs, as CSV: a row for each invoice and tax.

The gross amounts of an invoice add up to its amount due. An amount of 0.00 needs no 发票 and has no row. A header is
the Chinese name, a space, and a stable English name for programs.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from billing.details import Selection
from billing.errors import InvoiceInconsistent
from billing.export.cells import Cell, harmless
from billing.export.csv import BOM, csv_row
from billing.export.reading import Progress, read
from billing.invoice import Invoice, problems
from billing.money import plain, two_places
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
)
ITEM: Final = "虚拟号码服务费"


async def export_fapiao(
    pool: Pool, selection: Selection, *, bom: bool = False, progress: Progress | None = None
) -> AsyncGenerator[bytes, None]:
    """UTF-8 CSV. Raises InvoiceInconsistent where an invoice's own sums differ, InvoiceNotFound."""
    yield ((BOM if bom else "") + csv_row(FAPIAO_COLUMNS)).encode()
    async with aclosing(read(pool, selection, progress, by="binding")) as invoices:
        async for billed in invoices:
            yield "".join(csv_row(row) for row in fapiao_rows(billed.invoice)).encode()


def fapiao_rows(invoice: Invoice) -> list[list[Cell]]:
    """A row for each tax of which something is due."""
    if found := problems(invoice):
        raise InvoiceInconsistent(f"invoice {invoice.number}: {'; '.join(found)}")
    return [_row(invoice, part) for part in split(invoice.taxes, invoice.carried_in) if part.gross]


def _row(invoice: Invoice, part: Split) -> list[Cell]:
    buyer = invoice.buyer
    wanted = {"购方名称": buyer.invoice_title, "购方税号": buyer.tax_no}
    return [
        harmless(invoice.number),
        str(invoice.period),
        harmless(buyer.merchant_id),
        harmless(buyer.invoice_title or ""),
        harmless(buyer.tax_no or ""),
        ITEM,
        two_places(part.net),
        plain(part.tax.rate),
        two_places(part.tax_amount),
        two_places(part.gross),
        "、".join(name for name, text in wanted.items() if not (text and text.strip())),
        f"账期 {invoice.period}，账单 {invoice.number}",
    ]
