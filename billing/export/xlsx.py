"""Invoices as a workbook: a summary with a row for each invoice, their notes, and the details, rental by binding.

A workbook is whole only at its end: it is made in a temporary folder and then sent, so that what does not add up is
refused before anything is sent.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Final

from billing.details import Selection
from billing.export.noted import notes_about
from billing.export.reading import Progress, read
from billing.export.scratch import Scratch, scratch
from billing.export.workbook import ROWS_A_SHEET, Workbook
from billing.invoice import Detail, Invoice
from billing.notes.note import Note
from billing.queries import Pool

_BATCH_ROWS: Final = 1000


async def export_xlsx(
    pool: Pool, selection: Selection, *, progress: Progress | None = None, rows_a_sheet: int = ROWS_A_SHEET
) -> AsyncGenerator[bytes, None]:
    """The file in pieces of 256 KiB. Raises as `stream_billed`, before the first piece."""
    async with scratch() as place:
        path = place.folder / "invoices.xlsx"
        book = await place.run(partial(Workbook, path, rows_a_sheet))
        await _add_notes(place, book, pool, selection)
        await _fill(place, book, pool, selection, progress)
        await place.run(book.close)
        async with aclosing(place.pieces(path)) as pieces:
            async for piece in pieces:
                yield piece


async def _add_notes(place: Scratch, book: Workbook, pool: Pool, selection: Selection) -> None:
    batch: list[Invoice | Note | Detail] = []
    async with aclosing(notes_about(pool, selection)) as notes:
        async for note, _ in notes:
            batch.append(note)
            if len(batch) >= _BATCH_ROWS:
                await place.hand_over(book.add, batch)
                batch = []
    await place.hand_over(book.add, batch)


async def _fill(place: Scratch, book: Workbook, pool: Pool, selection: Selection, progress: Progress | None) -> None:
    batch: list[Invoice | Note | Detail] = []
    async with aclosing(read(pool, selection, progress, by="binding")) as invoices:
        async for billed in invoices:
            batch.append(billed.invoice)
            async for detail in billed.details:
                batch.append(detail)
                if len(batch) >= _BATCH_ROWS:
                    await place.hand_over(book.add, batch)
                    batch = []
    await place.hand_over(book.add, batch)
