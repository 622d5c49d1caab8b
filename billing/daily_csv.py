"""Daily bills as a CSV file: the fixed eight columns, UTF-8 with a header row, in constant memory."""

import csv
import io
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from billing.daily import Charge, Chosen, stream_daily
from billing.export import harmless
from billing.money import plain
from billing.queries import Pool

COLUMNS: Final = Charge.__struct_fields__
_FLUSH_CHARS: Final = 64 * 1024


async def daily_csv(pool: Pool, chosen: Chosen) -> AsyncGenerator[bytes, None]:
    """The file in pieces of some 64 KiB. Raises as `stream_daily`."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    async with aclosing(stream_daily(pool, chosen)) as charges:
        async for charge in charges:
            writer.writerow(_cells(charge))
            if buffer.tell() >= _FLUSH_CHARS:
                yield _take(buffer)
    yield _take(buffer)


def _cells(charge: Charge) -> list[str | int | None]:
    return [
        harmless(charge.merchant_id),
        charge.biz_date.isoformat(),
        int(charge.bill_item),
        charge.bill_duration,
        plain(charge.cost),
        harmless(charge.order_id),
        str(charge.binding_id),
        None if charge.call_id is None else harmless(charge.call_id),
    ]


def _take(buffer: io.StringIO) -> bytes:
    piece = buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    return piece
