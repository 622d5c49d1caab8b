"""Invoices as JSON, for programs. It streams, in constant memory."""

import asyncio
import io
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from billing.details import OfPeriod, Selection
from billing.export.cells import detail_cells
from billing.export.heads import invoice_head
from billing.export.reading import Progress, read
from billing.queries import Pool

_FLUSH_CHARS: Final = 64 * 1024


async def export_json(
    pool: Pool, selection: Selection, *, progress: Progress | None = None
) -> AsyncGenerator[bytes, None]:
    """One invoice as an object; a period as {"period": ..., "invoices": [...]}. Raises as `stream_billed`."""
    buffer = io.StringIO()
    many = isinstance(selection, OfPeriod)
    if isinstance(selection, OfPeriod):
        buffer.write(f'{{"period":{_json(str(selection.period))},"invoices":[')
    comma = ""
    async with aclosing(read(pool, selection, progress, by="day")) as invoices:
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
                        await asyncio.sleep(0)  # as in `read`, where a merchant has many rows
                buffer.write("]")
            buffer.write("}")
            comma = ","
    buffer.write("]}" if many else "")
    yield _take(buffer)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _take(buffer: io.StringIO) -> bytes:
    piece = buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    return piece
