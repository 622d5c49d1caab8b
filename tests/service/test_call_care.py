"""What is kept of calls for a while goes at its time, and not before."""

from datetime import timedelta

from tests.engines import DAY, World
from tests.service.test_route_policy import mark, policy, register
from vnum.model.retention import Keep
from vnum.service.call_record import CallRecord
from vnum.service.care import CONTACTS_KEPT
from vnum.service.keep import Status
from vnum.store import routes as stored


async def kept(world: World) -> dict[str, int]:
    tables = ("wrong_extensions", "contacts", "call_attempts", "reached")
    counts = {table: await world.count(table) for table in tables}
    return counts | {"parties": await world.count("call_marks WHERE caller_hash IS NOT NULL")}


async def test_what_counts_no_more_is_forgotten(world: World) -> None:
    await register(world, "13800000001", "courier")
    await policy(world, calls_per_day=1)
    binding = await world.bind("a")
    assert (await world.dial(binding, call_id="c1")).callee
    await mark(world, "c1")
    assert (await world.dial(binding, call_id="c2")).code
    await world.engine.care.tend()
    everything = {"wrong_extensions": 1, "contacts": 1, "call_attempts": 1, "reached": 1, "parties": 1}
    assert await kept(world) == everything
    for span, gone in (
        (CONTACTS_KEPT, {"wrong_extensions": 0, "contacts": 0}),
        (timedelta(days=Keep().calls_days) - CONTACTS_KEPT - timedelta(hours=1), {}),
        (DAY, {"parties": 0, "call_attempts": 0}),
        (5 * DAY, {"reached": 0}),
    ):
        world.pass_time(span)
        await world.engine.care.tend()
        everything |= gone
        assert await kept(world) == everything, span


async def test_old_refusals_go_in_slices(world: World) -> None:
    binding = await world.bind("a")
    await world.engine.lifetime.release(binding.binding_id, "x")
    for n in range(5):
        await world.dial(binding, call_id=f"c{n}")
    last = await world.owner.fetchval("SELECT max(attempt_id::text)::uuid FROM call_attempts")
    assert [await stored.forget_attempts(world.engine.database, 0, last, 3) for _ in range(2)] == [3, 1]
    assert await world.count("call_attempts") == 1


async def test_who_rang_is_kept_with_the_call_once_its_record_came(world: World) -> None:
    """So that it goes with the call's own key and term."""
    binding = await world.bind("a")
    await world.dial(binding, call_id="c1")
    assert await world.count("call_keys WHERE caller_hash IS NOT NULL") == 1
    record = CallRecord(
        call_id="c1",
        host=binding.host,
        extension=binding.extension,
        caller="13800000000",
        call_time=world.now,
        release_time=world.now + timedelta(seconds=9),
    )
    (reported,) = await world.engine.records.report([record])
    assert reported.status is Status.RATED
    assert await world.count("call_keys WHERE caller_hash IS NOT NULL") == 0
    world.pass_time(DAY)
    assert (await mark(world, "c1")).blocked, "the record says who it was"
