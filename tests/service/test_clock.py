"""The clock in service: PostgreSQL's, never backwards, and not believed when it leaps."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.engines import World, open_world, the
from tests.faults import Seconds
from vnum.model.refusals import Code, Refused
from vnum.servers import Endpoints
from vnum.service import clock as clocks
from vnum.service.batch import Bound
from vnum.service.clock import ServerClock
from vnum.store.clock import accept_leap

NOW = datetime(2026, 10, 10, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    seconds = Seconds()
    monkeypatch.setattr(clocks, "time", seconds)
    return seconds


@pytest.fixture
def clock(bare_world: World, seconds: Seconds) -> ServerClock:
    return ServerClock(bare_world.engine.database)


async def test_a_clock_that_walks_is_believed(clock: ServerClock, seconds: Seconds) -> None:
    for hours in range(1, 100):
        seconds.now_s = 3_600 * hours
        assert await clock.settle(NOW + hours * HOUR, None) == NOW + hours * HOUR


async def test_a_leap_is_refused_until_it_is_over(clock: ServerClock, seconds: Seconds) -> None:
    await clock.settle(NOW, None)
    with pytest.raises(Refused) as error:
        await clock.settle(NOW + 3 * HOUR, None)
    assert the(error).code is Code.CLOCK_JUMP
    seconds.now_s = 60
    later = NOW + timedelta(minutes=1)
    assert await clock.settle(later, None) == later, "set right again, it goes on"


async def test_an_accepted_leap_is_believed(bare_world: World, clock: ServerClock, seconds: Seconds) -> None:
    """The server's clock is the real one here; the process's own stood still for two days."""
    server = await bare_world.owner.fetchval("SELECT clock_timestamp()")
    await clock.settle(server - timedelta(days=2), None)
    with pytest.raises(Refused):
        await clock.settle(server, None)
    await accept_leap(bare_world.engine.database, "op")
    assert await clock.settle(server, None) == server
    seconds.now_s = 60
    assert await clock.settle(server + timedelta(minutes=1), None) == server + timedelta(minutes=1)
    with pytest.raises(Refused):
        await clock.settle(server + timedelta(days=5), None)


async def test_a_worker_that_was_idle_meanwhile_believes_it_hours_later(
    bare_world: World, clock: ServerClock, seconds: Seconds
) -> None:
    server = await bare_world.owner.fetchval("SELECT clock_timestamp()")
    await clock.settle(server - timedelta(days=2), None)
    await accept_leap(bare_world.engine.database, "op")
    seconds.now_s = 6 * 3_600
    assert await clock.settle(server + 6 * HOUR, None) == server + 6 * HOUR
    with pytest.raises(Refused):
        await clock.settle(server + timedelta(days=2), None)


async def test_a_clock_set_back_goes_on_from_the_highest(clock: ServerClock) -> None:
    await clock.settle(NOW, None)
    assert await clock.settle(NOW - 50 * HOUR, None) == NOW
    assert await clock.settle(NOW - 50 * HOUR, NOW + HOUR) == NOW + HOUR, "another worker committed that"


async def test_binds_are_refused_while_the_clock_leaps_and_reads_go_on(
    endpoints: Endpoints, schema: str, key_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(endpoints, schema, key_folder, clock=None) as world:
        await world.merchant()
        await world.host()
        binding = await world.bind("before")
        leap = timedelta(days=30)
        real = world.engine.clock.settle

        async def ahead(server_now: datetime, highest: datetime | None) -> datetime:
            return await real(server_now + leap, highest)

        monkeypatch.setattr(world.engine.clock, "settle", ahead)
        assert (await world.refusal("b", 2)).code is Code.CLOCK_JUMP
        assert (await world.refusal("before")).code is Code.CLOCK_JUMP
        assert (await world.dial(binding)).callee is not None, "a call still reaches its recipient"
        assert await world.count("bindings") == 1


async def test_a_new_process_takes_over_the_highest_instant(
    endpoints: Endpoints, schema: str, key_folder: Path
) -> None:
    """A server restored from a backup, or moved to a machine whose clock is behind: no quarantine ends early."""
    async with open_world(endpoints, schema, key_folder, clock=None) as world:
        await world.merchant()
        await world.host()
        highest = await world.owner.fetchval("SELECT clock_timestamp() + interval '40 minutes'")
        await world.owner.execute("INSERT INTO clocks VALUES (0, 99, $1)", highest)
    async with open_world(endpoints, schema, key_folder, clock=None, wipe=False) as later:
        outcome = await later.try_bind("a")
        assert isinstance(outcome, Bound)
        assert outcome.now == outcome.binding.bound_at == highest
        seen: Any = await later.engine.lifetime.get(outcome.binding.binding_id)
        assert seen.now >= highest
