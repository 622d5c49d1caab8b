"""A workbook of invoices, written row by row: each sheet is on the disk as far as it is written."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from billing.export.cells import harmless
from billing.export.columns import DETAILS, FORMATS, SUMMARY, Column, Look, Value, created_at
from billing.invoice import Detail, Invoice
from billing.money import ZERO, total

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
    """The sheets "Summary", then "Details 1", "Details 2"... It blocks: to be used off the event loop."""

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
        self._summary = self._sheet("Summary", SUMMARY)
        self._sums = [ZERO] * len(SUMMARY)
        self._invoices = 0
        self._details: Worksheet | None = None
        self._row = self._sheets = 0

    def add(self, rows: Sequence[Invoice | Detail]) -> None:
        """Rows in their order; invoices go on the first sheet."""
        for row in rows:
            if isinstance(row, Invoice):
                self._add_invoice(row)
            else:
                self._add_detail(row)

    def close(self) -> None:
        """Adds the total row, and makes the file of it."""
        self._end_details()
        for at, column in enumerate(SUMMARY):
            if column.added:
                self._write(self._summary, self._invoices + 1, at, self._sums[at], self._bold[column.look])
        self._summary.write_string(self._invoices + 1, 0, "total 合计", self._bold["text"])
        self._book.close()

    def _add_invoice(self, invoice: Invoice) -> None:
        if not self._invoices:
            self._book.set_properties({"title": f"{invoice.period}", "created": created_at(invoice.closed_at)})
        self._invoices += 1
        for at, column in enumerate(SUMMARY):
            value = column.value(invoice)
            self._write(self._summary, self._invoices, at, value, self._formats[column.look])
            if column.added and isinstance(value, Decimal):
                self._sums[at] = total([self._sums[at], value])

    def _add_detail(self, detail: Detail) -> None:
        if self._details is None or self._row == self._rows_a_sheet:
            self._end_details()
            self._sheets += 1
            self._details = self._sheet(f"Details {self._sheets}", DETAILS)
            self._row = 0
        self._row += 1
        for at, column in enumerate(DETAILS):
            self._write(self._details, self._row, at, column.value(detail), self._formats[column.look])

    def _end_details(self) -> None:
        if self._details is not None:
            self._details.autofilter(0, 0, self._row, len(DETAILS) - 1)

    def _sheet(self, name: str, columns: Sequence[Column[T]]) -> Worksheet:
        sheet = self._book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        sheet.set_row(0, 32)
        for at, column in enumerate(columns):
            sheet.set_column(at, at, column.width)
            sheet.write_string(0, at, column.header, self._header)
        return sheet

    @staticmethod
    def _write(sheet: Worksheet, row: int, at: int, value: Value, look: Format) -> None:
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
