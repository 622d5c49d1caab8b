"""What a run came to, for people."""

from pathlib import Path
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from billing.alone.gathering import Counts
from billing.alone.writing import item_totals
from billing.invoice import Invoice
from billing.money import ZERO, plain, total, two_places

SHOWN: Final = 40
"""So many invoices are printed; all of them stand in the files."""

_WIDTH: Final = 120


class Overview:
    """The first invoices, and the sums of all, in CNY."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.rejected = 0
        self.invoices = 0
        self._shown: list[tuple[str, ...]] = []
        self._exact = self._tax = self._due = ZERO

    def add(self, invoice: Invoice) -> None:
        """Count one in."""
        self.invoices += 1
        self._exact = total([self._exact, invoice.total_exact])
        self._tax = total([self._tax, invoice.tax_exact])
        self._due = total([self._due, invoice.amount_due])
        if self.invoices <= SHOWN:
            self._shown.append(_cells(invoice))

    def show(self, out: Path) -> None:
        """Print it."""
        table = Table("invoice", "month", "merchant", box=SIMPLE, show_footer=True)
        sums = ["", "", plain(self._exact), plain(self._tax), "", two_places(self._due)]
        for column, footer in zip(("rental", "calls", "exact", "added tax", "carried in", "due"), sums, strict=True):
            table.add_column(column, footer=footer, justify="right")
        table.columns[0].footer = f"{self.invoices} in all"
        for cells in self._shown:
            table.add_row(*cells)
        console = Console(width=_WIDTH, highlight=False, markup=False)
        console.print(table)
        if self.invoices > SHOWN:
            console.print(f"the first {SHOWN} of {self.invoices} invoices; all of them are in the folder")
        counts = self.counts
        console.print(
            f"{counts.rows} rows: {counts.rentals} bindings and {counts.calls} calls billed, {counts.unanswered} calls "
            f"not answered, {counts.outside} outside of these months, {counts.duplicates} that stood there already, "
            f"{self.rejected} rejected",
            soft_wrap=True,
        )
        console.print(f"written to {out}", soft_wrap=True)


def _cells(invoice: Invoice) -> tuple[str, ...]:
    items = item_totals(invoice)
    return (
        invoice.number,
        str(invoice.period),
        invoice.buyer.merchant_id,
        items["rental_total"],
        items["call_total"],
        plain(invoice.total_exact),
        plain(invoice.tax_exact),
        plain(invoice.carried_in),
        two_places(invoice.amount_due),
    )
