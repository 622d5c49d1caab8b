"""Usage by date: numbers, rental days, calls and what they cost."""

import asyncio
from datetime import date, datetime, timedelta

import msgspec

from vnum.finance import ZONE, Dates, Used, UsedOn, sum_of, usage_by_date
from vnum.model.bindings import MAX_LIFE
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.store import merchants as stored
from vnum.store.database import Database

USUAL_DAYS = 30
READERS = 2
"""Merchants whose usage is read at a time: the hot path has the other connections."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Every date of [since, until), and all of them together."""

    merchant_id: str
    since: date
    until: date
    days: list[UsedOn]
    sums: Used


class Usages:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._readers = asyncio.Semaphore(READERS)

    async def by_date(self, merchant_id: str, since: date | None = None, until: date | None = None) -> Usage:
        """Without dates the last 30, with today. Raises Refused (merchant_not_found), BillingRefusal (date_invalid)."""
        if not await stored.has(self._database, merchant_id):
            raise Refused(Code.MERCHANT_NOT_FOUND, f"merchant {merchant_id} is not registered")
        dates = _dates(since, until, await peek(self._clock, self._database))
        async with self._readers, self._database.acquire() as connection:
            days = await usage_by_date(connection, [merchant_id], dates)
        return Usage(merchant_id=merchant_id, since=dates.since, until=dates.until, days=days, sums=sum_of(days))


def _dates(since: date | None, until: date | None, now: datetime) -> Dates:
    until = until or now.astimezone(ZONE).date() + timedelta(days=1)
    since = since or date.fromordinal(max(1, until.toordinal() - USUAL_DAYS))
    return Dates(since=since, until=until, now=now, longest=MAX_LIFE)
