"""States of an ordered call against its record, in every order in which they can arrive: told best effort, they come
late, twice, from another worker, or never. What is shown never goes back, never contradicts the record, and there is
always exactly one line of the order."""

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import permutations
from typing import Any

import pytest

from .conftest import HOST, World, beside
from .test_dials import calls, dial, take, tell

RANK = {name: n for n, name in enumerate(("queued", "taken", "ringing_agent", "collecting", "ringing", "answered"))}
OVER = {"ended": 6, "failed": 6}
YES, NO = "answered record", "unanswered record"


@pytest.fixture
async def there(world: World) -> AsyncIterator[World]:
    """Another worker."""
    async with beside(world) as opened:
        yield opened


async def ordered(world: World, order_id: str = "o1") -> dict[str, Any]:
    """An order that a switch has taken."""
    assert (await dial(world, order_id)).status == 201
    (one,) = await take(world)
    return one


async def connected(world: World, one: dict[str, Any]) -> None:
    asked = {"call_id": one["call_id"], "caller": one["agent"], "host": HOST, "digits": one["extension"]}
    assert (await world.post("/v1/calls/route", asked, role="switch")).body["action"] == "connect"


def record(one: dict[str, Any], *, answered: bool, seconds: int = 61) -> dict[str, Any]:
    times = {"answer_time": "2026-10-05T03:50:10Z"} if answered else {}
    released = f"2026-10-05T03:5{(10 + seconds) // 60}:{(10 + seconds) % 60:02}Z"
    ids = {"call_id": one["call_id"], "host": HOST, "caller": one["agent"]}
    return ids | times | {"call_time": "2026-10-05T03:50:00Z", "release_time": released, "release_cause": 16}


async def send(world: World, one: dict[str, Any], event: str) -> None:
    if event in (YES, NO):
        items = [record(one, answered=event == YES)]
        (result,) = (await world.post("/v1/calls/records", {"items": items}, role="switch")).body["results"]
        assert result["status"] in ("rated", "duplicate", "conflict")
    else:
        await tell(world, one["call_id"], event)


async def shown(world: World) -> tuple[str, bool]:
    """The order's line: its state, or `recorded`, and whether it was answered; the same in the call's life."""
    (call,) = await calls(world)
    life = (await world.get(f"/v1/calls/{call['call_id']}", role="merchant")).body
    if "state" in call:
        assert life["ordered"]["state"] == call["state"]
        assert "record" not in life
        return call["state"], call["state"] in ("answered", "ended")
    was_answered = "answer_time" in call
    assert ("answer_time" in life["record"]) == was_answered
    assert life["ordered"]["state"] == ("ended" if was_answered else "failed")
    assert ("code" in life["ordered"]) != was_answered
    return "recorded", was_answered


def rank(state: str) -> int:
    return (RANK | OVER | {"recorded": 7})[state]


STORIES = [
    ("as it should be", ("ringing_agent", "ringing", "answered", "ended", YES)),
    ("the record first", (YES, "ringing_agent", "ringing", "answered", "ended")),
    ("the record before the end", ("ringing_agent", "ringing", "answered", YES, "ended")),
    ("the end long before the record", ("ringing_agent", "ended", YES)),
    ("told failed, and was answered", ("ringing", "failed", YES)),
    ("told answered, and was not", ("ringing", "answered", NO)),
    ("told ended, and was not answered", ("ended", NO, "answered")),
    ("not answered, then told answered", (NO, "answered", "ended")),
    ("backwards", ("ended", "answered", "ringing", "collecting", "ringing_agent", YES)),
    ("each twice", ("ringing", "ringing", "answered", "answered", "ended", "ended", YES, YES)),
    ("two records that differ: the first counts", ("answered", YES, NO, "failed")),
    ("two records that differ, the other way", (NO, YES, "answered")),
    ("nothing told", (YES,)),
    ("no record", ("ringing_agent", "ringing", "answered", "ended")),
]


@pytest.mark.parametrize(("story", "events"), STORIES, ids=[name.replace(" ", "_") for name, _ in STORIES])
async def test_what_is_shown_never_goes_back(world: World, there: World, story: str, events: tuple[str, ...]) -> None:
    """Each event at the other worker than the one before; care is taken of the rest after each."""
    await world.stock()
    await world.bind()
    one = await ordered(world)
    await connected(world, one)
    before = "taken"
    for n, event in enumerate(events):
        await send((world, there)[n % 2], one, event)
        state, answered = await shown((there, world)[n % 2])
        assert rank(state) >= rank(before), (story, event)
        first = next((e for e in events[: n + 1] if e in (YES, NO)), None)
        if first is not None:
            assert (state, answered) == ("recorded", first == YES), (story, event)
        before = state
        await world.engine.care.tend()
        assert (await shown(there))[0] == state


TOLD = ("ringing", "answered", "ended")


@pytest.mark.parametrize("ending", [YES, NO])
@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_all_at_once_from_two_workers(world: World, there: World, order: tuple[int, ...], ending: str) -> None:
    """Whoever comes first: one line, of the record."""
    await world.stock()
    await world.bind()
    one = await ordered(world)
    await connected(world, one)
    events = [TOLD[n] for n in order] + [ending]
    random.Random(str(order)).shuffle(events)
    both = [(worker, event) for event in events for worker in (world, there)]
    looks = [shown_while(world), shown_while(there)]
    await asyncio.gather(*(send(worker, one, event) for worker, event in both), *looks)
    assert await shown(world) == ("recorded", ending == YES)
    assert await world.rows("calls") == 1


async def shown_while(world: World) -> None:
    """The list has one line of the order at any moment."""
    seen = 0
    for _ in range(5):
        (call,) = await calls(world)
        now = rank(call.get("state", "recorded"))
        assert now >= seen
        seen = now


@pytest.mark.parametrize("told", [(), ("ringing_agent",), ("ringing_agent", "ringing")])
async def test_an_agent_who_was_rung_is_not_rung_again(world: World, there: World, told: tuple[str, ...]) -> None:
    """What the switch told was lost, as may be; vnum has let the call through, or has its record."""
    await world.stock()
    for n, order_id in enumerate(("routed", "recorded")):
        await world.bind(order_id, recipient_phone=f"1391234000{n}")
        one = await ordered(world, order_id)
        await connected(world, one)
        if order_id == "recorded":
            await send(world, one, YES)
        for state in told:
            await tell(world, one["call_id"], state)
    world.advance(seconds=31)
    assert await take(there) == []


async def test_silence_after_the_record_is_no_failure(world: World) -> None:
    """`answered` and `ended` were lost; ten minutes later the call has not failed."""
    await world.stock()
    await world.bind()
    one = await ordered(world)
    await connected(world, one)
    await tell(world, one["call_id"], "ringing")
    await send(world, one, YES)
    world.advance(minutes=11)
    assert await take(world) == []  # gives up what is silent
    await world.engine.care.tend()
    assert await world.rows("dials WHERE code IS NOT NULL") == 0
    assert await shown(world) == ("recorded", True)
