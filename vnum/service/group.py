"""Group commit: concurrent requests share one statement."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from vnum.model.acting import apart
from vnum.model.refusals import Code, Refused

T = TypeVar("T")
R = TypeVar("R")


PATIENCE_S = 0.004
"""How long a batch waits for company at the most."""


class Group(Generic[T, R]):
    """Runs what was submitted meanwhile as one batch, on a few lanes at once.

    Who is alone starts at once. Of a crowd a free lane waits until its share of those who lately were inside together
    has come, `company` at the most, but no longer than PATIENCE_S; for a statement of three costs hardly less than one
    of thirty. While all lanes are busy the queue grows, and the next free one takes up to `max_batch`. A lane works for
    many requests, so it acts for none of them (`vnum.model.acting`).
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        max_batch: int = 100,
        lanes: int = 4,
        company: int = 32,
        max_waiting: int = 20_000,
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._lanes = lanes
        self._company = min(company, max_batch)
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._busy: set[asyncio.Task[None]] = set()
        self._running = 0
        self._starting = False
        self._inside = 0
        self._peak = 0
        self._patience: asyncio.TimerHandle | None = None

    def submit(self, item: T) -> "asyncio.Future[R]":
        """The item's result once its batch is done. Raises Refused (overloaded) when too many wait."""
        if len(self._waiting) >= self._max_waiting:
            raise Refused(Code.OVERLOADED, f"{self._max_waiting} requests wait already; try again shortly")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._inside += 1
        self._peak = max(self._peak, self._inside)
        self._consider()
        return future

    def _consider(self) -> None:
        """Starts a batch on a free lane, now or a little later."""
        if not self._waiting or self._starting or self._running == self._lanes:
            return
        enough = min(self._company, -(-self._peak // self._lanes))
        if len(self._waiting) >= enough:
            self._start()
        elif self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(PATIENCE_S, self._start)

    def _start(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._waiting and not self._starting and self._running < self._lanes:
            self._starting = True
            self._running += 1
            self._peak = max(self._inside, self._peak * 7 // 8)  # a crowd is forgotten by and by
            task = asyncio.create_task(self._lane(), context=apart())
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)

    async def _lane(self) -> None:
        try:
            try:
                await asyncio.sleep(0)  # those whose requests were read in the same turn of the loop come along
            finally:
                self._starting = False
            await self._batch()
        finally:
            self._running -= 1
        self._consider()

    async def _batch(self) -> None:
        size = min(self._max_batch, len(self._waiting))
        batch = [self._waiting.popleft() for _ in range(size)]
        self._consider()
        try:
            results = await self._run([item for item, _ in batch])
        except BaseException as trouble:
            self._inside -= size
            for _, future in batch:
                if not future.done():
                    future.set_exception(trouble if isinstance(trouble, Exception) else Interrupted())
            if not isinstance(trouble, Exception):
                raise
            return
        self._inside -= size
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)


class Interrupted(Exception):
    """The process stops before the batch was done: its outcome is not known."""
