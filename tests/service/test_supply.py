"""Which host an order gets a number of, and every reason why it gets none."""

from pathlib import Path

import pytest

from tests.engines import DAY, START, World, host_number, open_world, request
from vnum.model.cells import cell_of
from vnum.model.hosts import HostState
from vnum.model.refusals import Code, Shortage
from vnum.pool.image import Image
from vnum.servers import Endpoints
from vnum.service.batch import Bound
from vnum.service.clock import ManualClock

BJ, SH = host_number(1), host_number(2)


@pytest.fixture
async def cities(bare_world: World) -> World:
    """A host of nine slots in bj, one in sh."""
    await bare_world.merchant()
    await bare_world.host(BJ, city="bj")
    await bare_world.host(SH, city="sh")
    return bare_world


# Choice


async def test_the_city_asked_for_comes_first(cities: World) -> None:
    assert {binding.host for binding in await cities.fill(9, city="sh")} == {SH}


async def test_another_city_when_that_one_is_full(cities: World) -> None:
    await cities.fill(9, city="sh")
    assert (await cities.bind("a", 50, city="sh")).host == BJ


async def test_no_other_city_when_it_is_strict(cities: World) -> None:
    await cities.fill(9, city="sh")
    refusal = await cities.refusal("a", 50, city="sh", city_strict=True)
    assert (refusal.code, refusal.reason) == (Code.NO_NUMBER_AVAILABLE, Shortage.ALL_BOUND)


async def test_any_city_when_none_is_named(cities: World) -> None:
    assert {binding.host for binding in await cities.fill(18)} == {BJ, SH}


async def test_hosts_are_used_evenly(cities: World) -> None:
    hosts = [(await cities.bind(f"o{n}", n)).host for n in range(10)]
    assert 2 <= hosts.count(BJ) <= 8


async def test_one_batch_may_have_many_wishes(cities: World) -> None:
    outcomes = await cities.engine.binder.bind(
        [
            request("a", 1, city="bj", city_strict=True),
            request("b", 2, city="sh"),
            request("c", 3, city="gz", city_strict=True),
            request("d", 4),
        ]
    )
    assert [getattr(o, "reason", "bound") for o in outcomes] == ["bound", "bound", Shortage.NO_HOST_IN_CITY, "bound"]


# Reasons


async def test_no_host_at_all(bare_world: World) -> None:
    await bare_world.merchant()
    assert (await bare_world.refusal("a")).reason is Shortage.NO_ACTIVE_HOST


async def test_no_host_in_the_city(cities: World) -> None:
    assert (await cities.refusal("a", city="gz", city_strict=True)).reason is Shortage.NO_HOST_IN_CITY
    await cities.bind("b", city="gz")


@pytest.mark.parametrize("state", [HostState.DRAINING, HostState.LOCKED, HostState.RETIRED])
async def test_no_active_host(cities: World, state: HostState) -> None:
    for number in (BJ, SH):
        await cities.engine.hosts.set_state(number, state)
    assert (await cities.refusal("a")).reason is Shortage.NO_ACTIVE_HOST
    assert (await cities.refusal("a", city="bj", city_strict=True)).reason is Shortage.NO_ACTIVE_HOST


async def test_a_700_host_is_lent_to_nobody_who_may_be_called_by_anyone(bare_world: World) -> None:
    await bare_world.merchant()
    await bare_world.host("70012345678", plan="700")
    assert (await bare_world.refusal("a")).reason is Shortage.NO_ACTIVE_HOST


async def test_all_bound(cities: World) -> None:
    await cities.fill(18)
    refusal = await cities.refusal("a", 50)
    assert refusal.reason is Shortage.ALL_BOUND
    assert "18" in refusal.detail


async def test_all_quarantined(cities: World) -> None:
    for binding in await cities.fill(18):
        await cities.engine.lifetime.release(binding.binding_id, "done")
    assert (await cities.refusal("a", 50)).reason is Shortage.ALL_QUARANTINED


async def test_never_reused_is_quarantined_for_ever(bare_world: World) -> None:
    """And a slot that is stale in Redis and never free again is corrected there."""
    await bare_world.merchant()
    await bare_world.host(quarantine_days=None)
    for binding in await bare_world.fill(9):
        await bare_world.engine.lifetime.release(binding.binding_id, "done")
    bare_world.pass_time(3_000 * DAY)
    host = (await bare_world.engine.hosts.list())[0]
    await bare_world.engine.pool.drop()
    await bare_world.engine.pool.load(host, Image(host), 0)
    assert (await bare_world.refusal("a", 50)).reason is Shortage.ALL_QUARANTINED
    assert await bare_world.engine.pool.free_counts([host]) == [4], "five tries, five corrections"


async def test_host_full(bare_world: World) -> None:
    await bare_world.merchant()
    await bare_world.host(max_live=3)
    await bare_world.fill(3)
    assert (await bare_world.refusal("a", 50)).reason is Shortage.HOST_FULL


async def test_a_capped_host_lends_again_when_one_has_ended(bare_world: World) -> None:
    await bare_world.merchant()
    await bare_world.host(max_live=3)
    first, *_ = await bare_world.fill(3)
    await bare_world.engine.lifetime.release(first.binding_id, "done")
    await bare_world.bind("a", 50)
    assert (await bare_world.refusal("b", 51)).reason is Shortage.HOST_FULL


async def test_the_only_free_numbers_were_this_recipients_last(bare_world: World) -> None:
    await bare_world.merchant()
    await bare_world.host()
    for n in range(9):
        await bare_world.bind(f"o{n}", 7, ttl_days=1)
    bare_world.pass_time(3 * DAY)
    assert (await bare_world.refusal("again", 7)).reason is Shortage.ALL_QUARANTINED
    await bare_world.bind("of another", 8)


async def test_one_number_among_its_own_is_found(bare_world: World) -> None:
    """Eight of nine were this recipient's last: chance alone would miss the ninth."""
    await bare_world.merchant()
    await bare_world.host()
    for n in range(8):
        await bare_world.bind(f"o{n}", 7, ttl_days=1)
    other = await bare_world.bind("o9", 8, ttl_days=1)
    bare_world.pass_time(3 * DAY)
    assert (await bare_world.bind("again", 7)).extension == other.extension


async def test_cell_exhausted(endpoints: Endpoints, schema: str, key_folder: Path) -> None:
    """The order's cell has no host, though another has one."""
    async with open_world(endpoints, schema, key_folder, clock=ManualClock(START), cells=2) as world:
        await world.merchant()
        host = await world.host(city="bj")
        orders = {cell_of(2, "m", f"o{n}"): f"o{n}" for n in range(20)}
        await world.bind(orders[host.cell])
        refusal = await world.refusal(orders[1 - host.cell])
        assert refusal.reason is Shortage.CELL_EXHAUSTED
        assert (await world.refusal(orders[1 - host.cell], city="bj", city_strict=True)).reason is refusal.reason


async def test_binds_of_many_cells_go_in_one_call(endpoints: Endpoints, schema: str, key_folder: Path) -> None:
    async with open_world(endpoints, schema, key_folder, clock=ManualClock(START), cells=4) as world:
        await world.merchant()
        cells = {(await world.host(host_number(n))).host: n % 4 for n in range(8)}
        outcomes = await world.engine.binder.bind([request(f"o{n}", n) for n in range(30)])
        for n, outcome in enumerate(outcomes):
            assert isinstance(outcome, Bound)
            assert outcome.binding.order_id == f"o{n}"
            assert cells[outcome.binding.host] == cell_of(4, "m", f"o{n}")
