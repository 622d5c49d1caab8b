"""What a merchant spent in the running month, against his alert and his cap.

Both are amounts in CNY a calendar month of Asia/Shanghai, with added tax. From the alert on a worker warns, once a
month; from the cap on no new number is lent. What is lent goes on: calls, routes, labels, extensions, and the re-issue
for a parcel that is under way, whatever they cost.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial

import msgspec
import structlog
from asyncpg import Record

from vnum.finance import ZERO, Period, first_day_prices, plain, spent, times, total
from vnum.model.bindings import MAX_LIFE
from vnum.model.refusals import Code, Refusal, Refused
from vnum.service.clock import Clock, peek
from vnum.store import merchants as stored
from vnum.store.database import Database

log = structlog.get_logger()

REMEMBERED = timedelta(seconds=10)
"""How long a worker goes by what it read, adding its own bindings; what others add meanwhile it learns after that."""


READERS = 2
"""Merchants whose spending is read at a time for binds, and as many for those who ask."""

READINGS = 3
"""How often a bind looks again whether what it knows holds: limits may be changing."""


class SpendState(StrEnum):
    OK = "ok"
    ALERT = "alert"
    CAPPED = "capped"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """None = no limit."""

    spend_cap: Decimal | None = None
    spend_alert: Decimal | None = None

    def state(self, amount: Decimal) -> SpendState:
        """Where an amount lies; a limit that is reached counts."""
        if self.spend_cap is not None and amount >= self.spend_cap:
            return SpendState.CAPPED
        return SpendState.ALERT if self.spend_alert is not None and amount >= self.spend_alert else SpendState.OK


NO_LIMITS = Limits()


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """Of a merchant's running month."""

    period: Period
    spent: Decimal
    limits: Limits

    @property
    def state(self) -> SpendState:
        return self.limits.state(self.spent)


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """A new binding that a merchant with a limit asks for; `always` = for a parcel under way, whatever was spent."""

    merchant_id: str
    limits: Limits
    always: bool = False


def limits_of(record: Record) -> Limits:
    """From the columns of a merchant; the very NO_LIMITS where there is none, as with most."""
    if record["spend_cap"] is None and record["spend_alert"] is None:
        return NO_LIMITS
    return Limits(spend_cap=record["spend_cap"], spend_alert=record["spend_alert"])


class _Known(msgspec.Struct, kw_only=True):
    """What a worker knows of a merchant: the sum that it read at an instant, and its own bindings since then.

    `under_way` bindings were admitted and are being written; `made` were written after the sum was read.
    """

    limits: Limits
    read_at: datetime
    amount: Decimal
    first_day: Decimal
    made: int = 0
    under_way: int = 0

    @property
    def spent(self) -> Decimal:
        return total([self.amount, times(self.first_day, self.made + self.under_way)])

    def holds(self, limits: Limits, now: datetime) -> bool:
        """Not if a limit was changed, if it is old, or of another month."""
        fresh = abs(now - self.read_at) < REMEMBERED
        return fresh and self.limits == limits and Period.of(self.read_at) == Period.of(now)


class Spending:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._warned: dict[str, Period] = {}
        self._readings: dict[str, asyncio.Task[None]] = {}
        self._readers = asyncio.Semaphore(READERS)
        self._reports = asyncio.Semaphore(READERS)

    async def of(self, merchant_id: str) -> Spend:
        """As it stands now, read anew. Raises Refused (merchant_not_found)."""
        limits = await stored.limits(self._database, merchant_id)
        if limits is None:
            raise Refused(Code.MERCHANT_NOT_FOUND, f"merchant {merchant_id} is not registered")
        now = await peek(self._clock, self._database)
        async with self._reports, self._database.acquire() as connection:
            amounts = await spent(connection, [merchant_id], now, MAX_LIFE)
        return Spend(period=Period.of(now), spent=amounts[merchant_id], limits=limits_of(limits))

    async def admit(self, wanted: Sequence[Wanted], now: datetime) -> list[Refusal | None]:
        """For each, in order, None or why not. Who is admitted counts from now on; `settle` says what became of it.

        No connection may be held here: this takes one.
        """
        for _ in range(READINGS):
            old = {one.merchant_id: one.limits for one in wanted if not self._holds(one, now)}
            if not old:
                break
            await asyncio.gather(*(asyncio.shield(self._reading(name, old[name], now)) for name in old))
        self._read_ahead(wanted, now)
        return [self._admit(one, now) for one in wanted]

    def settle(self, merchant_id: str, *, bound: bool) -> None:
        """What was admitted was bound, or not."""
        known = self._known[merchant_id]
        known.under_way -= 1
        known.made += bound

    def _holds(self, wanted: Wanted, now: datetime) -> bool:
        known = self._known.get(wanted.merchant_id)
        return known is not None and known.holds(wanted.limits, now)

    def _read_ahead(self, wanted: Sequence[Wanted], now: datetime) -> None:
        """Before what is known is old, so that a merchant who binds all the time does not keep others waiting."""
        for one in wanted:
            if now - self._known[one.merchant_id].read_at >= REMEMBERED / 2:
                self._reading(one.merchant_id, one.limits, now)

    def _reading(self, merchant_id: str, limits: Limits, now: datetime) -> "asyncio.Task[None]":
        """The one that is under way, or a new one."""
        if merchant_id not in self._readings:
            task = asyncio.create_task(self._read(merchant_id, limits, now))
            self._readings[merchant_id] = task
            task.add_done_callback(partial(self._read_done, merchant_id))
        return self._readings[merchant_id]

    def _read_done(self, merchant_id: str, task: "asyncio.Task[None]") -> None:
        """Trouble is for those who wait; of one that was read ahead the next hears."""
        del self._readings[merchant_id]
        if not task.cancelled():
            task.exception()

    async def _read(self, merchant_id: str, limits: Limits, now: datetime) -> None:
        """What is written while this reads may be counted twice, until the next time; never not at all."""
        async with self._readers, self._database.acquire() as connection:
            before = self._known.get(merchant_id)
            made = before.made if before else 0
            amounts = await spent(connection, [merchant_id], now, MAX_LIFE)
            prices = await first_day_prices(connection, [merchant_id], now)
        self._known[merchant_id] = _Known(
            limits=limits,
            read_at=now,
            amount=amounts[merchant_id],
            first_day=prices.get(merchant_id, ZERO),
            made=before.made - made if before else 0,
            under_way=before.under_way if before else 0,
        )

    def _admit(self, wanted: Wanted, now: datetime) -> Refusal | None:
        known = self._known[wanted.merchant_id]
        self._warn(wanted.merchant_id, known, now)
        if not wanted.always and wanted.limits.state(known.spent) is SpendState.CAPPED:
            return _capped(wanted, Period.of(now))
        known.under_way += 1
        return None

    def _warn(self, merchant_id: str, known: _Known, now: datetime) -> None:
        """Once a merchant and month."""
        alert, period = known.limits.spend_alert, Period.of(now)
        if alert is None or known.spent < alert or self._warned.get(merchant_id) == period:
            return
        self._warned[merchant_id] = period
        log.warning(
            "spend_alert", merchant_id=merchant_id, period=str(period), spent=plain(known.spent), alert=plain(alert)
        )


def _capped(wanted: Wanted, period: Period) -> Refusal:
    assert wanted.limits.spend_cap is not None
    return Refusal(
        code=Code.SPEND_CAP_REACHED,
        detail=f"merchant {wanted.merchant_id} has spent his cap of {plain(wanted.limits.spend_cap)} CNY for {period}: "
        "no new numbers until it is raised or the month is over; what is bound goes on",
    )
