"""The files of a run: invoices, the detail rows of each month, rejected rows."""

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal, TextIO

import msgspec

from billing.alone.run import Billed
from billing.details import By
from billing.export import DETAIL_COLUMNS, harmless, invoice_head
from billing.export.csv import csv_row, csv_rows
from billing.invoice import Invoice, Item
from billing.money import plain, total

Format = Literal["json", "csv"]

REJECTED: Final = ("file", "line", "reason")
_HEAD: Final = (
    "number", "period", "merchant_id", "invoice_title", "tax_no", "closed_at", "rental_total", "call_total",
    "total_exact", "tax_exact", "carried_in", "balance", "amount_due", "carried_out",
)  # fmt: skip


def write_bills(billed: Iterable[Billed], folder: Path, form: Format, by: By) -> Iterator[Invoice]:
    """invoices.json or .csv, and details-YYYY-MM.csv as an export writes it, or with a row for each binding.

    Gives an invoice back when its rows are written.
    """
    with ExitStack() as files:
        heads = files.enter_context(_open(folder / f"invoices.{form}"))
        write_head, end = _HEADS[form](heads)
        month = ""
        for invoice, details in billed:
            if str(invoice.period) != month:
                month = str(invoice.period)
                rows = files.enter_context(_open(folder / f"details-{month}.csv"))
                rows.write(csv_row(DETAIL_COLUMNS))
            for detail in details:
                rows.writelines(csv_rows(detail, by))
            write_head(invoice)
            yield invoice
        end()


def write_rejected(rows: Iterable[tuple[str, int, str]], folder: Path) -> None:
    """rejected.csv, with no row if all is well."""
    with _open(folder / "rejected.csv") as file:
        writer = csv.writer(file)
        writer.writerow(REJECTED)
        writer.writerows([harmless(name), line, harmless(reason)] for name, line, reason in rows)


def _open(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="")


def _json_heads(file: TextIO) -> tuple[Callable[[Invoice], None], Callable[[], None]]:
    file.write('{"invoices":[')
    between = "\n"

    def write(invoice: Invoice) -> None:
        nonlocal between
        file.write(between + msgspec.json.encode(invoice_head(invoice)).decode())
        between = ",\n"

    return write, lambda: print("\n]}", file=file)


def _csv_heads(file: TextIO) -> tuple[Callable[[Invoice], None], Callable[[], None]]:
    writer = csv.writer(file)
    writer.writerow(_HEAD)

    def write(invoice: Invoice) -> None:
        head = {**invoice_head(invoice), **item_totals(invoice)}
        texts = {"merchant_id", "invoice_title", "tax_no", "number"}
        cells = {name: None if (cell := head[name]) is None else str(cell) for name in _HEAD}
        writer.writerow([harmless(cell) if cell and name in texts else cell for name, cell in cells.items()])

    return write, lambda: None


def item_totals(invoice: Invoice) -> dict[str, str]:
    """What rental and calls come to, exactly, without added tax."""
    items = {"rental_total": Item.RENTAL, "call_total": Item.CALL}
    return {
        name: plain(total(line.amount for line in invoice.lines if line.item is item)) for name, item in items.items()
    }


_HEADS: Final = {"json": _json_heads, "csv": _csv_heads}
