"""Calls back, as dated stories: a recipient dials the host without an extension."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.engines import DAY, HOST, World, host_number, on_pool, phone
from vnum.model.bindings import Binding
from vnum.model.call_policy import PolicyFields
from vnum.model.refusals import Code
from vnum.service.blacklist import Direction, NewListing
from vnum.service.marks import Mark, NewMark
from vnum.service.merchants import MerchantChange
from vnum.service.opt_outs import OptOut, Scope
from vnum.service.records import CallRecord, Status
from vnum.service.route import Action, Decision, Policy, RouteRequest

A = phone(1)
"""The recipient of every binding, unless another is named."""

COURIER, AGENT, STRANGER = "13800000001", "13800000002", "13800000003"
SHOP = "0571-88880000"
SHOPS_LINE = "+8657188880000"
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


async def rings(
    world: World, lent: Binding, caller: str, call_id: str, *, answered: bool = False, recorded: bool = True
) -> None:
    """A call to the recipient, half a minute long; its record is there at once."""
    assert (await world.dial(lent, caller, call_id)).action is Action.CONNECT
    began = world.now
    world.pass_time(30 * SECOND)
    if recorded:
        times = {"answer_time": began + 10 * SECOND} if answered else {}
        one = CallRecord(
            call_id=call_id, host=lent.host, caller=caller, call_time=began, release_time=world.now, **times
        )
        (told,) = await world.engine.records.report([one])
        assert told.status is Status.RATED, told


async def back(world: World, caller: str = A, call_id: str = "back", **more: Any) -> Decision:
    return await world.engine.routes.route(RouteRequest(call_id=call_id, caller=caller, host=HOST, **more))


async def reached(world: World, caller: str = A, **more: Any) -> str | None:
    """Whom he is connected to; None = he is asked for the extension."""
    decision = await back(world, caller, **more)
    if decision.action is Action.COLLECT:
        assert decision == Decision(action=Action.COLLECT, prompt=decision.prompt, digits=1)
        assert decision.prompt == "extension"
        return None
    assert decision.action is Action.CONNECT
    assert decision.display_number == HOST
    return decision.callee


async def policy(world: World, merchant: str = "m", **fields: Any) -> None:
    await world.engine.call_policies.put(merchant, msgspec.convert(fields, PolicyFields))


async def shop_line(world: World, merchant: str = "m", line: str = SHOP) -> None:
    await world.engine.merchants.change(merchant, MerchantChange(service_number=line))


async def test_the_last_who_rang_is_reached_whether_or_not_he_was_answered(world: World) -> None:
    lent = await world.bind("a")
    await rings(world, lent, COURIER, "c1", answered=True)
    assert await reached(world) == f"+86{COURIER}"
    await rings(world, lent, AGENT, "c2")
    assert await reached(world) == f"+86{AGENT}"
    await rings(world, lent, COURIER, "c3")
    assert await back(world) == Decision(
        action=Action.CONNECT,
        binding_id=lent.binding_id,
        callee=f"+86{COURIER}",
        display_number=HOST,
        max_seconds=10_800,
    )


async def test_of_several_numbers_the_call_counts_and_not_the_number(world: World) -> None:
    old = await world.bind("old")
    await world.bind("new")
    await rings(world, old, COURIER, "c1")
    decision = await back(world)
    assert (decision.callee, decision.binding_id) == (f"+86{COURIER}", old.binding_id)


@pytest.mark.parametrize(("after", "callee"), [(24 * HOUR - 31 * SECOND, COURIER), (24 * HOUR, None)])
async def test_a_call_counts_for_a_day(world: World, after: timedelta, callee: str | None) -> None:
    await rings(world, await world.bind("a"), COURIER, "c1")
    world.pass_time(after)
    assert await reached(world) == (f"+86{callee}" if callee else None)


async def test_the_window_is_a_setting_and_none_is_off(world: World) -> None:
    await shop_line(world)
    await rings(world, await world.bind("a"), COURIER, "c1")
    short = on_pool(world, world.engine.pool, policy=Policy(call_back=10 * SECOND))
    assert await reached(short) == SHOPS_LINE
    off = on_pool(world, world.engine.pool, policy=Policy(call_back=timedelta(0)))
    assert await reached(off) is None


async def test_without_a_call_the_shop_of_the_newest_number_is_reached(world: World) -> None:
    await world.merchant("other", service_number="0571-88880001")
    await world.bind("a")
    assert await reached(world) is None
    await shop_line(world)
    assert await reached(world) == SHOPS_LINE
    world.pass_time(HOUR)
    newest = await world.bind("b", merchant="other")
    decision = await back(world)
    assert (decision.callee, decision.binding_id) == ("+8657188880001", newest.binding_id)


@pytest.mark.parametrize(
    "who", [STRANGER, COURIER, "anonymous", "0571-87654321", "10086"], ids=["stranger", "courier", "withheld", "x", "y"]
)
async def test_whoever_is_no_recipient_is_asked_like_everybody(world: World, who: str) -> None:
    await shop_line(world)
    await rings(world, await world.bind("a"), COURIER, "c1")
    assert await reached(world, who) is None


async def test_of_another_host_nothing_is_known(world: World) -> None:
    await world.host(host_number(7))
    await shop_line(world)
    lent = await world.bind("a")
    other = host_number(7) if lent.host == HOST else HOST
    decision = await world.engine.routes.route(RouteRequest(call_id="x", caller=A, host=other))
    assert decision.action is Action.COLLECT


async def test_what_ended_is_nobodys(world: World) -> None:
    await shop_line(world)
    lapses = await world.bind("a", ttl_days=1)
    await rings(world, lapses, COURIER, "c1")
    world.pass_time(DAY - HOUR)
    assert await reached(world) == f"+86{COURIER}"
    world.pass_time(HOUR)
    assert await reached(world) is None
    given_up = await world.bind("b")
    await rings(world, given_up, COURIER, "c2")
    await world.engine.lifetime.release(given_up.binding_id, "x")
    assert await reached(world) is None


async def test_digits_are_taken_as_ever(world: World) -> None:
    """A recipient may be a courier, too."""
    await rings(world, await world.bind("a"), COURIER, "c1")
    others = await world.bind("b", 2)
    decision = await back(world, digits=others.extension)
    assert decision.callee == f"+86{phone(2)}"


NOT_TO_BE_RUNG = ["withheld", "erased", "blacklisted", "no record yet", "a number that can not be dialled"]


@pytest.mark.parametrize("why", NOT_TO_BE_RUNG)
async def test_who_can_not_be_rung_is_not_replaced_by_who_rang_before(world: World, why: str) -> None:
    lent = await world.bind("a")
    await rings(world, lent, COURIER, "c1")
    odd = {"withheld": "anonymous", "a number that can not be dialled": "57188880000"}
    await rings(world, lent, odd.get(why, AGENT), "c2", recorded=why != "no record yet")
    if why == "erased":
        await world.engine.subjects.erase(AGENT, "asked for it")
    if why == "blacklisted":
        await world.engine.blacklist.add(NewListing(phone=AGENT, direction=Direction.CALLEE, reason="x"))
    assert await reached(world) is None
    await shop_line(world)
    assert await reached(world) == SHOPS_LINE


async def test_a_withheld_number_with_a_service_number_is_a_call_like_any(world: World) -> None:
    await rings(world, await world.bind("a"), "95338", "c1")
    assert await reached(world) == "95338"


async def test_the_recipients_no_does_not_bind_him(world: World) -> None:
    lent = await world.bind("a")
    await rings(world, lent, COURIER, "c1")
    await world.engine.marks.add(NewMark(call_id="c1", mark=Mark.COMPLAINT, at=world.now))
    await world.engine.opt_outs.say(OptOut(phone=A, scope=Scope.EVERYTHING))
    assert (await world.dial(lent, COURIER, "c2")).code is Code.RECIPIENT_OPTED_OUT
    assert await reached(world) == f"+86{COURIER}"


async def test_policies_of_the_recipients_rest_do_not_bind_him(world: World) -> None:
    lent = await world.bind("a")
    await rings(world, lent, COURIER, "c1")
    await policy(world, who="registered", quiet={"from": "00:00", "to": "23:59"}, calls_per_day=1, max_seconds=60)
    for n in range(3):
        decision = await back(world, call_id=f"b{n}")
        assert (decision.callee, decision.max_seconds) == (f"+86{COURIER}", 60)


async def test_a_merchant_may_switch_it_off(world: World) -> None:
    await world.merchant("other", service_number="0571-88880001")
    await shop_line(world)
    await rings(world, await world.bind("a"), COURIER, "c1")
    await policy(world, call_back=False)
    assert await reached(world) is None
    await world.bind("b", merchant="other")
    assert await reached(world) == "+8657188880001"
    await policy(world, call_back=True)
    assert await reached(world) == f"+86{COURIER}"


async def test_who_may_not_ring_is_asked_like_everybody(world: World) -> None:
    await shop_line(world)
    await rings(world, await world.bind("a"), COURIER, "c1")
    await world.engine.blacklist.add(NewListing(phone=A, direction=Direction.CALLER, reason="x"))
    assert await reached(world) is None


async def test_a_changed_phone_gets_no_calls_of_the_one_before(world: World) -> None:
    lent = await world.bind("a")
    await rings(world, lent, COURIER, "c1")
    await world.engine.recipients.change(lent.binding_id, phone(2), "moved")
    world.pass_time(SECOND)
    assert await reached(world) is None
    assert await reached(world, phone(2)) is None
    await rings(world, lent, AGENT, "c2")
    assert await reached(world, phone(2)) == f"+86{AGENT}"


async def test_a_call_back_is_none_that_is_called_back(world: World) -> None:
    lent = await world.bind("a")
    await rings(world, lent, COURIER, "c1")
    began = world.now
    assert await reached(world) == f"+86{COURIER}"
    world.pass_time(61 * SECOND)
    one = CallRecord(
        call_id="back", host=HOST, caller=A, call_time=began, answer_time=began + SECOND, release_time=world.now
    )
    (told,) = await world.engine.records.report([one])
    assert (told.status, told.minutes) == (Status.RATED, 1)
    row = await world.owner.fetchrow("SELECT * FROM calls WHERE call_id = 'back'")
    assert (row["binding_id"], row["merchant_id"], row["extension"]) == (lent.binding_id, "m", lent.extension)
    assert await reached(world, call_id="again") == f"+86{COURIER}"
    assert await reached(world, COURIER) is None


async def test_what_is_keyed_in_after_a_call_back_blocks_nobody(world: World) -> None:
    lent = await world.bind("a")
    await rings(world, lent, COURIER, "c1")
    await reached(world)
    marked = await world.engine.marks.add(NewMark(call_id="back", mark=Mark.COMPLAINT, at=world.now))
    assert (marked.new, marked.blocked, marked.opted_out) == (True, False, False)
    assert (await world.dial(lent, COURIER, "c2")).action is Action.CONNECT


async def test_who_was_told_the_number_is_in_the_audit(world: World) -> None:
    lent = await world.bind("a")
    await rings(world, lent, COURIER, "c1")
    await reached(world)
    row = await world.owner.fetchrow("SELECT * FROM audit_entries WHERE did = 'number.read' AND why = 'call back'")
    assert (row["subjects"], row["actors"]) == ([str(lent.binding_id)], ["system"])


async def test_a_day_later_it_is_still_the_last_after_a_repeat_by_the_same(world: World) -> None:
    """Who rings again moves on: the last call counts, not the first."""
    lent = await world.bind("a")
    await rings(world, lent, COURIER, "c1")
    world.pass_time(20 * HOUR)
    await rings(world, lent, COURIER, "c2")
    world.pass_time(20 * HOUR)
    assert await reached(world) == f"+86{COURIER}"
