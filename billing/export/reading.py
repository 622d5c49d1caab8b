"""How every format reads: the selected invoices one after the other, and how far it is."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from billing.details import Billed, By, OneInvoice, Selection, stream_billed
from billing.invoices import count_invoices
from billing.queries import Pool

Progress = Callable[[int, int], None]
"""Told how many invoices are done, of how many."""


async def read(pool: Pool, selection: Selection, progress: Progress | None, by: By) -> AsyncGenerator[Billed, None]:
    """As `stream_billed`. Each invoice that was read to its end is told to `progress`."""
    of = await _count(pool, selection) if progress else 0
    done = 0
    async with aclosing(stream_billed(pool, selection, by=by)) as invoices:
        async for billed in invoices:
            yield billed
            done += 1
            if progress:
                progress(done, max(of, done))
            await asyncio.sleep(0)  # rows that are there already come without a wait: let others have a turn


async def _count(pool: Pool, selection: Selection) -> int:
    if isinstance(selection, OneInvoice):
        return 1
    async with pool.acquire() as connection:
        return await count_invoices(connection, selection.period, selection.merchant_ids)
