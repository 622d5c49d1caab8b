"""Rate limits: how many requests a second a key may send, and how many wrong keys an address.

A key's tokens are in a bucket in Redis, which all workers share. A worker takes some ahead and spends them without a
round trip; what it does not spend within a second is lost. While Redis is away each worker limits by itself.
"""

import asyncio
import math
import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from vnum.meters import RATE_LIMITED
from vnum.model.refusals import RateLimited
from vnum.pool.redis_pool import PoolDown, RedisPool
from vnum.service.keys import Caller

T = TypeVar("T")

LEASE_S = 1.0
"""How long tokens taken ahead are good."""

SHARE = 20
"""At most a twentieth of what a second gives is taken ahead at once."""

PATIENCE_S = 0.25
AWAY_S = 5.0
"""How long Redis is left alone after it did not answer."""

BURST_S = 2
"""A bucket holds what so many seconds give."""

MOST_KNOWN = 10_000


class Bucket:
    """Tokens that come back with time, in this process alone."""

    def __init__(self, rate_per_s: float, most: int, now_s: float) -> None:
        self._rate = rate_per_s
        self._most = most
        self._tokens = float(most)
        self._at_s = now_s

    def take(self, wanted: int, now_s: float) -> tuple[int, int]:
        """(how many of those wanted, milliseconds until there is one)."""
        self._fill(now_s)
        taken = min(wanted, int(self._tokens))
        self._tokens -= taken
        return (taken, 0) if taken else (0, self.wait_ms(now_s))

    def wait_ms(self, now_s: float) -> int:
        """Milliseconds until there is a token; 0 = there is one."""
        self._fill(now_s)
        return 0 if self._tokens >= 1 else math.ceil((1 - self._tokens) * 1000 / self._rate)

    def _fill(self, now_s: float) -> None:
        if now_s > self._at_s:
            self._tokens = min(self._most, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s


class _Lease:
    """What this worker may spend of one key's bucket."""

    __slots__ = ("ahead", "alone", "asking", "left", "rate_per_s", "until_s", "wait_ms")

    def __init__(self, rate_per_s: int) -> None:
        self.rate_per_s = rate_per_s
        self.left = 0
        self.until_s = 0.0
        self.wait_ms = 0
        self.ahead = max(1, rate_per_s // SHARE)
        self.asking = asyncio.Lock()
        self.alone: Bucket | None = None


class Limits:
    """`rate_per_s` = of a key that has none of its own; 0 = no limit. `failures_per_min` = of an address, likewise."""

    def __init__(
        self, pool: RedisPool, now: Callable[[], datetime], *, rate_per_s: int = 0, failures_per_min: int = 0
    ) -> None:
        self._pool = pool
        self._now = now
        self._rate_per_s = rate_per_s
        self._failures_per_min = failures_per_min
        self._leases: dict[str, _Lease] = {}
        self._away_until_s = -math.inf
        self._failing: dict[str, Bucket] = {}
        self._blocked: dict[str, float] = {}  # until when, by the monotonic clock

    def spend(self, caller: Caller) -> bool:
        """Whether this request is within what was taken ahead (or there is no limit); else ask `take`."""
        rate_per_s = self._rate_per_s if caller.rate_per_s is None else caller.rate_per_s
        if not rate_per_s:
            return True
        lease = self._leases.get(caller.key_id)
        if lease is None or not lease.left or lease.rate_per_s != rate_per_s or time.monotonic() >= lease.until_s:
            return False
        lease.left -= 1
        return True

    async def take(self, caller: Caller) -> None:
        """Spends one token, taken now. Raises RateLimited."""
        rate_per_s = self._rate_per_s if caller.rate_per_s is None else caller.rate_per_s
        lease = self._lease_of(caller.key_id, rate_per_s)
        async with lease.asking:  # one asks for all that wait
            if not self.spend(caller):
                await self._renew(caller.key_id, lease)
                if not self.spend(caller):
                    RATE_LIMITED.labels("key").inc()
                    retry_s = max(1, math.ceil(lease.wait_ms / 1000))
                    raise RateLimited(f"this key may send {rate_per_s} requests a second; wait {retry_s} s", retry_s)

    async def _renew(self, key_id: str, lease: _Lease) -> None:
        now_s = time.monotonic()
        lease.left, lease.wait_ms = await self._tokens(key_id, lease, now_s)
        lease.until_s = now_s + LEASE_S

    async def _tokens(self, key_id: str, lease: _Lease, now_s: float) -> tuple[int, int]:
        burst = lease.rate_per_s * BURST_S
        if now_s >= self._away_until_s:
            now_ms = int(self._now().timestamp() * 1000)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    taken = await self._pool.lease(key_id, now_ms, lease.rate_per_s, burst, lease.ahead)
                lease.alone = None
            except (PoolDown, TimeoutError):
                self._away_until_s = now_s + AWAY_S
            else:
                return taken
        if lease.alone is None:
            lease.alone = Bucket(lease.rate_per_s, lease.rate_per_s, now_s)
        return lease.alone.take(lease.ahead, now_s)

    def _lease_of(self, key_id: str, rate_per_s: int) -> _Lease:
        lease = self._leases.get(key_id)
        if lease is None or lease.rate_per_s != rate_per_s:
            self._leases.pop(key_id, None)
            _make_room(self._leases)
            lease = self._leases[key_id] = _Lease(rate_per_s)
        return lease

    @property
    def wary(self) -> bool:
        """Whether any address has sent too many wrong keys: else none needs to be looked at."""
        return bool(self._blocked)

    def suspects(self, address: str) -> bool:
        """Whether this address has."""
        now_s = time.monotonic()
        while self._blocked and next(iter(self._blocked.values())) <= now_s:
            del self._blocked[next(iter(self._blocked))]
        return self._blocked.get(address, now_s) > now_s

    def failed(self, address: str) -> None:
        """An address sent a wrong key. Raises RateLimited when it did so too often."""
        if not self._failures_per_min:
            return
        now_s = time.monotonic()
        bucket = self._failing.pop(address, None)
        if bucket is None:
            _make_room(self._failing)
            bucket = Bucket(self._failures_per_min / 60, self._failures_per_min, now_s)
        self._failing[address] = bucket  # the latest at the end: those who stopped are forgotten first
        taken, wait_ms = bucket.take(1, now_s)
        if not taken:
            self._blocked.pop(address, None)
            self._blocked[address] = now_s + wait_ms / 1000
            RATE_LIMITED.labels("address").inc()
            retry_s = max(1, math.ceil(wait_ms / 1000))
            raise RateLimited(f"too many requests with wrong keys from your address; wait {retry_s} s", retry_s)


def _make_room(known: dict[str, T]) -> None:
    if len(known) >= MOST_KNOWN:
        del known[next(iter(known))]
