"""Events and changed recipients against one another, against extend and release, and against the end."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.engines import DAY, TICK, World, phone
from tests.faults import Hold
from vnum.model.lifecycle import EventType, Policy
from vnum.model.refusals import Code
from vnum.service.batch import Bound
from vnum.service.order_events import NewEvent
from vnum.service.orders import Parcel
from vnum.store import bindings as stored_bindings
from vnum.store import lifecycle as stored

from .test_ends import refusal, row_of, until_waiting


@pytest.fixture
async def two(workers: list[World]) -> tuple[World, World]:
    await workers[0].host()
    await workers[0].engine.lifecycle.set_policy(Policy(end_after_signed_days=1))
    return workers[0], workers[1]


def signed(waybill_no: str | None = None) -> NewEvent:
    return NewEvent(type=EventType.SIGNED, carrier=waybill_no and "SF", waybill_no=waybill_no)


async def test_the_last_two_parcels_signed_at_once_end_the_number(two: tuple[World, World], hold: Hold) -> None:
    """Each sees the other: one waits for the order's lock, and reads what the other wrote."""
    one, other = two
    binding = await one.bind("a", parcels=[Parcel(carrier="SF", waybill_no=no) for no in ("1", "2")])
    first = hold(stored, "rest_parcels")
    async with asyncio.TaskGroup() as group:
        a = group.create_task(one.engine.lifecycle.tell("m", "a", signed("1")))
        await first.reached.wait()
        b = group.create_task(other.engine.lifecycle.tell("m", "a", signed("2")))
        await until_waiting(one)
        first.go_on.set()
    assert [(await a).order_status, (await b).order_status] == ["shipped", "signed"]
    assert (await row_of(one, binding))["ended_at"] == one.now + DAY


async def test_the_same_event_by_many_workers_counts_once(workers: list[World]) -> None:
    await workers[0].host()
    await workers[0].bind("a")
    told = await asyncio.gather(*(workers[n % 4].engine.lifecycle.tell("m", "a", signed()) for n in range(8)))
    assert [one.new for one in told].count(True) == 1
    assert await workers[0].count("order_events") == 1


@pytest.mark.parametrize("late_act", ["event", "recipient"])
async def test_a_late_change_touches_nothing_that_ended(two: tuple[World, World], hold: Hold, late_act: str) -> None:
    late, other = two
    old = await late.bind("a", ttl_days=2)
    name = {"event": "set_end", "recipient": "change_recipient"}[late_act]
    stalled = hold(stored, name, before=True)
    real = stalled.real
    stalled.real = lambda *args: real(*args[:-1], late.now)  # as PostgreSQL's clock does: read by the statement
    acts: dict[str, Callable[[], Any]] = {
        "event": lambda: late.engine.lifecycle.tell("m", "a", signed()),
        "recipient": lambda: late.engine.recipients.change(old.binding_id, phone(2), "moved"),
    }
    async with asyncio.TaskGroup() as group:
        acting = group.create_task(refusal(acts[late_act]()))
        await stalled.reached.wait()
        late.pass_time(2 * DAY)
        new = None if late_act == "event" else await other.bind("a", ttl_days=3)  # an event holds the order's lock
        stalled.go_on.set()
    assert await acting is (None if late_act == "event" else Code.BINDING_EXPIRED)
    assert (await row_of(late, old))["ended_at"] == old.ended_at
    assert await late.count("recipient_changes") == 0
    if new is not None:
        assert (await late.dial(new)).callee == "+86" + phone(1)


@pytest.mark.parametrize("rival", ["extend", "release", "recipient"])
async def test_a_changed_recipient_meets_others(two: tuple[World, World], hold: Hold, rival: str) -> None:
    one, other = two
    binding = await one.bind("a")
    change = hold(stored, "change_recipient")
    acts: dict[str, Callable[[], Any]] = {
        "extend": lambda: other.engine.lifetime.extend(binding.binding_id, 7),
        "release": lambda: other.engine.lifetime.release(binding.binding_id, "done"),
        "recipient": lambda: other.engine.recipients.change(binding.binding_id, phone(3), "again"),
    }
    async with asyncio.TaskGroup() as group:
        changing = group.create_task(one.engine.recipients.change(binding.binding_id, phone(2), "moved"))
        await change.reached.wait()
        beside = group.create_task(refusal(acts[rival]()))
        await until_waiting(one)
        change.go_on.set()
    await changing
    assert await beside is None
    row = await row_of(one, binding)
    match rival:
        case "extend":
            assert row["ended_at"] == binding.ended_at + 7 * DAY
            assert (await one.dial(binding)).callee == "+86" + phone(2)
        case "release":
            assert row["ended_at"] == one.now
        case _:
            assert (await one.dial(binding)).callee == "+86" + phone(3)
            assert await one.count("recipient_changes") == 2


async def test_a_bind_beside_a_change_is_answered_by_one_of_the_two_phones(
    two: tuple[World, World], hold: Hold
) -> None:
    one, other = two
    binding = await one.bind("a", 1)
    change = hold(stored, "change_recipient")
    async with asyncio.TaskGroup() as group:
        group.create_task(one.engine.recipients.change(binding.binding_id, phone(2), "moved"))
        await change.reached.wait()
        before = await other.try_bind("a", 1)
        change.go_on.set()
    assert isinstance(before, Bound)
    assert (await other.refusal("a", 1)).code is Code.BINDING_CONFLICT
    assert isinstance(await other.try_bind("a", 2), Bound)


async def test_a_slot_goes_back_to_no_recipient_of_its_last_binding(two: tuple[World, World]) -> None:
    """Nine slots, eight of them taken: only the one that was held is free, and three people held it."""
    world, _ = two
    binding = await world.bind("a", 1, ttl_days=1)
    for n in (2, 3, 2):
        await world.engine.recipients.change(binding.binding_id, phone(n), "moved")
    world.pass_time(DAY)
    await world.fill(8, first=100)
    world.pass_time(2 * DAY)
    await world.engine.care.tend()
    for n in (1, 2, 3):
        assert (await world.refusal(f"b{n}", n)).code is Code.NO_NUMBER_AVAILABLE
    assert (await world.bind("c", 4)).extension == binding.extension


async def test_an_event_and_a_rebind_leave_the_new_number_whole(two: tuple[World, World], hold: Hold) -> None:
    """The event waits until the order is bound anew, looks again, and ends what there is by then."""
    one, other = two
    old = await one.bind("a", ttl_days=1)
    one.pass_time(DAY)
    rebind = hold(stored_bindings, "bind")
    async with asyncio.TaskGroup() as group:
        binding = group.create_task(other.bind("a", ttl_days=30))
        await rebind.reached.wait()
        telling = group.create_task(one.engine.lifecycle.tell("m", "a", signed()))
        await until_waiting(one)
        rebind.go_on.set()
    assert (await telling).binding_id == (await binding).binding_id
    assert (await row_of(one, await binding))["ended_at"] == one.now + DAY
    assert (await row_of(one, old))["ended_at"] == one.now


async def test_exact_to_the_tick(two: tuple[World, World]) -> None:
    world, _ = two
    binding = await world.bind("a")
    await world.engine.lifecycle.tell("m", "a", signed())
    world.pass_time(DAY - TICK)
    assert (await world.dial(binding)).callee is not None
    world.pass_time(TICK)
    assert (await world.dial(binding, call_id="next")).callee is None
