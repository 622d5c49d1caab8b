"""The Lua scripts against a model: what Redis says of a host's slots after any sequence of calls."""

import random
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from vnum.engine import open_redis
from vnum.model import damm
from vnum.model.hosts import ExtCheck, Host, HostState
from vnum.model.instants import NEVER_DAY
from vnum.model.numbers import Plan, extension_of
from vnum.pool.image import Image
from vnum.pool.keys import Keys
from vnum.pool.redis_pool import IN_FLIGHT_DAYS, RedisPool
from vnum.servers import Endpoints

TODAY = 20_000
PREFIXES = (f"scripts-{n}" for n in range(10_000))


def make_host(number: str = "18400000001", digits: int = 1, check: ExtCheck = ExtCheck.NONE) -> Host:
    return Host(
        host=number,
        cell=3,
        plan=Plan.HOST_EXT,
        ext_digits=digits,
        ext_check=check,
        quarantine_days=1,
        state=HostState.ACTIVE,
    )


HOST = make_host()
DIGITS = set(range(1, 10))


@pytest.fixture
async def redis(endpoints: Endpoints) -> AsyncIterator[Any]:
    async with open_redis(endpoints.redis_url) as redis:
        yield redis


@pytest.fixture
async def pool(redis: Any) -> AsyncIterator[RedisPool]:
    """A pool under a prefix of its own."""
    pool = RedisPool(redis, Keys(next(PREFIXES)))
    yield pool
    await pool.drop()


@pytest.fixture
async def loaded(pool: RedisPool) -> RedisPool:
    """With nine free slots of one host."""
    await pool.load(HOST, Image(HOST), TODAY)
    return pool


async def take(pool: RedisPool, count: int, today: int = TODAY, host: Host = HOST) -> list[int]:
    taken = await pool.take(host, count, today)
    assert taken is not None
    return list(taken.indices)


async def free_on(pool: RedisPool, today: int, host: Host = HOST) -> set[int]:
    """What may be taken once the host is rolled over to that day."""
    await pool.roll(host, today)
    taken = await take(pool, host.size, today, host)
    await pool.give_back(host, taken, today)
    return set(taken)


# Taking


async def test_every_slot_but_0_is_taken_once(loaded: RedisPool) -> None:
    taken = [index for _ in range(12) for index in await take(loaded, 2)]
    assert sorted(taken) == sorted(DIGITS)
    assert await take(loaded, 1) == []


async def test_what_is_left_is_counted(loaded: RedisPool) -> None:
    left = [(await loaded.take(HOST, 2, TODAY)).left for _ in range(6)]  # type: ignore[union-attr]
    assert left == [7, 5, 3, 1, 0, 0]
    assert await loaded.free_counts([HOST, make_host("18400000002")]) == [0, None]


@pytest.mark.parametrize("digits", [2, 3, 4])
async def test_with_damm_only_checked_extensions_are_lent(pool: RedisPool, digits: int) -> None:
    host = make_host(digits=digits, check=ExtCheck.DAMM)
    await pool.load(host, Image(host), TODAY)
    taken = [extension_of(index, digits) for index in await take(pool, host.size, host=host)]
    assert len(taken) == len(set(taken)) == host.capacity
    assert all(map(damm.is_valid, taken))
    assert "0" * digits not in taken


