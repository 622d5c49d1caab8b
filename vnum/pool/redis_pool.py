"""The pool in Redis: a fast hint of what is free. It may be emptied, stale or down; PostgreSQL is the judge."""

import secrets
import struct
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from vnum.model.hosts import Host
from vnum.pool.image import Image
from vnum.pool.keys import Keys

log = structlog.get_logger()

IN_FLIGHT_DAYS = 2
"""A slot taken and heard of no more is free again the day after tomorrow (UTC)."""

ROLL_SLICE = 2_000
TROUBLE = (RedisError, OSError, TimeoutError)


class PoolDown(Exception):
    """Redis does not answer."""


class Taken(msgspec.Struct, frozen=True):
    """Slots taken of one host: their indices; how many are left; whether a roll-over may free more."""

    indices: Sequence[int]
    left: int
    due: bool = False


class RedisPool:
    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = {name: _Script(redis, name) for name in ("take", "give_back", "move", "roll", "load", "lease")}

    async def take(self, host: Host, count: int, today: int) -> Taken | None:
        """Up to `count` free slots, unpredictable to an outsider; None = the host is not loaded. Raises PoolDown."""
        free, days, rolled = self._three(host)
        state, left, packed = await self._run(
            "take",
            [free, days, rolled],
            [count, today, today + IN_FLIGHT_DAYS, host.host, secrets.token_bytes(3 * count)],
        )
        if state == -1:
            return None
        return Taken(struct.unpack(f">{len(packed) // 2}H", packed), left, due=state == 1)

    async def give_back(self, host: Host, indices: Sequence[int], taken_on: int) -> None:
        """Slots that were definitely not bound, taken on that day. Raises PoolDown."""
        free, days, _ = self._three(host)
        packed = struct.pack(f">{len(indices)}H", *indices)
        await self._run("give_back", [free, days], [taken_on + IN_FLIGHT_DAYS, packed])

    async def move(self, cell: int, days: Mapping[str, Iterable[tuple[int, int]]]) -> None:
        """Per host of the cell: (slot, the day on which it may be free again). Raises PoolDown."""
        names: list[str] = []
        packed: list[bytes] = []
        for host, pairs in days.items():
            names += [self._keys.free(cell, host), self._keys.days(cell, host)]
            flat = [number for pair in pairs for number in pair]
            packed.append(struct.pack(f">{len(flat)}H", *flat))
        await self._run("move", names, packed)

    async def roll(self, host: Host, today: int) -> None:
        """Frees every slot whose day has come, in slices, so that no other call waits long. Raises PoolDown."""
        first = 0
        while first >= 0:
            first = await self._run("roll", self._three(host), [today, first, ROLL_SLICE, host.host])

    async def load(self, host: Host, image: Image, today: int) -> None:
        """Replaces what Redis says of the host. Raises PoolDown."""
        await self._run("load", self._three(host), [bytes(image.free), bytes(image.days), host.host, today])

    async def lease(self, bucket: str, now_ms: int, rate_per_s: int, burst: int, wanted: int) -> tuple[int, int]:
        """Tokens of a bucket: (how many of those wanted, milliseconds until there is one). Raises PoolDown."""
        granted, wait_ms = await self._run("lease", [self._keys.bucket(bucket)], [now_ms, rate_per_s, burst, wanted])
        return granted, wait_ms

    async def free_counts(self, hosts: Sequence[Host]) -> list[int | None]:
        """Free slots of each host; None = not loaded. Raises PoolDown."""
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for host in hosts:
                    pipeline.exists(self._keys.free(host.cell, host.host))
                    pipeline.bitcount(self._keys.free(host.cell, host.host))
                answers = await pipeline.execute()
        except TROUBLE as trouble:
            raise PoolDown(str(trouble)) from trouble
        return [count if there else None for there, count in zip(answers[::2], answers[1::2], strict=True)]

    async def drop(self) -> None:
        """Removes every key of this installation (of a replay at its end)."""
        async for key in self._redis.scan_iter(match=self._keys.pattern(), count=1000):
            await self._redis.unlink(key)

    async def memory_bytes(self) -> int:
        """MEMORY USAGE of all keys of the pool, in bytes."""
        total = 0
        async for key in self._redis.scan_iter(match=self._keys.pattern(), count=1000):
            total += await self._redis.memory_usage(key, samples=0) or 0
        return total

    async def ping(self) -> None:
        """Raises PoolDown."""
        try:
            await self._redis.ping()
        except TROUBLE as trouble:
            raise PoolDown(str(trouble)) from trouble

    async def close(self) -> None:
        await self._redis.aclose()

    def _three(self, host: Host) -> list[str]:
        keys = self._keys
        return [
            keys.free(host.cell, host.host),
            keys.days(host.cell, host.host),
            keys.rolled(host.cell),
        ]

    async def _run(self, script: str, keys: list[str], args: Sequence[int | str | bytes]) -> Any:
        try:
            return await self._scripts[script].run(keys, args)
        except TROUBLE as trouble:
            raise PoolDown(f"{script}: {trouble}") from trouble


class _Script:
    """One Lua file, sent whole only when the server does not know it."""

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis = redis
        self._text = (files("vnum.pool") / "lua" / f"{name}.lua").read_bytes()
        self._sha = sha1(self._text, usedforsecurity=False).hexdigest()

    async def run(self, keys: list[str], args: Sequence[int | str | bytes]) -> Any:
        try:
            return await self._redis.evalsha(self._sha, len(keys), *keys, *args)
        except NoScriptError:
            await self._redis.script_load(self._text)
            return await self._redis.evalsha(self._sha, len(keys), *keys, *args)
