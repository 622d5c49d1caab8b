"""Group commit: concurrent requests share one statement."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from vnum.model.acting import apart
from vnum.model.refusals import Code, Refused

T = TypeVar("T")
R = TypeVar("R")


class Group(Generic[T, R]):
    """Runs what was submitted meanwhile as one batch, on a few lanes at once.

    An idle lane starts at once; while all are busy the queue grows, and the next free lane takes all of it up to
    `max_batch`. A lane works for many requests, so it acts for none of them (`vnum.model.acting`). Nothing waits for
    company, so a batch waits no longer than the one before it takes.
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        max_batch: int = 100,
        lanes: int = 4,
        max_waiting: int = 20_000,
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._idle = lanes
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._busy: set[asyncio.Task[None]] = set()

    def submit(self, item: T) -> "asyncio.Future[R]":
        """The item's result once its batch is done. Raises Refused (overloaded) when too many wait."""
        if len(self._waiting) >= self._max_waiting:
            raise Refused(Code.OVERLOADED, f"{self._max_waiting} requests wait already; try again shortly")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._idle:
            self._idle -= 1
            task = asyncio.create_task(self._lane(), context=apart())
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)
        return future

    async def _lane(self) -> None:
        try:
            while self._waiting:
                await self._batch()
        finally:
            self._idle += 1

    async def _batch(self) -> None:
        size = min(self._max_batch, len(self._waiting))
        batch = [self._waiting.popleft() for _ in range(size)]
        try:
            results = await self._run([item for item, _ in batch])
        except BaseException as trouble:
            for _, future in batch:
                if not future.done():
                    future.set_exception(trouble if isinstance(trouble, Exception) else Interrupted())
            if not isinstance(trouble, Exception):
                raise
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)


class Interrupted(Exception):
    """The process stops before the batch was done: its outcome is not known."""
