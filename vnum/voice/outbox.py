"""What is on its way from the spool to vnum: sent again and again until each item is settled."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

import msgspec
import structlog
from prometheus_client import Counter, Gauge
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from vnum.voice.contract import NoAnswer, Settled
from vnum.voice.spool import Kind, Spool, SpoolTrouble

log = structlog.get_logger()

MOST_WAIT_S: Final = 30.0


class _OfCall(Protocol):
    @property
    def call_id(self) -> str: ...


T = TypeVar("T", bound=_OfCall)


class Unsettled(Exception):
    """Some items were neither taken nor refused."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of items goes: so many at a time, counted so."""

    kind: Kind
    at_once: int
    waiting: Gauge
    settled: Counter


class Outbox(Generic[T]):
    """One item a call. `send` gives one result an item, in order, or raises NoAnswer."""

    def __init__(
        self, way: Way, spool: Spool, send: Callable[[list[T]], Awaitable[list[Settled]]], most_wait_s: float
    ) -> None:
        self._way = way
        self._spool = spool
        self._send = send
        self._waiting: dict[str, T] = {}
        self._more = asyncio.Event()
        self.settled = asyncio.Event()
        self.settled.set()
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type((NoAnswer, Unsettled)),
            wait=wait_random_exponential(multiplier=0.5, max=most_wait_s),
            before_sleep=self._told,
        )

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def add(self, item: T) -> None:
        self._waiting[item.call_id] = item
        self.settled.clear()
        self._way.waiting.set(len(self._waiting))
        self._more.set()

    async def post(self) -> None:
        """For as long as the switch runs."""
        while True:
            await self._more.wait()
            self._more.clear()
            await self._retrying(self.post_once)

    async def post_once(self) -> None:
        """All that wait, once. Raises NoAnswer, Unsettled."""
        waiting = list(self._waiting.values())
        for start in range(0, len(waiting), self._way.at_once):
            sent = waiting[start : start + self._way.at_once]
            for item, settled in zip(sent, await self._send(sent), strict=True):
                await self._settle(item, settled)
        if any(item.call_id in self._waiting for item in waiting):
            raise Unsettled

    async def _settle(self, item: T, settled: Settled) -> None:
        if not settled.done and not settled.refused:
            return
        kind = self._way.kind
        if settled.refused:
            log.error(f"{kind.name.lower()}_refused", call_id=item.call_id, status=settled.status, code=settled.code)
        try:
            await asyncio.to_thread(self._spool.remove if settled.done else self._spool.refuse, item.call_id, kind)
        except SpoolTrouble as trouble:  # posted again by the next switch: a duplicate
            log.error("spool_failed", call_id=item.call_id, trouble=str(trouble))
        self._way.settled.labels(settled.status).inc()
        self._waiting.pop(item.call_id, None)
        self._way.waiting.set(len(self._waiting))
        if not self._waiting:
            self.settled.set()

    def _told(self, state: RetryCallState) -> None:
        trouble = state.outcome.exception() if state.outcome else None
        why = getattr(trouble, "why", type(trouble).__name__)
        log.warning(f"{self._way.kind.name.lower()}s_wait", why=why, attempt=state.attempt_number)
