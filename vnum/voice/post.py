"""Records on their way from the spool to vnum, again and again until each is settled; the journal that feeds it."""

import asyncio
from typing import Final, Protocol

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from vnum.voice import meters
from vnum.voice.contract import MOST_RECORDS, NoAnswer, Record, Settled
from vnum.voice.line import Clock
from vnum.voice.spool import Spool, SpoolTrouble, Stage

log = structlog.get_logger()

MOST_WAIT_S: Final = 30.0
BEAT_S: Final = 1.0


class Takes(Protocol):
    async def report(self, records: list[Record]) -> list[Settled]:
        """Raises NoAnswer."""


class Unsettled(Exception):
    """Some records were neither taken nor refused."""


class Records:
    """The journal of a running switch: files of calls, and what has ended is posted."""

    def __init__(self, spool: Spool, vnum: Takes, clock: Clock, *, most_wait_s: float = MOST_WAIT_S) -> None:
        self._spool = spool
        self._vnum = vnum
        self._clock = clock
        self._waiting: dict[str, Record] = {}
        self._running: set[str] = set()
        self._more = asyncio.Event()
        self.settled = asyncio.Event()
        self.settled.set()
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type((NoAnswer, Unsettled)),
            wait=wait_random_exponential(multiplier=0.5, max=most_wait_s),
            before_sleep=_told,
        )

    async def recover(self) -> None:
        """What an earlier switch left is posted by this one. Raises SpoolTrouble."""
        found = await asyncio.to_thread(self._spool.find)
        for record in found.records:
            self._wait_for(record)
        meters.RECOVERED.inc(found.recovered)
        meters.UNREADABLE.inc(found.unreadable)
        if found.records or found.unreadable:
            log.warning(
                "spool_found", records=len(found.records), recovered=found.recovered, unreadable=found.unreadable
            )

    async def intend(self, record: Record) -> None:
        await asyncio.to_thread(self._spool.write, Stage.INTENDED, record, sync=False)
        self._running.add(record.call_id)

    async def answer(self, record: Record) -> None:
        await asyncio.to_thread(self._spool.write, Stage.ANSWERED, record, sync=True)
        self._spool.beat(self._clock.utc())

    async def end(self, record: Record) -> None:
        self._running.discard(record.call_id)
        try:
            await asyncio.to_thread(self._spool.write, Stage.ENDED, record, sync=True)
        except SpoolTrouble as trouble:
            log.error("spool_failed", call_id=record.call_id, trouble=str(trouble))
        finally:
            self._wait_for(record)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def post(self) -> None:
        """For as long as the switch runs."""
        while True:
            await self._more.wait()
            self._more.clear()
            await self._retrying(self.post_once)

    async def post_once(self) -> None:
        """All that wait, once. Raises NoAnswer, Unsettled."""
        waiting = list(self._waiting.values())
        for start in range(0, len(waiting), MOST_RECORDS):
            sent = waiting[start : start + MOST_RECORDS]
            for record, settled in zip(sent, await self._vnum.report(sent), strict=True):
                await self._settle(record, settled)
        if any(record.call_id in self._waiting for record in waiting):
            raise Unsettled

    async def beat(self) -> None:
        """While calls run, the time once a second, for whoever comes after a kill."""
        while True:
            if self._running:
                try:
                    self._spool.beat(self._clock.utc())
                except SpoolTrouble as trouble:
                    log.error("heartbeat_failed", trouble=str(trouble))
            await asyncio.sleep(BEAT_S)

    def _wait_for(self, record: Record) -> None:
        self._waiting[record.call_id] = record
        self.settled.clear()
        meters.SPOOL.set(len(self._waiting))
        self._more.set()

    async def _settle(self, record: Record, settled: Settled) -> None:
        if not settled.done and not settled.refused:
            return
        if settled.refused:
            log.error("record_refused", call_id=record.call_id, status=settled.status, code=settled.code)
        try:
            await asyncio.to_thread(self._spool.remove if settled.done else self._spool.refuse, record.call_id)
        except SpoolTrouble as trouble:  # posted again by the next switch: a duplicate
            log.error("spool_failed", call_id=record.call_id, trouble=str(trouble))
        meters.RECORDS.labels(settled.status).inc()
        self._waiting.pop(record.call_id, None)
        meters.SPOOL.set(len(self._waiting))
        if not self._waiting:
            self.settled.set()


def _told(state: RetryCallState) -> None:
    trouble = state.outcome.exception() if state.outcome else None
    log.warning("records_wait", why=getattr(trouble, "why", type(trouble).__name__), attempt=state.attempt_number)
