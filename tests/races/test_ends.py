"""Extend and release against the end of a binding, and against the next owner of its slot (design section 3).

A late worker is one that read the clock and the binding in time, and writes when both have changed.
"""

import asyncio
from typing import Any

import pytest

from tests.engines import DAY, TICK, World, slot_of
from tests.faults import Hold
from vnum.model.bindings import Binding
from vnum.model.refusals import Code, Refused
from vnum.service.clock import ManualClock
from vnum.service.labels import LabelItem
from vnum.store import bindings as stored


@pytest.fixture
async def two(workers: list[World]) -> tuple[World, World]:
    """A late worker and another one, and a host of nine slots with a day of quarantine."""
    await workers[0].host()
    return workers[0], workers[1]


async def row_of(world: World, binding: Binding) -> Any:
    return await world.owner.fetchrow("SELECT * FROM bindings WHERE binding_id = $1", binding.binding_id)


async def current(world: World, order: str) -> Binding:
    (answer,) = await world.engine.labels.current([LabelItem(merchant_id="m", order_id=order)])
    return answer.binding  # type: ignore[union-attr]


async def test_a_late_extend_does_not_revive_what_expired(two: tuple[World, World], hold: Hold) -> None:
    late, _ = two
    binding = await late.bind("a", ttl_days=1)
    late.pass_time(DAY - TICK)
    stalled = hold(stored, "extend", before=True)
    extend = stalled.real
    stalled.real = lambda *args: extend(*args[:-1], late.now)  # as PostgreSQL's clock does: read by the statement
    async with asyncio.TaskGroup() as group:
        extending = group.create_task(refusal(late.engine.lifetime.extend(binding.binding_id, 7)))
        await stalled.reached.wait()
        late.pass_time(TICK)
        stalled.go_on.set()
    assert await extending is Code.BINDING_EXPIRED
    assert (await row_of(late, binding))["ended_at"] == binding.ended_at


async def test_a_late_extend_leaves_an_order_its_new_binding(two: tuple[World, World], hold: Hold) -> None:
    """Else the order would have two live bindings, and pay for both."""
    late, other = two
    old = await late.bind("a", ttl_days=1)
    late.pass_time(DAY - TICK)
    stalled = hold(stored, "extend", before=True)
    async with asyncio.TaskGroup() as group:
        extending = group.create_task(refusal(late.engine.lifetime.extend(old.binding_id, 7)))
        await stalled.reached.wait()
        late.pass_time(TICK)
        new = await other.bind("a", ttl_days=3)
        stalled.go_on.set()
    assert await extending is Code.BINDING_EXPIRED
    assert new.binding_id != old.binding_id
    assert (await row_of(late, old))["ended_at"] == old.ended_at
    assert (await current(late, "a")).ended_at == new.ended_at


async def test_an_extend_that_meets_an_uncommitted_rebind_waits_for_it_and_gives_way(
    two: tuple[World, World], hold: Hold
) -> None:
    """The extending worker's clock is a moment behind; the other has bound the order anew, not yet committed."""
    late, other = two
    old = await late.bind("a", ttl_days=1)
    ahead = ManualClock(old.ended_at)
    late.pass_time(DAY - TICK)
    other.engine.binder._admission._clock = ahead
    rebind = hold(stored, "bind")
    async with asyncio.TaskGroup() as group:
        binding = group.create_task(other.bind("a", ttl_days=3))
        await rebind.reached.wait()
        extending = group.create_task(refusal(late.engine.lifetime.extend(old.binding_id, 7)))
        await until_waiting(late)
        rebind.go_on.set()
    assert await extending is Code.BINDING_EXPIRED
    assert (await row_of(late, old))["ended_at"] == old.ended_at
    assert (await row_of(late, await binding))["ended_at"] == old.ended_at + 3 * DAY


