"""Many workers on few slots, and on the same orders: one owner a slot, one binding an order, a reason for every no."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from tests.engines import DAY, World, host_number, on_pool, request, slot_of
from tests.faults import FaultyPool
from vnum.engine import open_redis
from vnum.model.refusals import Code, Refusal, Shortage
from vnum.pool.keys import Keys
from vnum.service.batch import Bound, Outcome
from vnum.store import bindings as stored


async def audit(world: World) -> None:
    """One live binding a slot and an order; every slot that looks owned has its binding; nothing orphaned."""
    row = await world.owner.fetchrow(
        """SELECT count(*) AS live, count(DISTINCT (host, extension)) AS slots,
                  count(DISTINCT (merchant_id, order_id)) AS orders,
                  (SELECT count(*) FROM slots WHERE ended_at > $1) AS owned, (SELECT count(*) FROM orphans) AS orphans
           FROM bindings WHERE bound_at <= $1 AND $1 < ended_at""",
        world.now,
    )
    assert row["live"] == row["slots"] == row["orders"] == row["owned"], dict(row)
    assert row["orphans"] == 0


def bound(outcomes: list[Outcome]) -> list[Bound]:
    return [outcome for outcome in outcomes if isinstance(outcome, Bound)]


def refused(outcomes: list[Outcome]) -> list[Refusal]:
    return [outcome for outcome in outcomes if isinstance(outcome, Refusal)]


async def all_at_once(*batches: Any) -> list[Outcome]:
    return [outcome for batch in await asyncio.gather(*batches) for outcome in batch]


@pytest.mark.parametrize("size", [1, 7])
async def test_many_workers_on_few_slots(workers: list[World], size: int) -> None:
    """56 orders, 18 slots, singly and in batches."""
    for n in range(2):
        await workers[0].host(host_number(n))
    requests = [request(f"order-{n}", n) for n in range(56)]
    outcomes = await all_at_once(
        *(
            workers[at % len(workers)].engine.binder.bind(requests[at * size : (at + 1) * size])
            for at in range(56 // size)
        )
    )
    slots = [slot_of(one.binding) for one in bound(outcomes)]
    assert len(slots) == len(set(slots)) == 18
    assert {no.code for no in refused(outcomes)} == {Code.NO_NUMBER_AVAILABLE}
    # A slot in another worker's hands is free in PostgreSQL until it is committed: then nobody can tell which it is.
    assert {no.reason for no in refused(outcomes)} <= {Shortage.ALL_BOUND, Shortage.ALL_QUARANTINED}
    assert (await workers[0].refusal("late", 99)).reason is Shortage.ALL_BOUND
    await audit(workers[0])


@pytest.mark.parametrize("seed", range(3))
async def test_no_slot_is_lost_for_longer_than_two_days(workers: list[World], seed: int) -> None:
    """Replies get lost, Redis is emptied in between: two days later all that is not bound is free."""
    await workers[0].host(ext_digits=2)
    pools = [FaultyPool(open_redis(world.parts.redis_url), Keys(world.parts.schema)) for world in workers]
    faults = ["fine", "reply_lost", "fine", "emptied_after", "away", "fine"]
    shaky = [on_pool(world, pool) for world, pool in zip(workers, pools, strict=True)]
    for at, pool in enumerate(pools):
        pool.plan.extend(faults[(at + seed) % len(faults) :] + faults)
    outcomes = await all_at_once(
        *(
            world.engine.binder.bind([request(f"order-{at}-{n}", 10 * at + n, ttl_days=90) for n in range(8)])
            for at, world in enumerate(shaky)
        )
    )
    assert len(bound(outcomes)) == 32
    calm = workers[0]
    calm.pass_time(2 * DAY)
    await calm.engine.care.tend()
    await calm.bind("loads the host, should it be gone", 900)
    (free,) = await calm.engine.pool.free_counts(await calm.engine.hosts.list())
    assert free is not None
    assert free >= 99 - 33, "Redis may offer too much, never too little for long"
    assert len(await calm.fill(66, first=1_000)) == 66
    await audit(calm)
    for pool in pools:
        await pool.close()


@pytest.fixture
def rush(monkeypatch: pytest.MonkeyPatch) -> asyncio.Barrier:
    """No worker writes its first batch before all have read that there is nothing."""
    barrier, met = asyncio.Barrier(4), set()
    real = stored.bind

    async def together(connection: Any, *args: Any) -> Any:
        if len(met) < 4:
            met.add(asyncio.current_task())
            async with asyncio.timeout(60):
                await barrier.wait()
        return await real(connection, *args)

    monkeypatch.setattr(stored, "bind", together)
    return barrier


async def test_many_workers_binding_the_same_orders(workers: list[World], rush: asyncio.Barrier) -> None:
    await workers[0].host(ext_digits=2)
    requests = [request(f"order-{n}", n) for n in range(20)]
    answers = await asyncio.gather(
        *(world.engine.binder.bind(requests[at:] + requests[:at]) for at, world in enumerate(workers))
    )
    named: dict[str, set[UUID]] = {}
    for outcome in bound([outcome for answer in answers for outcome in answer]):
        named.setdefault(outcome.binding.order_id, set()).add(outcome.binding.binding_id)
    assert {len(ids) for ids in named.values()} == {1}, "all are told of the same binding"
    assert len(named) == 20
    created = Counter(one.binding.order_id for answer in answers for one in bound(answer) if one.created)
    assert set(created.values()) == {1}, "and one of them made it"
    await workers[0].engine.care.tend()
    await audit(workers[0])
    assert await workers[0].count("slots WHERE held_until > $1", workers[0].now) == 20, "the orphans are free"
    assert len(await workers[0].fill(79, first=500)) == 79


async def test_an_orphan_goes_back_with_the_memory_of_who_had_it_before(
    workers: list[World], rush: asyncio.Barrier
) -> None:
    """The slot of a lost race is kept from its former holder, as if it had never been taken."""
    first = workers[0]
    await first.host()
    rush_over = [request("warm", n) for n in (1,)]
    await asyncio.gather(*(world.engine.binder.bind(rush_over) for world in workers))
    memory = await first.owner.fetch("SELECT extension, holder_recipient FROM slots WHERE held_until <= $1", first.now)
    assert all(row["holder_recipient"] is None for row in memory)
    await audit(first)


async def test_other_phones_for_one_order_conflict(workers: list[World], rush: asyncio.Barrier) -> None:
    await workers[0].host(ext_digits=2)
    outcomes = await all_at_once(
        *(world.engine.binder.bind([request("the order", at)]) for at, world in enumerate(workers))
    )
    assert len(bound(outcomes)) == 1
    assert [no.code for no in refused(outcomes)] == [Code.BINDING_CONFLICT] * 3
    await audit(workers[0])


async def test_workers_that_rebuild_the_pool_meanwhile_change_nothing(workers: list[World]) -> None:
    """Slots in flight look free again to Redis: PostgreSQL refuses the second binder."""
    await workers[0].host(ext_digits=2)

    async def rebuild() -> list[Outcome]:
        for _ in range(6):
            await workers[3].engine.care.rebuild()
        return []

    outcomes = await all_at_once(
        rebuild(),
        *(
            workers[at % 3].engine.binder.bind([request(f"o-{at}-{n}", 10 * at + n) for n in range(5)])
            for at in range(18)
        ),
    )
    assert len(bound(outcomes)) == 90
    await audit(workers[0])