async def test_an_outsider_can_not_guess_the_order(pool: RedisPool) -> None:
    hosts = [make_host(f"1840000000{n}", digits=4) for n in range(2)]
    orders = []
    for host in hosts:
        await pool.load(host, Image(host), TODAY)
        orders.append(await take(pool, 200, host=host))
    assert orders[0] != orders[1]
    assert not any(b - a == 1 for a, b in pairwise(orders[0][:3])), "not in a row"
    assert len({index // 1000 for index in orders[0]}) == 10, "from everywhere"


# Giving back


async def test_what_was_given_back_is_free_at_once(loaded: RedisPool) -> None:
    first, second, *_ = await take(loaded, 9)
    await loaded.give_back(HOST, [first, second], TODAY)
    assert set(await take(loaded, 9)) == {first, second}


async def test_giving_back_twice_frees_once(loaded: RedisPool) -> None:
    (slot,) = await take(loaded, 1)
    await loaded.give_back(HOST, [slot], TODAY)
    assert await take(loaded, 9) != []
    await loaded.move(HOST.cell, {HOST.host: [(slot, TODAY + 30)]})
    await loaded.give_back(HOST, [slot], TODAY)
    assert await take(loaded, 9) == []


async def test_a_late_give_back_does_not_free_what_was_bound(loaded: RedisPool) -> None:
    (slot,) = await take(loaded, 1)
    await loaded.move(HOST.cell, {HOST.host: [(slot, TODAY + 31)]})
    await loaded.give_back(HOST, [slot], TODAY)
    assert slot not in await free_on(loaded, TODAY)


# Days


@pytest.mark.parametrize(
    ("day", "on", "free"),
    [
        (TODAY + 1, TODAY, False),
        (TODAY + 1, TODAY + 1, True),
        (TODAY + 31, TODAY + 30, False),
        (TODAY + 31, TODAY + 31, True),
        (TODAY + 31, TODAY + 400, True),
        (NEVER_DAY, NEVER_DAY - 1, False),
    ],
)
async def test_a_slot_is_free_from_its_day_on(loaded: RedisPool, day: int, on: int, free: bool) -> None:
    await loaded.move(HOST.cell, {HOST.host: [(5, day)]})
    assert (5 in await free_on(loaded, on)) is free


async def test_a_slot_in_flight_is_free_again_the_day_after_tomorrow(loaded: RedisPool) -> None:
    taken = set(await take(loaded, 4))
    assert not taken & await free_on(loaded, TODAY + 1)
    assert taken < await free_on(loaded, TODAY + IN_FLIGHT_DAYS)


async def test_a_take_tells_that_a_roll_over_is_due(loaded: RedisPool) -> None:
    dues = [(await loaded.take(HOST, 1, day)).due for day in (TODAY, TODAY + 1)]  # type: ignore[union-attr]
    assert dues == [False, True]
    await loaded.roll(HOST, TODAY + 1)
    taken = await loaded.take(HOST, 1, TODAY + 1)
    assert taken is not None
    assert not taken.due


async def test_a_roll_over_in_slices_reaches_the_last_slot(pool: RedisPool) -> None:
    host = make_host(digits=4)
    await pool.load(host, Image(host), TODAY)
    everything = set(await take(pool, 10_000, host=host))
    assert len(everything) == 9_999
    assert await free_on(pool, TODAY + 2, host) == everything


# Redis that lost something


async def test_a_host_that_is_not_loaded_is_told_and_touched_by_nothing(pool: RedisPool, redis: Any) -> None:
    assert await pool.take(HOST, 3, TODAY) is None
    await pool.give_back(HOST, [1, 2], TODAY)
    await pool.move(HOST.cell, {HOST.host: [(1, TODAY + 3)]})
    await pool.roll(HOST, TODAY + 9)
    assert await pool.take(HOST, 3, TODAY) is None
    assert [key async for key in redis.scan_iter(match=pool._keys.pattern())] == []


@pytest.mark.parametrize("lost", ["free", "days"])
async def test_a_host_of_which_half_is_lost_counts_as_not_loaded(loaded: RedisPool, redis: Any, lost: str) -> None:
    """Else a bitmap made anew by a move would say for ever that nothing is free."""
    await loaded.move(HOST.cell, {HOST.host: [(1, TODAY + 1), (2, TODAY + 9)]})
    await redis.delete(getattr(loaded._keys, lost)(HOST.cell, HOST.host))
    await loaded.move(HOST.cell, {HOST.host: [(3, TODAY + 3)]})
    await loaded.give_back(HOST, [4], TODAY)
    await loaded.roll(HOST, TODAY + 1)
    assert await loaded.take(HOST, 3, TODAY) is None


async def test_the_day_of_the_last_roll_over_may_be_lost(loaded: RedisPool, redis: Any) -> None:
    await redis.delete(loaded._keys.rolled(HOST.cell))
    taken = await loaded.take(HOST, 1, TODAY)
    assert taken is not None
    assert taken.due


async def test_scripts_come_back_after_a_script_flush(loaded: RedisPool, redis: Any) -> None:
    for call in (
        lambda: loaded.take(HOST, 1, TODAY),
        lambda: loaded.give_back(HOST, [1], TODAY),
        lambda: loaded.move(HOST.cell, {HOST.host: [(1, TODAY + 1)]}),
        lambda: loaded.roll(HOST, TODAY + 1),
        lambda: loaded.load(HOST, Image(HOST), TODAY + 1),
    ):
        await redis.script_flush()
        await call()
    assert sorted(await take(loaded, 9)) == sorted(DIGITS)


async def test_a_load_replaces_whatever_redis_said(loaded: RedisPool) -> None:
    await take(loaded, 9)
    image = Image(HOST)
    image.hold(7, TODAY + 2)
    await loaded.load(HOST, image, TODAY)
    assert await free_on(loaded, TODAY) == DIGITS - {7}
    assert await free_on(loaded, TODAY + 2) == DIGITS


# All together


class Model:
    """What the scripts promise, with a set and a dictionary."""

    def __init__(self) -> None:
        self.free = set(DIGITS)
        self.days: dict[int, int] = {}

    def took(self, slots: list[int], today: int) -> None:
        assert set(slots) <= self.free
        assert len(set(slots)) == len(slots)
        self.free -= set(slots)
        self.days |= dict.fromkeys(slots, today + IN_FLIGHT_DAYS)

    def gave_back(self, slots: list[int], taken_on: int) -> None:
        for slot in slots:
            if self.days.get(slot) == taken_on + IN_FLIGHT_DAYS:
                self._freed(slot)

    def moved(self, pairs: list[tuple[int, int]]) -> None:
        for slot, day in pairs:
            self.free.discard(slot)
            self.days[slot] = day

    def rolled(self, today: int) -> None:
        for slot in [slot for slot, day in self.days.items() if day <= today]:
            self._freed(slot)

    def _freed(self, slot: int) -> None:
        self.free.add(slot)
        del self.days[slot]


@pytest.mark.parametrize("seed", range(12))
async def test_any_sequence_of_calls_agrees_with_the_model(loaded: RedisPool, redis: Any, seed: int) -> None:
    throw, model, today = random.Random(seed), Model(), TODAY
    for _ in range(60):
        slots = throw.sample(sorted(DIGITS), throw.randint(1, 4))
        match throw.choice(["take", "give_back", "move", "roll", "next day"]):
            case "take":
                model.took(await take(loaded, len(slots), today), today)
            case "give_back":
                taken_on = today - throw.randint(0, 1)
                await loaded.give_back(HOST, slots, taken_on)
                model.gave_back(slots, taken_on)
            case "move":
                pairs = [(slot, today + throw.randint(1, 4)) for slot in slots]
                await loaded.move(HOST.cell, {HOST.host: pairs})
                model.moved(pairs)
            case "roll":
                await loaded.roll(HOST, today)
                model.rolled(today)
            case "next day":
                today += 1
        assert await _bits(redis, loaded) == model.free


async def _bits(redis: Any, pool: RedisPool) -> set[int]:
    free = await redis.get(pool._keys.free(HOST.cell, HOST.host))
    return {index for index in range(8 * len(free)) if free[index >> 3] & (0x80 >> (index & 7))}


async def test_twenty_full_hosts_take_less_than_three_bytes_a_slot(pool: RedisPool) -> None:
    hosts = [make_host(f"184000000{n:02}", digits=4) for n in range(20)]
    for host in hosts:
        await pool.load(host, Image(host), TODAY)
        await take(pool, 10_000, host=host)
    assert await pool.free_counts(hosts) == [0] * 20
    assert await pool.memory_bytes() < 3 * 20 * 10_000
