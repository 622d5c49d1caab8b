"""The journal of a running switch: its calls' files, and what has ended or was marked on its way to vnum."""

import asyncio
from typing import Final, Protocol

import structlog

from vnum.voice import meters
from vnum.voice.contract import MOST_RECORDS, Mark, Record, Settled
from vnum.voice.line import Clock
from vnum.voice.outbox import MOST_WAIT_S, Outbox, Way
from vnum.voice.spool import Kind, Spool, SpoolTrouble, Stage

log = structlog.get_logger()

BEAT_S: Final = 1.0
RECORDS: Final = Way(kind=Kind.RECORD, at_once=MOST_RECORDS, waiting=meters.SPOOL, settled=meters.RECORDS)
MARKS: Final = Way(kind=Kind.MARK, at_once=1, waiting=meters.SPOOL_MARKS, settled=meters.MARKS)


class Takes(Protocol):
    async def report(self, records: list[Record]) -> list[Settled]:
        """Raises NoAnswer."""

    async def mark(self, mark: Mark) -> Settled:
        """Raises NoAnswer."""


class Records:
    """Files of calls; records and marks are posted."""

    def __init__(self, spool: Spool, vnum: Takes, clock: Clock, *, most_wait_s: float = MOST_WAIT_S) -> None:
        self._spool = spool
        self._vnum = vnum
        self._clock = clock
        self._running: set[str] = set()
        self.ended = Outbox(RECORDS, spool, vnum.report, most_wait_s)
        self.marks = Outbox(MARKS, spool, self._mark, most_wait_s)

    async def recover(self) -> None:
        """What an earlier switch left is posted by this one. Raises SpoolTrouble."""
        found = await asyncio.to_thread(self._spool.find)
        for record in found.records:
            self.ended.add(record)
        for mark in found.marks:
            self.marks.add(mark)
        meters.RECOVERED.inc(found.recovered)
        meters.UNREADABLE.inc(found.unreadable)
        if found.records or found.marks or found.unreadable:
            log.warning(
                "spool_found",
                records=len(found.records),
                marks=len(found.marks),
                recovered=found.recovered,
                unreadable=found.unreadable,
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
            self.ended.add(record)

    async def mark(self, mark: Mark) -> None:
        try:
            await asyncio.to_thread(self._spool.write_mark, mark)
        except SpoolTrouble as trouble:
            log.error("spool_failed", call_id=mark.call_id, trouble=str(trouble))
        finally:
            self.marks.add(mark)

    @property
    def waiting(self) -> int:
        return self.ended.waiting + self.marks.waiting

    async def until_settled(self) -> None:
        await asyncio.gather(self.ended.settled.wait(), self.marks.settled.wait())

    async def post(self) -> None:
        """For as long as the switch runs."""
        await asyncio.gather(self.ended.post(), self.marks.post())

    async def post_once(self) -> None:
        """All that wait, once. Raises NoAnswer, Unsettled."""
        await self.ended.post_once()
        await self.marks.post_once()

    async def beat(self) -> None:
        """While calls run, the time once a second, for whoever comes after a kill."""
        while True:
            if self._running:
                try:
                    self._spool.beat(self._clock.utc())
                except SpoolTrouble as trouble:
                    log.error("heartbeat_failed", trouble=str(trouble))
            await asyncio.sleep(BEAT_S)

    async def _mark(self, marks: list[Mark]) -> list[Settled]:
        return [await self._vnum.mark(mark) for mark in marks]
