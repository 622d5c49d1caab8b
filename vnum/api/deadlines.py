"""How long things may take at the HTTP edge, and who sees to it."""

import asyncio
import time
from typing import Final

import msgspec

SWEEPS: Final = 10
"""How often within the time for a request it is looked for late ones."""

MOST_LINE: Final = 8190
MOST_HEADERS: Final = 64
MOST_HEADER: Final = 8190
"""Bytes of the request line and of one header, and the number of headers."""


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """body_s: for a body that is not a file, from its head to its end. request_s: for the rest; 0 = no limit.
    proxy_hops: how many trusted proxies stand before vnum, each of which adds to X-Forwarded-For."""

    body_s: float = 20.0
    request_s: float = 60.0
    proxy_hops: int = 0


USUAL: Final = HttpLimits()


class SlowBody(Exception):
    """A body that did not come within its time."""


class TookTooLong(Exception):
    """A request that was given up; what it changes may be changed or not."""


class Deadlines:
    """The requests under way, and when each began (seconds of perf_counter). One sweep looks at all of them, so that no
    request needs a timer of its own."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._began: dict[asyncio.Task[object], float] = {}
        self._late: set[asyncio.Task[object]] = set()

    def begin(self, task: "asyncio.Task[object]", now_s: float) -> None:
        self._began[task] = now_s

    def end(self, task: "asyncio.Task[object]") -> None:
        self._began.pop(task, None)
        self._late.discard(task)

    def gave_up(self, task: "asyncio.Task[object]") -> bool:
        """Whether a task's cancellation is ours: then it goes on, to say so."""
        if task not in self._late:
            return False
        task.uncancel()
        return True

    def sweep(self, now_s: float) -> None:
        """Cancels what took too long; once, since what is late may need a moment to end."""
        for task, began_s in list(self._began.items()):
            if now_s - began_s > self._limit_s and task not in self._late:
                self._late.add(task)
                task.cancel()

    async def watch(self) -> None:
        """Sweeps until cancelled."""
        while self._limit_s:
            await asyncio.sleep(self._limit_s / SWEEPS)
            self.sweep(time.perf_counter())
