"""Hosts: registered once, in the emptiest cell; and what each state allows."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.engines import HOST, START, World, host_number, open_world, request, the
from vnum.model.hosts import HostState
from vnum.model.refusals import Code, Refusal, Refused, Shortage
from vnum.servers import Endpoints
from vnum.service.clock import ManualClock
from vnum.service.hosts import NewHost
from vnum.store import hosts


async def test_a_host_is_registered_in_its_dialled_form(bare_world: World) -> None:
    host = await bare_world.host("+86 184 0091 3965", city="bj", ext_digits=4)
    assert (host.host, host.city, host.capacity, host.state) == (HOST, "bj", 9_999, HostState.ACTIVE)
    assert await bare_world.engine.hosts.list() == [host]


async def test_a_host_is_registered_once(world: World) -> None:
    with pytest.raises(Refused) as error:
        await world.host()
    assert the(error).code is Code.HOST_EXISTS


@pytest.mark.parametrize("number", ["10086", "1840091396", "184009139655", "abc", "13x00000000"])
async def test_what_is_no_host_number_is_refused(bare_world: World, number: str) -> None:
    with pytest.raises(Refused) as error:
        await bare_world.host(number)
    assert the(error).code is Code.INVALID_HOST


@pytest.mark.parametrize(
    "wrong",
    [
        {"ext_digits": 0},
        {"ext_digits": 5},
        {"quarantine_days": 0},
        {"quarantine_days": 3_651},
        {"max_live": 0},
        {"ext_check": "luhn"},
        {"ext_check": "damm", "ext_digits": 1},
        {"plan": "vanity"},
        {"colour": "red"},
    ],
    ids=str,
)
def test_terms_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"host": HOST} | wrong, NewHost)


async def test_hosts_are_spread_over_the_cells(endpoints: Endpoints, schema: str, key_folder: Path) -> None:
    async with open_world(endpoints, schema, key_folder, clock=ManualClock(START), cells=3) as world:
        cells = [(await world.host(host_number(n))).cell for n in range(7)]
    assert cells == [0, 1, 2, 0, 1, 2, 0]


STATES = {
    # state: (bind, extend, release, route)
    HostState.ACTIVE: ("bound", "extended", "released", "connect"),
    HostState.DRAINING: (Shortage.NO_ACTIVE_HOST, "extended", "released", "connect"),
    HostState.LOCKED: (Shortage.NO_ACTIVE_HOST, Code.HOST_LOCKED, "released", "connect"),
}


@pytest.mark.parametrize(("state", "allowed"), STATES.items(), ids=STATES)
async def test_what_a_state_allows(world: World, state: HostState, allowed: tuple[str, ...]) -> None:
    binding = await world.bind("a", 1)
    await world.engine.hosts.set_state(HOST, state)
    outcome = await world.try_bind("b", 2)
    found = [
        getattr(outcome, "reason", "bound"),
        await _did(world.engine.lifetime.extend(binding.binding_id, 7), "extended"),
        str((await world.dial(binding)).action),
        await _did(world.engine.lifetime.release(binding.binding_id, "done"), "released"),
    ]
    assert (found[0], found[1], found[3], found[2]) == allowed


async def test_a_host_with_live_bindings_is_not_retired(world: World) -> None:
    binding = await world.bind("a")
    with pytest.raises(Refused) as error:
        await world.engine.hosts.set_state(HOST, HostState.RETIRED)
    assert the(error).code is Code.HOST_IN_USE
    assert (await world.engine.hosts.list())[0].state is HostState.ACTIVE
    await world.engine.lifetime.release(binding.binding_id, "done")
    assert (await world.engine.hosts.set_state(HOST, HostState.RETIRED)).state is HostState.RETIRED
    assert (await world.dial(binding)).code is Code.HOST_NOT_FOUND


async def test_a_retired_host_may_come_back(world: World) -> None:
    await world.engine.hosts.set_state(HOST, HostState.RETIRED)
    assert (await world.refusal("a")).reason is Shortage.NO_ACTIVE_HOST
    await world.engine.hosts.set_state(HOST, HostState.ACTIVE)
    await world.bind("a")


async def test_an_unknown_host_has_no_state(bare_world: World) -> None:
    with pytest.raises(Refused) as error:
        await bare_world.engine.hosts.set_state(HOST, HostState.LOCKED)
    assert the(error).code is Code.HOST_NOT_FOUND


async def test_another_worker_learns_of_a_new_host_when_it_asks_for_it(
    world: World, endpoints: Endpoints, schema: str, key_folder: Path
) -> None:
    async with open_world(endpoints, schema, key_folder, clock=world.clock, wipe=False) as other:
        assert await other.engine.registry.get(host_number(5)) is None
        await world.host(host_number(5))
        assert await other.engine.registry.get(host_number(5)) is not None


async def _did(acting: object, word: str) -> object:
    try:
        await acting  # type: ignore[misc]
    except Refused as refused:
        return refused.refusal.code
    return word


async def until_one_waits(world: World) -> None:
    """For the lock under which hosts are changed."""
    for _ in range(1_000):
        if await world.count("pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            return
        await asyncio.sleep(0.01)


async def test_a_host_whose_revision_was_drawn_first_but_committed_last_is_not_missed(world: World) -> None:
    """Changes wait for one another until their commit, so a newer revision is never seen before an older one."""
    async with world.engine.database.acquire() as slow, slow.transaction():
        await slow.execute(hosts.SQL["alone"])
        await slow.fetchval(
            hosts.SQL["add_host"], "18400000051", 0, None, None, "host_ext", 4, "none", 90, None, world.now
        )
        quick = asyncio.create_task(world.host("18400000052"))
        await until_one_waits(world)
        assert not quick.done()
    await quick
    await world.engine.registry.refresh(force=True)
    assert world.engine.registry.has("18400000051")
    assert world.engine.registry.has("18400000052")


async def test_a_host_of_ours_is_nobodys_phone(world: World) -> None:
    host = await world.host("18400000061")
    asked = request("a", 1)
    outcome = (await world.engine.binder.bind([msgspec.structs.replace(asked, recipient_phone=host.host)]))[0]
    assert isinstance(outcome, Refusal)
    assert outcome.code == Code.INVALID_PHONE


async def test_a_change_of_state_waits_for_the_one_that_was_drawn_before(world: World) -> None:
    first, second = await world.host("18400000053"), await world.host("18400000054")
    async with world.engine.database.acquire() as slow, slow.transaction():
        await slow.execute(hosts.SQL["alone"])
        await slow.fetchval(hosts.SQL["set_host_state"], first.host, "locked", None)
        quick = asyncio.create_task(world.engine.hosts.set_state(second.host, HostState.DRAINING))
        await until_one_waits(world)
        assert not quick.done()
    await quick
    await world.engine.registry.refresh(force=True)
    assert world.engine.registry.known(first.host).state is HostState.LOCKED
    assert world.engine.registry.known(second.host).state is HostState.DRAINING
