"""Decisions of reviews against one another, and against a close of the month that they would change."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.engines import World
from tests.faults import HeldOpen, Hold
from tests.races.test_close import (
    MONTH_END,
    OCTOBER,
    SECOND,
    audit,
    close,
    close_until_all_is_over,
    closing,
    eve,
    record,
    set_clock,
)
from vnum.model.refusals import Code, Refused
from vnum.service.decide import Decided, Decision
from vnum.service.keep import Status
from vnum.service.records import Records
from vnum.service.reviews import ReviewState
from vnum.store import reviews as stored

__all__ = ["eve"]


async def conflict(world: World, *, more_seconds: int = 60) -> UUID:
    """A review of a record of three minutes, of a call that is charged with two."""
    binding = await world.bind("a")
    answered = MONTH_END - timedelta(minutes=10)
    set_clock(world, MONTH_END - SECOND)
    first = record(binding, "call", answered)
    other = msgspec.structs.replace(first, release_time=first.release_time + more_seconds * SECOND)
    told = await world.engine.records.report([first, other])
    assert [one.status for one in told] == [Status.RATED, Status.CONFLICT]
    return await review_id(world)


async def review_id(world: World) -> UUID:
    (review,) = await world.engine.reviews.page()
    return review.review_id


async def decide(world: World, review: UUID, decision: Decision) -> Decided | Code:
    try:
        return await world.engine.decider.decide(review, decision, reason="x", by="ann")
    except Refused as refused:
        return refused.refusal.code


async def minutes(world: World) -> Any:
    return await world.owner.fetchval("SELECT minutes FROM calls")


async def state(world: World, review: UUID) -> Any:
    return await world.owner.fetchval("SELECT state FROM call_reviews WHERE review_id = $1", review)


# A close in between


async def test_a_close_waits_for_an_acceptance_under_way(eve: list[World], hold: Hold) -> None:
    """Written, not yet committed when the month is marked: the invoice has the accepted record."""
    closer, decider = eve[:2]
    review = await conflict(decider)
    under_way = hold(stored, "replace")
    deciding = asyncio.create_task(decide(decider, review, Decision.ACCEPT))
    await under_way.reached.wait()
    set_clock(closer, MONTH_END + timedelta(hours=3))
    close_task = await closing(closer)
    assert await closer.count("closes") == 0, "it waits"
    under_way.go_on.set()
    assert isinstance(await deciding, Decided)
    await close_task
    assert await minutes(closer) == 3
    await close_until_all_is_over(closer)
    await audit(closer)


async def test_an_acceptance_that_slept_over_the_mark_is_refused(eve: list[World], hold: Hold) -> None:
    """It had looked at the open month; its statement judges again, and nothing of it stays."""
    closer, decider = eve[:2]
    review = await conflict(decider)
    slept = hold(stored, "replace", before=True)
    deciding = asyncio.create_task(decide(decider, review, Decision.ACCEPT))
    await slept.reached.wait()
    set_clock(closer, MONTH_END + timedelta(hours=3))
    close_task = await closing(closer)
    slept.go_on.set()
    assert await deciding is Code.PERIOD_CLOSED
    await close_task
    assert await minutes(closer) == 2
    assert await state(closer, review) == "open"
    assert await closer.count("call_reviews WHERE state = 'replaced'") == 0
    await close_until_all_is_over(closer)
    await audit(closer)


@pytest.mark.parametrize("hops", range(8))
async def test_a_close_and_an_acceptance_at_once_agree(eve: list[World], hops: int) -> None:
    """Whichever is first: what the call costs is what the invoice says."""
    closer, decider = eve[:2]
    review = await conflict(decider)
    set_clock(closer, MONTH_END + timedelta(hours=3))

    async def later() -> Decided | Code:
        for _ in range(hops * 10):
            await asyncio.sleep(0)
        return await decide(decider, review, Decision.ACCEPT)

    _, decided = await asyncio.gather(close(closer, OCTOBER), later())
    assert await minutes(closer) == (3 if isinstance(decided, Decided) else 2)
    assert isinstance(decided, Decided) or decided is Code.PERIOD_CLOSED
    await close_until_all_is_over(closer)
    await audit(closer)


# Two deciders


@pytest.mark.parametrize("second", [Decision.ACCEPT, Decision.DISCARD])
async def test_of_two_deciders_the_second_finds_it_decided(eve: list[World], hold: Hold, second: Decision) -> None:
    one, two = eve[:2]
    review = await conflict(one)
    under_way = hold(stored, "replace")
    first = asyncio.create_task(decide(one, review, Decision.ACCEPT))
    await under_way.reached.wait()
    late = asyncio.create_task(decide(two, review, second))
    await waiting_for_a_lock(one)
    under_way.go_on.set()
    assert isinstance(await first, Decided)
    assert await late is Code.REVIEW_DECIDED
    assert await minutes(one) == 3
    assert await one.count("call_reviews WHERE state = 'replaced'") == 1


async def test_what_is_being_retried_can_not_be_discarded_meanwhile(
    eve: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discarded means that nothing is charged."""
    one, two = eve[:2]
    binding = await one.bind("a")
    await one.engine.records.report([record(binding, "call", MONTH_END + timedelta(hours=1), seconds=60)])
    review = await review_id(one)
    set_clock(one, MONTH_END + timedelta(hours=2))
    charged = HeldOpen(Records.take, before=True)

    async def take(records: Records, given: Any) -> Any:
        return await charged(records, given)

    monkeypatch.setattr(Records, "take", take)
    first = asyncio.create_task(decide(one, review, Decision.RETRY))
    await charged.reached.wait()
    late = asyncio.create_task(decide(two, review, Decision.DISCARD))
    await waiting_for_a_lock(one)
    charged.go_on.set()
    decided = await first
    assert isinstance(decided, Decided)
    assert decided.state is ReviewState.RETRIED
    assert await late is Code.REVIEW_DECIDED
    assert await minutes(one) == 1


