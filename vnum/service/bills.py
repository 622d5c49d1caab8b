"""Daily bills: what each date cost, charge by charge. A tied key sees its merchants' only."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date

from vnum.finance import Chosen, DailyPage, daily_csv, daily_page
from vnum.model.bindings import MAX_LIFE
from vnum.service.clock import Clock, peek
from vnum.service.keys import Tie, within
from vnum.store.database import Database

MOST_ROWS = 1_000
READERS = 2
"""Dates read at a time: one of all merchants looks at every live binding."""


class Bills:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._readers = asyncio.Semaphore(READERS)

    async def page(
        self, biz_date: date, merchant_id: str | None = None, *, tie: Tie = None, page_no: int = 1, page_size: int = 100
    ) -> DailyPage:
        """Some rows of a date, and the count and sum of them all. Raises BillingRefusal (date_invalid)."""
        chosen = await self._chosen(biz_date, merchant_id, tie)
        async with self._readers, self._database.acquire() as connection:
            return await daily_page(connection, chosen, page_no=page_no, page_size=page_size)

    async def file(self, biz_date: date, merchant_id: str | None = None) -> AsyncGenerator[bytes, None]:
        """All rows of a date as CSV, in pieces. Raises BillingRefusal (date_invalid)."""
        chosen = await self._chosen(biz_date, merchant_id, None)
        async with aclosing(daily_csv(self._database, chosen)) as pieces:
            async for piece in pieces:
                yield piece

    async def _chosen(self, biz_date: date, merchant_id: str | None, tie: Tie) -> Chosen:
        now = await peek(self._clock, self._database)
        return Chosen(biz_date=biz_date, now=now, merchant_ids=within(tie, merchant_id), longest=MAX_LIFE)
