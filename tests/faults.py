"""Servers that fail on demand: a Redis that lies or is away, and a PostgreSQL statement that goes wrong."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import asyncpg

from vnum.pool.redis_pool import PoolDown, RedisPool

REDIS_FAULTS = ("fine", "away", "reply_lost", "emptied_before", "emptied_after", "stale_before")
STORE_FAULTS = ("fine", "deadlock", "serialization", "timeout", "lost_before", "lost_after")


class FaultyPool(RedisPool):
    """Redis behind a line that can be cut. `plan` says what happens to the next calls; then all is fine."""

    down = False
    memory: dict[bytes, bytes]

    def __init__(self, redis: Any, keys: Any) -> None:
        super().__init__(redis, keys)
        self.plan: deque[str] = deque()
        self.memory = {}

    async def dump(self) -> None:
        """Remembers every key, for `restore`."""
        self.memory = {key: await self._redis.dump(key) for key in await self._names()}

    async def restore(self) -> None:
        """Redis as it was at the last dump: out of a backup, or a replica that lagged behind."""
        await self.drop()
        for key, value in self.memory.items():
            await self._redis.restore(key, 0, value, replace=True)

    async def lose_key(self, nth: int) -> None:
        """One key is gone (evicted)."""
        if names := await self._names():
            await self._redis.delete(names[nth % len(names)])

    async def _names(self) -> list[bytes]:
        return sorted([key async for key in self._redis.scan_iter(match=self._keys.pattern(), count=1000)])

    async def _run(self, script: str, keys: list[str], args: Sequence[int | str | bytes]) -> Any:
        fault = self.plan.popleft() if self.plan else "fine"
        if self.down or fault == "away":
            raise PoolDown("away")
        if fault == "emptied_before":
            await self.drop()
        if fault == "stale_before":
            await self.restore()
        answer = await super()._run(script, keys, args)
        if fault == "emptied_after":
            await self.drop()
        if fault == "reply_lost":
            raise PoolDown("the reply was lost")
        return answer

    async def ping(self) -> None:
        if self.down:
            raise PoolDown("away")
        await super().ping()


class FaultyStatement:
    """Stands in for a function that runs one statement. `plan` says what happens to the next calls."""

    def __init__(self, real: Callable[..., Awaitable[Any]]) -> None:
        self.real = real
        self.plan: deque[str] = deque()
        self.calls = 0

    async def __call__(self, *args: Any) -> Any:
        self.calls += 1
        fault = self.plan.popleft() if self.plan else "fine"
        match fault:
            case "deadlock":
                raise asyncpg.DeadlockDetectedError("deadlock detected")
            case "serialization":
                raise asyncpg.SerializationError("could not serialize access")
            case "timeout":
                raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")
            case "lost_before":
                raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        answer = await self.real(*args)
        if fault == "lost_after":
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return answer


class Seconds:
    """A monotonic clock set by hand, in place of the module `time`."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


class Dice:
    """The same throws in every run, in place of the module `secrets`: what failed once fails again."""

    def __init__(self) -> None:
        self.throw_again()

    def throw_again(self) -> None:
        self._random = random.Random(7)

    def randbelow(self, limit: int) -> int:
        return self._random.randrange(limit)

    def token_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)


class HeldOpen:
    """Stands in for a function that runs one statement: the next call's transaction stays open until `go_on`.

    `before=True` stops the call before its statement instead: a worker that was slow after it had read the clock.
    """

    def __init__(self, real: Callable[..., Awaitable[Any]], *, before: bool = False) -> None:
        self.real = real
        self.before = before
        self.armed = True
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, where: Any, *args: Any) -> Any:
        if not self.armed:
            return await self.real(where, *args)
        self.armed = False
        if self.before:
            await self._stop()
            return await self.real(where, *args)
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(where.acquire()) if isinstance(where, asyncpg.Pool) else where
            async with connection.transaction():
                answer = await self.real(connection, *args)
                await self._stop()
        return answer

    async def _stop(self) -> None:
        self.reached.set()
        async with asyncio.timeout(60):
            await self.go_on.wait()


Hold = Callable[..., HeldOpen]
"""The fixture `hold` of the races: (module, statement's name, before=False)."""