async def test_two_records_of_one_call_accepted_at_once_follow_one_another(eve: list[World]) -> None:
    """The second replaces the first: what is charged is one of them whole, and the other two are kept."""
    world = eve[0]
    await conflict(world)
    binding = (await world.owner.fetchrow("SELECT * FROM calls"))["binding_id"]
    row = await world.owner.fetchrow("SELECT * FROM bindings WHERE binding_id = $1", binding)
    longer = msgspec.structs.replace(
        record(_binding(row), "call", MONTH_END - timedelta(minutes=10)), release_time=MONTH_END - SECOND
    )
    await world.engine.records.report([longer])
    reviews = [review.review_id for review in await world.engine.reviews.page()]
    answers = await asyncio.gather(
        *(decide(one, review, Decision.ACCEPT) for one, review in zip(eve, reviews, strict=False))
    )
    assert all(isinstance(answer, Decided) for answer in answers)
    call = await world.owner.fetchrow(
        "SELECT seconds, minutes, cost, rate, release_time - answer_time AS span FROM calls"
    )
    assert call["seconds"] == call["span"].total_seconds()
    assert call["cost"] == call["rate"] * call["minutes"]
    assert await world.count("calls") == 1
    assert await world.count("call_reviews WHERE state = 'replaced'") == 2


def _binding(row: Any) -> Any:
    class Named:
        binding_id, host, extension = row["binding_id"], row["host"], row["extension"]

    return Named


async def test_a_retry_that_broke_off_can_be_made_again(eve: list[World], monkeypatch: pytest.MonkeyPatch) -> None:
    """Charged, and the process died before it was noted: the review is open still, and the call is charged once."""
    world = eve[0]
    binding = await world.bind("a")
    await world.engine.records.report([record(binding, "call", MONTH_END + timedelta(hours=1), seconds=60)])
    review = await review_id(world)
    set_clock(world, MONTH_END + timedelta(hours=2))

    async def dies(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(stored, "decide", dies)
        with pytest.raises(ConnectionResetError):
            await world.engine.decider.decide(review, Decision.RETRY, reason="x", by="ann")
    assert await state(world, review) == "open"
    decided = await decide(world, review, Decision.RETRY)
    assert isinstance(decided, Decided)
    assert (decided.state, decided.status) == (ReviewState.RETRIED, Status.DUPLICATE)
    assert await world.count("calls") == 1


async def waiting_for_a_lock(world: World) -> None:
    """Returns when a session waits for another's row."""
    async with asyncio.timeout(60):
        while not await world.count("pg_locks WHERE NOT granted"):  # noqa: ASYNC110 (it happens in the database)
            await asyncio.sleep(0)
