"""Click to dial: orders that a switch takes, their states, and what becomes of those that nobody takes."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.engines import DAY, HOST, World, on_pool, phone, the, tied
from vnum.model.call_policy import PolicyFields
from vnum.model.dials import CallState, DialState
from vnum.model.orders import OrderStatus
from vnum.model.refusals import Code, RateLimited, Refused
from vnum.service.blacklist import Direction, NewListing
from vnum.service.dials import Dial, NewDial
from vnum.service.hosts import NewHost
from vnum.service.labels import EVERYONE, Reader
from vnum.service.opt_outs import OptOut
from vnum.service.records import CallRecord, Status
from vnum.service.route import Action, Policy, RouteRequest
from vnum.service.take_dials import DialToMake, StateOfCall, TakeDials
from vnum.store import dials as stored

AGENT = "13800000001"
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
SHOP = Reader(merchants=frozenset({"m"}), prints=False)
NOW = TakeDials(wait_seconds=0)


async def order(world: World, order_id: str = "a", agent: str = AGENT, reader: Reader = EVERYONE) -> Dial:
    """A millisecond after the one before."""
    world.pass_time(timedelta(milliseconds=1))
    return await world.engine.dials.order(NewDial(merchant_id="m", order_id=order_id, agent_phone=agent), reader)


async def take(world: World, most: int = 10) -> list[str]:
    return [one.call_id for one in await world.engine.dial_taker.take(TakeDials(most=most, wait_seconds=0))]


async def tell(world: World, call_id: str, *states: CallState) -> list[bool]:
    items = [StateOfCall(call_id=call_id, state=state, at=world.now) for state in states]
    return [one.new for one in await world.engine.dial_taker.tell(items)]


async def shown(world: World, merchant: str = "m", reader: Reader = EVERYONE) -> list[tuple[DialState, str | None]]:
    span = (world.now - DAY, world.now + DAY)
    return [(one.state, one.code) for one in await world.engine.calls.open_dials(merchant, *span, reader=reader)]


async def test_a_call_from_the_order_to_the_record(world: World) -> None:
    lent = await world.bind("a")
    dial = await order(world)
    assert (dial.state, dial.binding.binding_id) == (DialState.QUEUED, lent.binding_id)
    assert await shown(world) == [(DialState.QUEUED, None)]
    (taken,) = await world.engine.dial_taker.take(NOW)
    assert taken == DialToMake(
        call_id=dial.call_id,
        agent=f"+86{AGENT}",
        host=HOST,
        extension=lent.extension,
        display_number=HOST,
        max_ring_seconds=30,
    )
    assert AGENT not in repr(taken)
    assert await shown(world) == [(DialState.TAKEN, None)]
    assert await tell(world, dial.call_id, CallState.RINGING_AGENT) == [True]
    asked = RouteRequest(call_id=dial.call_id, caller=taken.agent, host=taken.host, digits=taken.extension)
    decision = await world.engine.routes.route(asked)
    assert (decision.action, decision.callee) == (Action.CONNECT, f"+86{phone(1)}")
    assert await tell(world, dial.call_id, CallState.RINGING, CallState.ANSWERED) == [True, True]
    assert await shown(world) == [(DialState.ANSWERED, None)]
    began = world.now
    world.pass_time(61 * SECOND)
    record = CallRecord(
        call_id=dial.call_id, host=HOST, caller=taken.agent, call_time=began, answer_time=began, release_time=world.now
    )
    (rated,) = await world.engine.records.report([record])
    assert (rated.status, rated.minutes) == (Status.RATED, 2)
    assert await shown(world) == []
    (call,) = await world.engine.calls.page("m", began - DAY, began + DAY)
    assert (call.call_id, call.seconds) == (dial.call_id, 61)


async def test_the_agents_phone_is_sealed_and_forgotten_with_the_call(world: World) -> None:
    await world.bind("a")
    dial = await order(world)
    row = await world.owner.fetchrow("SELECT * FROM dials")
    assert AGENT.encode() not in row["agent"]
    await take(world)
    await tell(world, dial.call_id, CallState.ENDED)
    row = await world.owner.fetchrow("SELECT * FROM dials")
    assert (row["agent"], row["agent_hash"], row["state"]) == (None, None, "ended")


async def test_an_erased_agent_is_not_rung(world: World) -> None:
    await world.bind("a")
    await order(world)
    await world.engine.subjects.erase(AGENT, "asked for it")
    assert await take(world) == []
    world.pass_time(2 * MINUTE)
    assert await shown(world) == [(DialState.FAILED, "dial_not_taken")]


NOES: list[tuple[str, Code]] = [
    ("never bound", Code.BINDING_NOT_FOUND),
    ("expired", Code.BINDING_EXPIRED),
    ("released", Code.BINDING_RELEASED),
    ("not shipped", Code.ORDER_NOT_SHIPPED),
    ("opted out", Code.RECIPIENT_OPTED_OUT),
    ("not registered", Code.CALLER_NOT_ALLOWED),
    ("night", Code.QUIET_HOURS),
    ("no purpose", Code.PURPOSE_NOT_ALLOWED),
    ("agent blacklisted", Code.CALLER_BLACKLISTED),
    ("rung often enough", Code.CALLS_CAPPED),
]


@pytest.mark.parametrize(("why", "code"), NOES, ids=[why for why, _ in NOES])
async def test_what_can_be_known_is_refused_before_a_phone_rings(world: World, why: str, code: Code) -> None:
    policies = {
        "not registered": {"who": "registered"},
        "night": {"quiet": {"from": "00:00", "to": "23:59"}},
        "no purpose": {"purposes": ["after_sales"]},
        "rung often enough": {"calls_per_day": 1},
    }
    if why != "never bound":
        status = OrderStatus.WAYBILL_ISSUED if why == "not shipped" else OrderStatus.SHIPPED
        lent = await world.bind("a", ttl_days=1, order_status=status)
        if why == "released":
            await world.engine.lifetime.release(lent.binding_id, "x")
        if fields := policies.get(why):
            await world.engine.call_policies.put("m", msgspec.convert(fields, PolicyFields))
        if why == "rung often enough":
            assert (await world.dial(lent)).action is Action.CONNECT
    if why == "expired":
        world.pass_time(DAY)
    if why == "opted out":
        await world.engine.opt_outs.say(OptOut(phone=phone(1)))
    if why == "agent blacklisted":
        await world.engine.blacklist.add(NewListing(phone=AGENT, direction=Direction.CALLER))
    with pytest.raises(Refused) as refused:
        await order(world, reader=SHOP)
    assert the(refused).code is code
    assert await world.count("dials") == 0


@pytest.mark.parametrize("agent", ["anonymous", "10086", "+442079460000", "not a phone", "57188880000", "x" * 60])
async def test_who_can_be_an_agent(world: World, agent: str) -> None:
    await world.bind("a")
    with pytest.raises(Refused) as refused:
        await order(world, agent=agent)
    assert the(refused).code is Code.INVALID_CALLER
    assert agent not in the(refused).detail


async def test_a_strangers_order_is_none(world: World) -> None:
    await world.bind("a")
    with tied({"other"}), pytest.raises(Refused) as refused:
        await order(world, reader=Reader(merchants=frozenset({"other"}), prints=False))
    assert the(refused).code is Code.BINDING_NOT_FOUND
    with tied({"m"}):
        await order(world, reader=SHOP)
        assert await shown(world, reader=SHOP) == [(DialState.QUEUED, None)]


async def test_that_an_agent_is_locked_out_elsewhere_is_not_the_merchants_business(world: World) -> None:
    lent = await world.bind("a")
    free = next(digit for digit in "123456789" if digit != lent.extension)
    for n in range(10):
        await world.engine.routes.route(RouteRequest(call_id=f"g{n}", caller=AGENT, host=HOST, digits=free))
    await order(world)
    assert (await world.dial(lent, AGENT, "c")).code is Code.CALLER_LOCKED_OUT


async def test_an_order_is_handed_out_once_and_again_after_silence(world: World) -> None:
    await world.bind("a")
    await world.bind("b", 2)
    first, second = (await order(world)).call_id, (await order(world, "b")).call_id
    assert await take(world, 1) == [first]
    assert await take(world) == [second]
    assert await take(world) == []
    await tell(world, first, CallState.RINGING_AGENT)
    world.pass_time(30 * SECOND)
    assert await take(world) == [second]


async def test_a_switch_that_is_gone_takes_nothing(world: World) -> None:
    """Killed while it waited: the order is there for the next at once."""
    await world.bind("a")
    ordered = (await order(world)).call_id
    assert await world.engine.dial_taker.take(TakeDials(wait_seconds=20), lambda: False) == []
    assert await take(world) == [ordered]


async def test_many_takers_get_each_order_once(world: World) -> None:
    for n in range(6):
        await world.bind(f"o{n}", n)
        await order(world, f"o{n}")
    taken = await asyncio.gather(*(take(world, 2) for _ in range(5)))
    ids = [call_id for one in taken for call_id in one]
    assert len(ids) == len(set(ids)) == 6


async def test_what_nobody_takes_in_time_failed(world: World) -> None:
    await world.bind("a")
    await order(world)
    world.pass_time(2 * MINUTE)
    assert await shown(world) == [(DialState.FAILED, "dial_not_taken")]
    assert await take(world) == []
    row = await world.owner.fetchrow("SELECT * FROM dials")
    assert (row["state"], row["code"], row["agent"]) == ("failed", "dial_not_taken", None)


async def test_a_switch_that_falls_silent(world: World) -> None:
    await world.bind("a")
    await world.bind("b", 2)
    rings, silent = (await order(world)).call_id, (await order(world, "b")).call_id
    world.pass_time(115 * SECOND)
    assert await take(world) == [rings, silent]
    world.pass_time(10 * SECOND)
    await world.engine.care.tend()
    assert await shown(world) == [(DialState.TAKEN, None)] * 2
    await tell(world, rings, CallState.RINGING_AGENT)
    world.pass_time(20 * SECOND)
    await world.engine.care.tend()
    assert await shown(world) == [(DialState.RINGING_AGENT, None), (DialState.FAILED, "dial_not_taken")]
    world.pass_time(10 * MINUTE)
    await world.engine.care.tend()
    assert await shown(world) == [(DialState.FAILED, "dial_lost"), (DialState.FAILED, "dial_not_taken")]


STATES = [
    ((CallState.RINGING_AGENT, CallState.RINGING_AGENT), [True, False], DialState.RINGING_AGENT),
    ((CallState.ANSWERED, CallState.RINGING), [True, True], DialState.ANSWERED),
    ((CallState.ENDED, CallState.FAILED), [True, True], DialState.ENDED),
    ((CallState.FAILED, CallState.ENDED), [True, True], DialState.FAILED),
    ((CallState.COLLECTING, CallState.RINGING), [True, True], DialState.RINGING),
]


@pytest.mark.parametrize(("told", "new", "state"), STATES)
@pytest.mark.parametrize("together", [True, False])
async def test_a_state_never_goes_back(
    world: World, told: tuple[CallState, ...], new: list[bool], state: DialState, *, together: bool
) -> None:
    await world.bind("a")
    call_id = (await order(world)).call_id
    await take(world)
    results = await tell(world, call_id, *told) if together else [(await tell(world, call_id, s))[0] for s in told]
    assert results == new
    assert [one for one, _ in await shown(world)] == [state]


async def test_states_of_calls_that_nobody_ordered(world: World) -> None:
    assert await tell(world, "c", CallState.COLLECTING, CallState.RINGING) == [True, True]
    assert await tell(world, "c", CallState.COLLECTING, CallState.ENDED) == [False, True]
    assert await world.count("call_states WHERE call_id = 'c'") == 3
    late = StateOfCall(call_id="c", state=CallState.ENDED, at=world.now + 6 * MINUTE)
    with pytest.raises(Refused) as refused:
        await world.engine.dial_taker.tell([late])
    assert the(refused).code is Code.TIME_IN_FUTURE


async def test_why_a_call_failed_says_its_refusal(world: World) -> None:
    lent = await world.bind("a")
    await world.bind("b", 2)
    refused, unanswered = (await order(world)).call_id, (await order(world, "b")).call_id
    await take(world)
    await world.engine.opt_outs.say(OptOut(phone=phone(1)))
    assert (await world.dial(lent, AGENT, refused)).action is not Action.CONNECT
    await tell(world, refused, CallState.FAILED)
    await tell(world, unanswered, CallState.FAILED)
    assert await shown(world) == [(DialState.FAILED, "recipient_opted_out"), (DialState.FAILED, "dial_failed")]


async def test_a_merchant_orders_so_many_a_minute(world: World) -> None:
    await world.bind("a")
    slow = on_pool(world, world.engine.pool, policy=Policy(dials_per_minute=2))
    for _ in range(2):
        await order(slow)
        world.pass_time(20 * SECOND)
    with pytest.raises(RateLimited) as limited:
        await order(slow)
    assert limited.value.retry_s == 20
    world.pass_time(20 * SECOND)
    await order(slow)


async def test_who_waits_is_woken_by_an_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before he would look by himself; as many wait as there are connections, and hold none."""
    monkeypatch.setattr("vnum.service.take_dials.LOOK_AGAIN_S", 600.0)
    await world.bind("a")
    taker, real, looked, all_looked = world.engine.dial_taker, stored.take, [0], asyncio.Event()

    async def counted(*args: Any) -> Any:
        found = await real(*args)
        looked[0] += 1
        if looked[0] == 3:
            all_looked.set()
        return found

    monkeypatch.setattr(stored, "take", counted)
    waiting = [asyncio.create_task(taker.take(TakeDials(most=1, wait_seconds=30))) for _ in range(3)]
    await all_looked.wait()
    dial = await order(world)
    done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=60)
    assert [one.call_id for task in done for one in task.result()] == [dial.call_id]
    await taker.close()
    assert [await task for task in rest] == [[], []]


