"""Invoices as CSV, for spreadsheets: a row for each charged day and call. It streams, in constant memory.

A free text that would be a formula gets a quote in front. What was written is to be thrown away when an export ends
with InvoiceInconsistent.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Final

import msgspec

from billing.details import By, Selection
from billing.export.cells import DETAIL_COLUMNS, FREE_TEXT, Cell, detail_cells, harmless
from billing.export.days import days_of
from billing.export.reading import Progress, read
from billing.invoice import RENTAL_KINDS, Detail
from billing.queries import Pool

BOM: Final = "\ufeff"
"""Makes spreadsheets read the file as UTF-8."""

_FLUSH_ROWS: Final = 512
_QUOTED: Final = re.compile(r'[",\r\n]')
_DATE, _BEGIN, _END = (DETAIL_COLUMNS.index(column) for column in ("biz_date", "starts_at", "ends_at"))


async def export_csv(
    pool: Pool, selection: Selection, *, bom: bool = False, progress: Progress | None = None
) -> AsyncGenerator[bytes, None]:
    """The detail rows as UTF-8 with a header row, in pieces of some 64 KiB. Raises as `stream_billed`."""
    rows = [(BOM if bom else "") + csv_row(DETAIL_COLUMNS)]
    async with aclosing(read(pool, selection, progress, by="binding")) as invoices:
        async for billed in invoices:
            async for detail in billed.details:
                rows += csv_rows(detail)
                if len(rows) >= _FLUSH_ROWS:
                    yield "".join(rows).encode()
                    rows.clear()
                    await asyncio.sleep(0)  # as in `read`, where a merchant has many rows
    yield "".join(rows).encode()


def csv_row(cells: Iterable[Cell]) -> str:
    """A row as RFC 4180 has it. Free text is to be `harmless` already."""
    return ",".join(map(_cell, cells)) + "\r\n"


def csv_rows(detail: Detail, by: By = "day") -> list[str]:
    """A detail that stands for a whole binding, as a row for each of its days, or as it is."""
    if by == "binding" or detail.kind not in RENTAL_KINDS:
        return [csv_row(_cells(detail))]
    one_day = msgspec.structs.replace(detail, bill_duration=1, units=1, cost=detail.rate)
    cells = [_cell(cell) for cell in _cells(one_day)]
    head, middle, tail = (",".join(part) for part in (cells[:_DATE], cells[_DATE + 1 : _BEGIN], cells[_END + 1 :]))
    return [f"{head},{day},{middle},{begins},{ends},{tail}\r\n" for day, begins, ends in days_of(detail)]


def _cells(detail: Detail) -> list[Cell]:
    return [
        harmless(cell) if column in FREE_TEXT and isinstance(cell, str) else cell
        for column, cell in detail_cells(detail).items()
    ]


def _cell(cell: Cell) -> str:
    if cell is None:
        return ""
    text = str(cell)
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
