"""The state of a host against binds and extends: a retired host has no live binding, whatever was under way."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from billing import drain
from tests.engines import DAY, HOST, TICK, World, request, the
from tests.faults import HeldOpen, Hold
from vnum.model.hosts import HostState
from vnum.model.refusals import Code, Refused, Shortage
from vnum.service import hosts as hosts_service
from vnum.service.batch import Bound
from vnum.store import bindings as stored
from vnum.store import hosts as stored_hosts


async def retire(world: World) -> Code | None:
    try:
        await world.engine.hosts.set_state(HOST, HostState.RETIRED)
    except Refused as refused:
        return refused.refusal.code
    return None


async def live(world: World) -> int:
    return await world.count("slots WHERE host = $1 AND ended_at > $2", HOST, world.now)


async def state(world: World) -> str:
    return str(await world.owner.fetchval("SELECT state FROM hosts WHERE host = $1", HOST))


async def test_retiring_waits_for_a_bind_under_way_and_then_refuses(
    workers: list[World], monkeypatch: pytest.MonkeyPatch, hold: Hold
) -> None:
    first, other = workers[:2]
    await first.host()
    looks: asyncio.Queue[int] = asyncio.Queue()
    real = drain._listed

    async def looked(connection: Any, kind: str) -> set[str]:
        found = await real(connection, kind)
        looks.put_nowait(len(found))
        return found

    monkeypatch.setattr(drain, "_listed", looked)
    under_way = hold(stored, "bind")
    async with asyncio.TaskGroup() as group:
        binding = group.create_task(other.bind("a"))
        await under_way.reached.wait()
        retiring = group.create_task(retire(first))
        for _ in range(3):
            assert await looks.get() > 0, "it looks again and again"
        assert not retiring.done()
        under_way.go_on.set()
    assert (await binding).host == HOST
    assert await retiring is Code.HOST_IN_USE
    assert await state(first) == "active", "and the host is what it was"


async def test_a_bind_that_begins_after_the_retirement_gets_no_slot(workers: list[World], hold: Hold) -> None:
    """The worker has drawn a slot already, by a copy of the hosts that is a second old."""
    first, other = workers[:2]
    await first.host()
    await other.engine.registry.refresh(force=True)
    late = hold(stored, "bind", before=True)
    async with asyncio.TaskGroup() as group:
        outcome = group.create_task(other.try_bind("a"))
        await late.reached.wait()
        assert await retire(first) is None
        late.go_on.set()
    refusal = await outcome
    assert (refusal.code, refusal.reason) == (Code.NO_NUMBER_AVAILABLE, Shortage.NO_ACTIVE_HOST)  # type: ignore[union-attr]
    assert await live(first) == 0


async def test_an_extend_that_is_late_does_not_bring_life_to_a_retired_host(
    workers: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = workers[:2]
    await first.host()
    binding = await other.bind("a", ttl_days=1)
    first.pass_time(DAY - TICK)
    late = HeldOpen(other.engine.clock.settle, before=True)
    monkeypatch.setattr(other.engine.lifetime, "_clock", _Slow(first.clock, late))
    async with asyncio.TaskGroup() as group:
        extending = group.create_task(_code(other.engine.lifetime.extend(binding.binding_id, 7)))
        await late.reached.wait()
        first.pass_time(TICK)
        assert await retire(first) is None
        late.go_on.set()
    assert await extending is Code.BINDING_EXPIRED
    assert await live(first) == 0


async def test_a_host_made_active_while_it_is_being_retired_is_not_retired(
    workers: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two operators: between the count and the retirement the other one opens the host, and it is bound."""
    first, other = workers[:2]
    await first.host()
    real = stored_hosts.live_on

    async def meanwhile(*args: Any) -> int:
        found = await real(*args)
        monkeypatch.setattr(stored_hosts, "live_on", real)
        await other.engine.hosts.set_state(HOST, HostState.ACTIVE)
        await other.bind("a")
        return found

    monkeypatch.setattr(stored_hosts, "live_on", meanwhile)
    assert await retire(first) is Code.HOST_IN_USE
    assert (await state(first), await live(first)) == ("active", 1)


async def test_a_transaction_that_does_not_end_stops_a_retirement_with_a_reason(
    workers: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = workers[0]
    await first.host()
    monkeypatch.setattr(hosts_service, "WRITERS", timedelta(0))
    async with first.owner.transaction():
        await first.owner.execute("SELECT 1")
        with pytest.raises(Refused) as error:
            await first.engine.hosts.set_state(HOST, HostState.RETIRED)
    assert the(error).code is Code.STORE_UNAVAILABLE
    assert await state(first) == "active"


@pytest.mark.parametrize("seed", range(3))
async def test_whenever_a_host_is_retired_nothing_lives_on_it(workers: list[World], seed: int) -> None:
    """Binds by all workers, and an operator who retires and reopens the host."""
    await workers[0].host(ext_digits=2)
    told: list[Code | None] = []

    async def operator() -> None:
        for _ in range(5):
            told.append(await retire(workers[seed]))
            if told[-1] is None:
                assert await live(workers[seed]) == 0
            await workers[seed].engine.hosts.set_state(HOST, HostState.ACTIVE)

    async def binder(at: int) -> list[Any]:
        world = workers[at % 4]
        outcomes = []
        for n in range(4):
            outcomes += await world.engine.binder.bind([request(f"o-{seed}-{at}-{n}", 10 * at + n)])
        return outcomes

    _, *batches = await asyncio.gather(operator(), *(binder(at) for at in range(8)))
    outcomes = [outcome for batch in batches for outcome in batch]
    bound = [outcome for outcome in outcomes if isinstance(outcome, Bound)]
    assert len(bound) == await live(workers[0])
    refused = {(outcome.code, outcome.reason) for outcome in outcomes if not isinstance(outcome, Bound)}
    assert refused <= {(Code.NO_NUMBER_AVAILABLE, Shortage.NO_ACTIVE_HOST), (Code.STORE_UNAVAILABLE, None)}
    assert set(told) <= {None, Code.HOST_IN_USE}


class _Slow:
    """A worker that sleeps after it has read the clock and the binding, with no transaction open."""

    def __init__(self, clock: Any, settle: HeldOpen) -> None:
        self.simulated = clock.simulated
        self.settle = settle


async def _code(acting: Any) -> Code | None:
    try:
        await acting
    except Refused as refused:
        return refused.refusal.code
    return None
