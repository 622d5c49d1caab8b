"""What switches do of ordered calls: take them, waiting for the next, and tell what they are at."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Annotated

import msgspec
from asyncpg import Record

from vnum.meters import DIALS
from vnum.model.acting import acting
from vnum.model.cells import cell_of
from vnum.model.dials import RING_S, SAY_WITHIN, CallState, DialFailure, DialState
from vnum.model.fields import CallId, Instant, Name
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.service.dial_care import DialCare
from vnum.service.dials import AGENT
from vnum.store import dials as stored
from vnum.store.bell import Bell
from vnum.store.database import Database
from vnum.vault import Vault

LOOK_AGAIN_S = 5.0
"""How often whoever waits looks by himself: for orders that come back, and should the bell be missed."""

AHEAD = timedelta(minutes=5)
"""How far a switch's clock may be ahead of ours."""

MOST_STATES = 1_000


class TakeDials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`wait_seconds` = how long to wait for the first, if there is none."""

    most: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    wait_seconds: Annotated[int, msgspec.Meta(ge=0, le=30)] = 20


class DialToMake(msgspec.Struct, frozen=True, kw_only=True):
    """Ring `agent` (E.164) showing `display_number`, for `max_ring_seconds` at most; when he answers ask route with
    this call_id, caller = agent, this host, digits = this extension."""

    call_id: str
    agent: str
    host: str
    extension: str
    display_number: str
    max_ring_seconds: int

    def __repr__(self) -> str:
        return f"DialToMake({self.call_id})"


class StateOfCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a call came to at the switch, and when; `host` is taken, and needed for nothing."""

    call_id: CallId
    state: CallState
    at: Instant
    host: Name | None = None


class ToldState(msgspec.Struct, frozen=True, kw_only=True):
    """`new` = it was not told before."""

    call_id: str
    state: CallState
    new: bool


class DialTaker:
    def __init__(self, database: Database, vault: Vault, clock: Clock, cells: int, bell: Bell, care: DialCare) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._cells = cells
        self.bell = bell
        self._care = care

    async def take(self, asked: TakeDials, there: Callable[[], bool] = lambda: True) -> list[DialToMake]:
        """Up to `most` orders, each for this switch alone; waits for the first up to `wait_seconds`. `there` = whether
        the switch still waits: one that was killed meanwhile would keep an order from the next for SAY_WITHIN."""
        until_s = time.monotonic() + asked.wait_seconds
        event = await self.bell.listen()
        try:
            while True:
                event.clear()
                if not there():
                    return []
                if found := await self._take(asked.most):
                    return found
                left_s = until_s - time.monotonic()
                if left_s <= 0 or self.bell.closed:
                    return []
                try:
                    async with asyncio.timeout(min(left_s, LOOK_AGAIN_S)):
                        await event.wait()
                except TimeoutError:
                    continue
        finally:
            self.bell.leave(event)

    async def tell(self, items: Sequence[StateOfCall]) -> list[ToldState]:
        """A result an item, in order. Raises Refused (time_in_future)."""
        now = await peek(self._clock, self._database)
        if any(item.at > now + AHEAD for item in items):
            raise Refused(Code.TIME_IN_FUTURE, "at: more than five minutes ahead")
        told = [(cell_of(self._cells, one.call_id), one.call_id, one.state.value, one.at) for one in items]
        records = await stored.tell(self._database, told, now, DialFailure.FAILED)
        for record in records:
            if record["moved"] is not None:
                DIALS.labels(record["moved"], record["code"] or "").inc()
        new = Counter((record["call_id"], record["state"]) for record in records)
        results = []
        for item in items:
            first = new[item.call_id, item.state] > 0
            new[item.call_id, item.state] = 0
            results.append(ToldState(call_id=item.call_id, state=item.state, new=first))
        return results

    async def close(self) -> None:
        await self.bell.close()

    async def _take(self, most: int) -> list[DialToMake]:
        now = await peek(self._clock, self._database)
        found: list[DialToMake] = []
        for cell in range(self._cells):
            await self._care.give_up(cell, now)
            if len(found) < most:
                by = acting().by
                rows = await stored.take(self._database, cell, now, now - SAY_WITHIN, by, most - len(found))
                await self._vault.know(*(row["key_id"] for row in rows))
                found += [self._to_make(row) for row in sorted(rows, key=lambda row: row["ordered_at"])]
        for _ in found:
            DIALS.labels(DialState.TAKEN, "").inc()
        return found

    def _to_make(self, row: Record) -> DialToMake:
        return DialToMake(
            call_id=row["call_id"],
            agent=self._vault.open(row["agent"], row["call_id"], AGENT, row["key_id"]),
            host=row["host"],
            extension=row["extension"],
            display_number=row["host"],
            max_ring_seconds=RING_S,
        )