async def test_what_was_ordered_is_in_the_audit(world: World) -> None:
    lent = await world.bind("a")
    dial = await order(world)
    row = await world.owner.fetchrow("SELECT * FROM audit_entries WHERE did = 'call.ordered'")
    assert row["subjects"] == [f"{dial.call_id} {lent.binding_id}"]


async def test_it_is_forgotten_at_its_time(world: World) -> None:
    await world.bind("a")
    dial = await order(world)
    await take(world)
    await tell(world, dial.call_id, CallState.ANSWERED)
    world.pass_time(DAY + SECOND)
    await world.engine.care.tend()
    assert await world.count("dials WHERE agent IS NOT NULL OR agent_hash IS NOT NULL") == 0
    world.pass_time(31 * DAY)
    await world.engine.care.tend()
    assert await world.count("call_states") == 0
    world.pass_time(153 * DAY)
    await world.engine.care.tend()
    assert await world.count("dials") == 0


async def test_in_several_cells(world: World) -> None:
    wide = on_pool(world, world.engine.pool, cells=4)
    for n in range(4):
        await wide.engine.hosts.add(NewHost(host=f"1840000010{n}"))
    ids = []
    for n in range(6):
        await wide.bind(f"o{n}", n)
        ids.append((await order(wide, f"o{n}")).call_id)
    assert sorted(await take(wide)) == sorted(ids)
    assert await tell(wide, ids[0], CallState.RINGING_AGENT) == [True]
    assert await wide.count("dials WHERE state = 'ringing_agent'") == 1
    await wide.engine.dial_taker.close()
