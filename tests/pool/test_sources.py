"""One behaviour for both sources of slots: Redis, and PostgreSQL read into memory while Redis is away."""

from collections.abc import AsyncIterator

import pytest

from tests.engines import DAY, HOST, World, on_pool, slot_of
from tests.faults import FaultyPool, Seconds
from vnum.engine import open_redis
from vnum.model import damm
from vnum.model.refusals import Shortage
from vnum.pool.keys import Keys
from vnum.service import supply as supply_module
from vnum.service.supply import Offer, Wish

ANY = Wish()


@pytest.fixture(params=["redis", "memory"])
async def lender(bare_world: World, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A world with merchant "m" and a host of nine slots, which draws from one of the two sources."""
    pool = FaultyPool(open_redis(bare_world.parts.redis_url), Keys(bare_world.parts.schema))
    pool.down = request.param == "memory"
    world = on_pool(bare_world, pool)
    await world.merchant()
    await world.host()
    yield world
    await pool.close()


async def draw(world: World, count: int, wish: Wish = ANY) -> list[Offer]:
    await world.engine.registry.refresh(force=True)
    return await world.engine.supply.draw(0, wish, count, world.now)


async def test_no_slot_is_offered_twice(lender: World) -> None:
    offers = [offer for _ in range(5) for offer in await draw(lender, 4)]
    assert sorted(offer.extension for offer in offers) == list("123456789")


async def test_checked_hosts_offer_checked_extensions_only(lender: World) -> None:
    await lender.engine.hosts.set_state(HOST, "locked")  # type: ignore[arg-type]
    await lender.host("18400000009", ext_digits=2, ext_check="damm")
    extensions = {offer.extension for offer in await draw(lender, 99)}
    assert len(extensions) == 9
    assert all(map(damm.is_valid, extensions))


async def test_what_is_given_back_is_offered_again(lender: World) -> None:
    offers = await draw(lender, 9)
    await lender.engine.supply.give_back(offers[:2])
    assert {offer.index for offer in await draw(lender, 9)} == {offer.index for offer in offers[:2]}


async def test_what_is_bound_is_not_offered(lender: World) -> None:
    bound = await lender.fill(5)
    assert not {offer.extension for offer in await draw(lender, 9)} & {binding.extension for binding in bound}


async def test_what_is_released_is_offered_when_its_quarantine_is_over(lender: World) -> None:
    await lender.fill(8)
    binding = await lender.bind("last", 99)
    await lender.engine.lifetime.release(binding.binding_id, "done")
    assert await draw(lender, 1) == []
    lender.pass_time(2 * DAY)  # one of quarantine, and Redis counts in whole days
    await lender.engine.care.tend()
    assert [offer.extension for offer in await draw(lender, 9)] == [binding.extension]


async def test_every_slot_can_be_bound_and_no_more(lender: World) -> None:
    bound = await lender.fill(9)
    assert len(set(map(slot_of, bound))) == 9
    assert (await lender.refusal("one too many", 50)).reason is Shortage.ALL_BOUND


async def test_a_capped_host_lends_no_more_than_its_cap(lender: World) -> None:
    await lender.host("18400000009", city="cd", max_live=3)
    assert len(await draw(lender, 9, Wish("cd", strict=True))) == 3
    assert await draw(lender, 1, Wish("cd", strict=True)) == []


async def test_redis_that_says_nothing_is_free_is_not_believed(world: World) -> None:
    """A backup from before the slots came free costs a look into PostgreSQL, and no refusal."""
    pool = FaultyPool(open_redis(world.parts.redis_url), Keys(world.parts.schema))
    world = on_pool(world, pool)
    bindings = await world.fill(9, ttl_days=90)
    await pool.dump()
    for binding in bindings:
        await world.engine.lifetime.release(binding.binding_id, "done")
    world.pass_time(3 * DAY)
    await pool.restore()
    assert slot_of(await world.bind("after", 50)) in set(map(slot_of, bindings))
    await pool.close()


async def test_redis_that_went_away_and_came_back_is_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = Seconds()
    monkeypatch.setattr(supply_module, "time", seconds)
    pool = FaultyPool(open_redis(world.parts.redis_url), Keys(world.parts.schema))
    world = on_pool(world, pool)
    host = (await world.engine.hosts.list())[0]
    pool.down = True
    await world.bind("while away")
    pool.down = False
    await world.bind("a moment later", 2)
    assert await pool.free_counts([host]) == [None], "it is left alone for a second"
    seconds.now_s += 2
    await world.bind("later", 3)
    assert await pool.free_counts([host]) == [6]
    await pool.close()


async def test_a_dead_socket_costs_no_binding(bare_world: World) -> None:
    pool = FaultyPool(open_redis("unix:///nowhere/valkey.sock"), Keys("nowhere"))
    world = on_pool(bare_world, pool)
    await world.merchant()
    await world.host()
    assert len(await world.fill(9)) == 9
    await pool.close()
