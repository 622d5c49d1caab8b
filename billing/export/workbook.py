"""A workbook of invoices, written row by row: each sheet is on the disk as far as it is written."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, Generic, TypeVar

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from billing.export.cells import harmless
from billing.export.columns import DETAILS, FORMATS, NOTES, SUMMARY, Column, Look, Value, created_at
from billing.invoice import Detail, Invoice
from billing.money import ZERO, total
from billing.notes.note import Note

ROWS_A_SHEET: Final = 1_000_000
"""A sheet holds 1,048,576 rows."""

T = TypeVar("T")

_SAFE: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
    "use_zip64": True,
}


class Workbook:
    """The sheets "Summary", then "Notes" if there are any, which are added first, then "Details 1", "Details 2"...

    It blocks: to be used off the event loop.
    """

    def __init__(self, path: Path, rows_a_sheet: int = ROWS_A_SHEET) -> None:
        self._book = xlsxwriter.Workbook(str(path), {**_SAFE, "tmpdir": str(path.parent)})
        self._formats: dict[Look, Format] = {
            look: self._book.add_format({"num_format": code}) for look, code in FORMATS.items()
        }
        self._bold = {
            look: self._book.add_format({"num_format": code, "bold": True, "top": 1}) for look, code in FORMATS.items()
        }
        self._header = self._book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bg_color": "#E8EEF4"})
        self._rows_a_sheet = rows_a_sheet
        self._summary = self._summed("Summary", SUMMARY)
        self._notes: _Summed[Note] | None = None
        self._details: Worksheet | None = None
        self._row = self._sheets = 0

    def add(self, rows: Sequence[Invoice | Note | Detail]) -> None:
        """Rows in their order, each on its sheet."""
        for row in rows:
            if isinstance(row, Detail):
                self._add_detail(row)
            elif isinstance(row, Note):
                self._notes = self._notes or self._summed("Notes", NOTES)
                self._notes.add(row)
            else:
                self._add_invoice(row)

    def close(self) -> None:
        """Adds the rows of totals, and makes the file of it."""
        self._end_details()
        self._summary.end()
        if self._notes:
            self._notes.end()
        self._book.close()

    def _add_invoice(self, invoice: Invoice) -> None:
        if not self._summary.rows:
            self._book.set_properties({"title": f"{invoice.period}", "created": created_at(invoice.closed_at)})
        self._summary.add(invoice)

    def _add_detail(self, detail: Detail) -> None:
        if self._details is None or self._row == self._rows_a_sheet:
            self._end_details()
            self._sheets += 1
            self._details = self._sheet(f"Details {self._sheets}", DETAILS)
            self._row = 0
        self._row += 1
        for at, column in enumerate(DETAILS):
            write(self._details, self._row, at, column.value(detail), self._formats[column.look])

    def _end_details(self) -> None:
        if self._details is not None:
            self._details.autofilter(0, 0, self._row, len(DETAILS) - 1)

    def _summed(self, name: str, columns: Sequence[Column[T]]) -> "_Summed[T]":
        return _Summed(self._sheet(name, columns), columns, self._formats, self._bold)

    def _sheet(self, name: str, columns: Sequence[Column[T]]) -> Worksheet:
        sheet = self._book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        sheet.set_row(0, 32)
        for at, column in enumerate(columns):
            sheet.set_column(at, at, column.width)
            sheet.write_string(0, at, column.header, self._header)
        return sheet


class _Summed(Generic[T]):
    """A sheet that ends with a row of totals."""

    def __init__(
        self, sheet: Worksheet, columns: Sequence[Column[T]], formats: dict[Look, Format], bold: dict[Look, Format]
    ) -> None:
        self.rows = 0
        self._sheet = sheet
        self._columns = columns
        self._formats = formats
        self._bold = bold
        self._sums = [ZERO] * len(columns)

    def add(self, row: T) -> None:
        self.rows += 1
        for at, column in enumerate(self._columns):
            value = column.value(row)
            write(self._sheet, self.rows, at, value, self._formats[column.look])
            if column.added and isinstance(value, Decimal):
                self._sums[at] = total([self._sums[at], value])

    def end(self) -> None:
        """The totals, and no row after them."""
        for at, column in enumerate(self._columns):
            if column.added:
                write(self._sheet, self.rows + 1, at, self._sums[at], self._bold[column.look])
        self._sheet.write_string(self.rows + 1, 0, "total 合计", self._bold["text"])


def write(sheet: Worksheet, row: int, at: int, value: Value, look: Format) -> None:
    """One cell; None leaves it empty."""
    if value is None:
        return
    if isinstance(value, str):
        sheet.write_string(row, at, harmless_text(value), look)
    elif isinstance(value, date | datetime):
        sheet.write_datetime(row, at, value, look)
    else:
        sheet.write_number(row, at, value, look)


def harmless_text(text: str) -> str:
    """As in CSV, since a workbook may be saved as one; and xlsxwriter takes a text in <r> and </r> for its own XML."""
    text = harmless(text)
    return f"'{text}" if text.startswith("<r>") else text