@pytest.mark.parametrize("late_act", ["extend", "release"])
async def test_a_late_act_never_touches_the_next_owner_of_the_slot(
    two: tuple[World, World], hold: Hold, late_act: str
) -> None:
    """The worker slept through expiry and quarantine, and the slot was lent to somebody else."""
    late, other = two
    old = await late.bind("a", 1, ttl_days=1)
    stalled = hold(stored, late_act, before=True)
    act = {"extend": late.engine.lifetime.extend, "release": late.engine.lifetime.release}[late_act]
    async with asyncio.TaskGroup() as group:
        acting = group.create_task(refusal(act(old.binding_id, {"extend": 7, "release": "late"}[late_act])))  # type: ignore[operator]
        await stalled.reached.wait()
        late.pass_time(4 * DAY)
        await other.engine.care.tend()
        owners = await other.fill(9, first=100, ttl_days=30)
        stalled.go_on.set()
    (owner,) = (one for one in owners if slot_of(one) == slot_of(old))
    assert await acting is Code.BINDING_EXPIRED
    row = await late.owner.fetchrow("SELECT * FROM slots WHERE (host, extension) = ($1, $2)", *slot_of(old))
    assert (row["binding_id"], row["ended_at"]) == (owner.binding_id, owner.ended_at)
    assert row["held_until"] == owner.ended_at + DAY
    assert (await row_of(late, owner))["release_reason"] is None
    assert (await row_of(late, old))["ended_at"] == old.ended_at


async def test_every_extension_that_was_answered_counts_once(workers: list[World]) -> None:
    await workers[0].host()
    binding = await workers[0].bind("a")
    answers = await asyncio.gather(
        *(refusal(workers[n % 4].engine.lifetime.extend(binding.binding_id, 7)) for n in range(12))
    )
    extended = answers.count(None)
    assert extended >= 1
    assert set(answers) <= {None, Code.STORE_UNAVAILABLE}, "who met too many others is told to try again"
    assert (await row_of(workers[0], binding))["ended_at"] == binding.ended_at + extended * 7 * DAY


async def test_extends_and_releases_at_once_leave_one_end(workers: list[World]) -> None:
    await workers[0].host()
    binding = await workers[0].bind("a")
    life = [
        world.engine.lifetime.release(binding.binding_id, "done")
        if n == 2
        else world.engine.lifetime.extend(binding.binding_id, 7)
        for n, world in enumerate(workers)
    ]
    answers = await asyncio.gather(*map(refusal, life))
    assert answers[2] is None
    assert set(answers) <= {None, Code.BINDING_RELEASED}
    ends = await workers[0].owner.fetchrow(
        """SELECT b.ended_at AS binding, o.ended_at AS "order", s.ended_at AS slot, s.held_until, o.released
           FROM bindings b JOIN orders o USING (binding_id) JOIN slots s USING (binding_id)"""
    )
    assert ends["binding"] == ends["order"] == ends["slot"] == workers[0].now
    assert ends["held_until"] == workers[0].now + DAY
    assert ends["released"]


async def test_releasing_twice_at_once_ends_it_once(workers: list[World]) -> None:
    await workers[0].host()
    binding = await workers[0].bind("a")
    seen = await asyncio.gather(
        *(world.engine.lifetime.release(binding.binding_id, f"by {n}") for n, world in enumerate(workers))
    )
    assert {one.binding.ended_at for one in seen} == {workers[0].now}
    assert (await row_of(workers[0], binding))["release_reason"] in {f"by {n}" for n in range(4)}


async def test_expiry_needs_nobody(two: tuple[World, World]) -> None:
    """No job, no message: the very instant ends it for label, call, extend and release alike."""
    world, _ = two
    binding = await world.bind("a", ttl_days=1)
    world.pass_time(DAY - TICK)
    assert str((await world.dial(binding)).action) == "connect"
    world.pass_time(TICK)
    assert (await world.dial(binding)).code is Code.BINDING_EXPIRED
    assert await refusal(world.engine.lifetime.extend(binding.binding_id, 7)) is Code.BINDING_EXPIRED
    assert await refusal(world.engine.lifetime.release(binding.binding_id, "x")) is Code.BINDING_EXPIRED
    with pytest.raises(AttributeError):
        await current(world, "a")


async def refusal(acting: Any) -> Code | None:
    """The code of the refusal; None = it was done."""
    try:
        await acting
    except Refused as refused:
        return refused.refusal.code
    return None


async def until_waiting(world: World) -> None:
    """Until a session waits for another one's row."""
    async with asyncio.timeout(60):
        while not await world.count("pg_locks WHERE locktype = 'transactionid' AND NOT granted"):  # noqa: ASYNC110
            await asyncio.sleep(0)
