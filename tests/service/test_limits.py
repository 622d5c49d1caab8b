"""Rate limits: leases of a bucket that workers share, each alone while Redis is away, and addresses that guess."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.faults import FaultyPool, Seconds
from vnum.engine import open_redis
from vnum.model.refusals import RateLimited
from vnum.pool.keys import Keys
from vnum.servers import Endpoints
from vnum.service import limits as limits_service
from vnum.service.keys import Caller, Role
from vnum.service.limits import LEASE_S, Limits

START = datetime(2026, 10, 10, 9, 30, tzinfo=UTC)
CALLER = Caller(key_id="k", role=Role.PLATFORM)
NAMES = (f"limits-{n}" for n in range(10_000))


class Rig:
    """Workers that share a Redis and a clock set by hand."""

    def __init__(self, pool: FaultyPool, seconds: Seconds) -> None:
        self.pool = pool
        self.seconds = seconds
        self.calls = 0

    def worker(self, rate_per_s: int = 100, failures_per_min: int = 6) -> Limits:
        return Limits(self.pool, self.now, rate_per_s=rate_per_s, failures_per_min=failures_per_min)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds.now_s)

    def passes(self, seconds: float) -> None:
        self.seconds.now_s += seconds


@pytest.fixture
async def rig(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    seconds = Seconds()
    monkeypatch.setattr(limits_service, "time", seconds)
    async with open_redis(endpoints.redis_url) as redis:
        pool = FaultyPool(redis, Keys(next(NAMES)))
        rig = Rig(pool, seconds)
        lease = pool.lease

        async def counted(*of: object) -> tuple[int, int]:
            rig.calls += 1
            return await lease(*of)  # type: ignore[arg-type]

        monkeypatch.setattr(pool, "lease", counted)
        yield rig
        await pool.drop()


async def admitted(limits: Limits, count: int, caller: Caller = CALLER) -> int:
    """How many of so many requests are within the limit."""
    good = 0
    for _ in range(count):
        try:
            if not limits.spend(caller):
                await limits.take(caller)
            good += 1
        except RateLimited:
            continue
    return good


async def test_a_burst_of_two_seconds_then_the_rate(rig: Rig) -> None:
    worker = rig.worker()
    assert await admitted(worker, 500) == 200
    for _ in range(5):
        rig.passes(1)
        assert await admitted(worker, 500) == 100


async def test_workers_share_one_bucket(rig: Rig) -> None:
    workers = [rig.worker() for _ in range(4)]
    assert sum([await admitted(worker, 80) for worker in workers for _ in range(2)]) == 200
    rig.passes(1)
    assert sum([await admitted(worker, 80) for worker in workers]) == 100


async def test_most_requests_cost_no_round_trip(rig: Rig) -> None:
    worker = rig.worker(2_000)
    assert await admitted(worker, 2_000) == 2_000
    assert rig.calls == 20


async def test_what_is_not_spent_within_its_time_is_lost(rig: Rig) -> None:
    worker = rig.worker()
    assert await admitted(worker, 1) == 1
    rig.passes(LEASE_S)
    assert not worker.spend(CALLER)


async def test_many_at_once_ask_once(rig: Rig) -> None:
    worker = rig.worker(2_000)
    await asyncio.gather(*(worker.take(CALLER) for _ in range(100)))
    assert rig.calls == 1


async def test_it_says_when_to_come_again(rig: Rig) -> None:
    worker = rig.worker(1)
    assert await admitted(worker, 3) == 2
    with pytest.raises(RateLimited) as caught:
        await worker.take(CALLER)
    assert caught.value.retry_s == 1
    rig.passes(1)
    assert await admitted(worker, 2) == 1


NO_LIMIT: list[tuple[int, int | None, int]] = [(0, None, 1_000), (5, 0, 1_000), (0, 5, 10), (100, 5, 10), (5, 100, 200)]


@pytest.mark.parametrize(("setting", "own", "good"), NO_LIMIT)
async def test_a_key_may_have_a_rate_of_its_own(rig: Rig, setting: int, own: int | None, good: int) -> None:
    caller = Caller(key_id="k", role=Role.PLATFORM, rate_per_s=own)
    assert await admitted(rig.worker(setting), 1_000, caller) == good


async def test_a_rate_that_was_changed_counts_at_once(rig: Rig) -> None:
    worker = rig.worker(100)
    assert await admitted(worker, 1) == 1
    changed = Caller(key_id="k", role=Role.PLATFORM, rate_per_s=1)
    assert await admitted(worker, 10, changed) == 2


async def test_without_redis_each_worker_limits_by_itself(rig: Rig) -> None:
    workers = [rig.worker(), rig.worker()]
    rig.pool.down = True
    assert [await admitted(worker, 300) for worker in workers] == [100, 100]
    assert rig.calls == 2, "Redis is left alone for a while after it did not answer"
    rig.passes(1)
    assert [await admitted(worker, 300) for worker in workers] == [100, 100]
    rig.pool.down = False
    rig.passes(limits_service.AWAY_S)
    assert sum([await admitted(worker, 300) for worker in workers]) == 200


async def test_redis_that_hangs_is_not_waited_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_: object) -> tuple[int, int]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(limits_service, "PATIENCE_S", 0.001)
    monkeypatch.setattr(rig.pool, "lease", hangs)
    assert await admitted(rig.worker(), 300) == 100


async def test_redis_emptied_gives_a_burst_and_no_more(rig: Rig) -> None:
    worker = rig.worker()
    assert await admitted(worker, 500) == 200
    await rig.pool.drop()
    assert await admitted(worker, 500) == 200


async def test_an_address_may_err_some_times_a_minute(rig: Rig) -> None:
    worker = rig.worker(failures_per_min=6)
    for _ in range(6):
        worker.failed("1.2.3.4")
    assert not worker.wary
    with pytest.raises(RateLimited) as caught:
        worker.failed("1.2.3.4")
    assert caught.value.retry_s == 10
    assert worker.wary
    assert worker.suspects("1.2.3.4")
    assert not worker.suspects("1.2.3.5")
    rig.passes(10)
    assert not worker.suspects("1.2.3.4")
    assert not worker.wary
    worker.failed("1.2.3.4")
    with pytest.raises(RateLimited):
        worker.failed("1.2.3.4")


async def test_addresses_are_forgotten_before_they_fill_the_memory(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_service, "MOST_KNOWN", 8)
    worker = rig.worker()
    for n in range(20):
        worker.failed(f"10.0.0.{n}")
        await admitted(worker, 1, Caller(key_id=f"k{n}", role=Role.PLATFORM))
    assert (len(worker._failing), len(worker._leases)) == (8, 8)


async def test_no_limit_on_failures(rig: Rig) -> None:
    worker = rig.worker(failures_per_min=0)
    say: Callable[[str], None] = worker.failed
    for _ in range(1_000):
        say("1.2.3.4")
    assert not worker.wary
