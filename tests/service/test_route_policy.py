"""Route under policies, as dated stories: the recipient's no, who may ring, how often, when, and what a no tells."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.engines import DAY, TICK, World, on_pool, phone
from vnum.model.bindings import Binding
from vnum.model.call_policy import PlatformPolicy, PolicyFields
from vnum.model.refusals import Code, Refused
from vnum.service.blacklist import NewListing
from vnum.service.callers import NewCaller
from vnum.service.labels import Label, LabelItem
from vnum.service.marks import Marked, NewMark
from vnum.service.opt_outs import OptIn, OptOut
from vnum.service.orders import Parcel
from vnum.service.route import Policy, Prompt, RouteRequest

SHOP, OTHER_SHOP, COURIER, ROBOT, STRANGER = (f"1380000000{n}" for n in range(1, 6))
HOUR = timedelta(hours=1)


async def code(world: World, binding: Binding, caller: str = STRANGER, call_id: str | None = None) -> Code | None:
    """Why a call by itself (of an id of its own) is refused."""
    world.calls = getattr(world, "calls", 0) + 1  # type: ignore[attr-defined]
    decision = await world.dial(binding, caller=caller, call_id=call_id or f"call-{world.calls}")  # type: ignore[attr-defined]
    assert (decision.callee is None) is (decision.code is not None)
    return decision.code


async def policy(world: World, merchant: str = "m", **fields: Any) -> None:
    await world.engine.call_policies.put(merchant, msgspec.convert(fields, PolicyFields))


async def register(world: World, caller: str, caller_class: str, merchant: str | None = "m", **more: Any) -> Any:
    whose = {"carrier": "SF"} if caller_class == "courier" else {"merchant_id": merchant}
    new = msgspec.convert({"phone": caller, "class": caller_class, "verified": True} | whose | more, NewCaller)
    return (await world.engine.callers.register(new)).caller_id


def parcel(carrier: str, number: int) -> Parcel:
    return Parcel(carrier=carrier, waybill_no=f"W{number}")


async def opt_out(world: World, number: int = 1, **more: Any) -> None:
    await world.engine.opt_outs.say(msgspec.convert({"phone": phone(number)} | more, OptOut))


async def opt_in(world: World, number: int = 1, **more: Any) -> int:
    return await world.engine.opt_outs.withdraw(msgspec.convert({"phone": phone(number)} | more, OptIn))


async def everybody(world: World) -> None:
    """A caller of each class."""
    await world.merchant("n")
    await register(world, SHOP, "merchant_agent")
    await register(world, ROBOT, "robot")
    await register(world, OTHER_SHOP, "merchant_agent", "n")
    await register(world, COURIER, "courier")


NO = Code.RECIPIENT_OPTED_OUT


@pytest.mark.parametrize(
    ("said", "shop", "other_shop"),
    [
        # of all five callers those who get through, by the shop whose number it is
        ({"merchant_id": "m"}, {COURIER}, {SHOP, ROBOT, OTHER_SHOP, COURIER, STRANGER}),
        ({}, {COURIER}, {COURIER}),
        ({"merchant_id": "m", "scope": "everything"}, set(), {SHOP, ROBOT, OTHER_SHOP, COURIER, STRANGER}),
        ({"scope": "everything"}, set(), set()),
    ],
)
async def test_whom_an_opt_out_stops(world: World, said: dict[str, Any], shop: set[str], other_shop: set[str]) -> None:
    await everybody(world)
    mine, others = await world.bind("a"), await world.bind("b", merchant="n")
    await opt_out(world, **said)
    callers = [SHOP, ROBOT, OTHER_SHOP, COURIER, STRANGER]
    assert {caller for caller in callers if await code(world, mine, caller) is None} == shop
    assert {caller for caller in callers if await code(world, others, caller) is None} == other_shop
    assert await opt_in(world, **said) == 1
    assert await opt_in(world, **said) == 0
    for caller in callers:
        assert await code(world, mine, caller) is None
        assert await code(world, others, caller) is None


async def test_an_opt_out_is_of_one_recipient_and_holds_for_every_number_of_his(world: World) -> None:
    first, second, other = await world.bind("a", 1), await world.bind("b", 1), await world.bind("c", 2)
    await opt_out(world, 1)
    assert [await code(world, binding) for binding in (first, second, other)] == [NO, NO, None]


async def test_a_courier_on_nobodys_word_is_a_stranger(world: World) -> None:
    binding = await world.bind("a")
    await opt_out(world)
    await register(world, COURIER, "courier", verified=False)
    assert await code(world, binding, COURIER) is NO
    await register(world, COURIER, "courier", verified=True)
    assert await code(world, binding, COURIER) is None


async def test_a_courier_is_one_for_parcels_of_his_carriers(world: World) -> None:
    """And for orders without a known parcel. The parcels are known by what was told last."""
    await register(world, COURIER, "courier")
    await opt_out(world)
    orders = {
        "none": await world.bind("none"),
        "his": await world.bind("his", parcels=[parcel("SF", 1)]),
        "another's": await world.bind("another's", parcels=[parcel("YTO", 2)]),
        "both": await world.bind("both", parcels=[parcel("YTO", 3), parcel("SF", 4)]),
    }

    async def reached() -> set[str]:
        return {name for name, binding in orders.items() if await code(world, binding, COURIER) is None}

    assert await reached() == {"none", "his", "both"}
    await register(world, COURIER, "courier", carrier="YTO", verified=False)
    assert await reached() == {"none", "his", "both"}
    await register(world, COURIER, "courier", carrier="YTO")
    assert await reached() == set(orders)


async def test_of_anothers_parcel_a_courier_is_no_registered_caller(world: World) -> None:
    """So he is not exempt from quiet hours, and a policy that wants registered callers refuses him."""
    await register(world, COURIER, "courier")
    his = await world.bind("his", parcels=[parcel("SF", 1)])
    others = await world.bind("another's", parcels=[parcel("YTO", 2)])
    await policy(world, quiet={"from": "00:00", "to": "23:59"})
    assert [await code(world, one, COURIER) for one in (his, others)] == [None, Code.QUIET_HOURS]
    await policy(world, who="registered")
    assert [await code(world, one, COURIER) for one in (his, others)] == [None, Code.CALLER_NOT_ALLOWED]
    assert await world.owner.fetchval("SELECT class FROM call_attempts LIMIT 1") == "unknown"


async def test_an_agent_who_is_a_courier_too_is_an_agent(world: World) -> None:
    binding = await world.bind("a")
    await opt_out(world)
    await register(world, COURIER, "courier")
    agent = await register(world, COURIER, "merchant_agent")
    assert await code(world, binding, COURIER) is NO
    await world.engine.callers.remove(agent)
    assert await code(world, binding, COURIER) is None


async def test_who_wants_nothing_gets_no_new_number(world: World) -> None:
    await world.merchant("n")
    live = await world.bind("live")
    short = await world.bind("short", ttl_days=1)
    await opt_out(world, merchant_id="m", scope="everything")
    assert (await world.refusal("new")).code is NO
    assert (await world.bind("live")).binding_id == live.binding_id, "what he has goes on, and rings no more"
    assert (await world.bind("new", merchant="n")).merchant_id == "n"
    world.pass_time(DAY)
    item = LabelItem(merchant_id="m", order_id="short")
    (again,) = await world.engine.labels.current([item], reissue=True)
    assert not isinstance(again, Label)
    assert again.code is NO
    await opt_in(world, merchant_id="m", scope="everything")
    (again,) = await world.engine.labels.current([item], reissue=True)
    assert isinstance(again, Label)
    assert again.binding.binding_id != short.binding_id


async def test_an_opt_out_of_calls_keeps_nobody_from_a_number(world: World) -> None:
    """The parcel is under way, and the courier may ring."""
    await opt_out(world)
    await world.bind("a")


async def test_said_twice_it_is_one_and_its_history_stays(world: World) -> None:
    first = await world.engine.opt_outs.say(OptOut(phone=phone(1)))
    world.pass_time(HOUR)
    assert await world.engine.opt_outs.say(OptOut(phone=phone(1))) == first
    assert await opt_in(world) == 1
    world.pass_time(HOUR)
    await opt_out(world)
    rows = await world.owner.fetch("SELECT said_at, said_by, withdrawn_at, withdrawn_by FROM opt_outs ORDER BY said_at")
    start = first
    assert [tuple(row) for row in rows] == [
        (start, "system", start + HOUR, "system"),
        (start + 2 * HOUR, "system", None, None),
    ]
    did = await world.owner.fetch("SELECT did FROM audit_entries WHERE did LIKE 'opt_out%' ORDER BY at, did")
    assert [row["did"] for row in did] == ["opt_out.said", "opt_out.withdrawn", "opt_out.said"]
    stored = await world.owner.fetch("SELECT o::text FROM opt_outs o UNION ALL SELECT a::text FROM audit_entries a")
    assert phone(1) not in str(stored)


async def test_an_opt_out_of_a_shop_that_is_none(world: World) -> None:
    with pytest.raises(Refused, match="merchant_not_found"):
        await opt_out(world, merchant_id="nobody")


# --- complaints


async def mark(world: World, call_id: str, key: str = "complaint") -> Marked:
    return await world.engine.marks.add(msgspec.convert({"call_id": call_id, "mark": key, "at": world.now}, NewMark))


async def test_a_complaint_blocks_its_caller_for_that_recipient(world: World) -> None:
    binding, again, other = await world.bind("a", 1), await world.bind("b", 1), await world.bind("c", 2)
    assert await code(world, binding, SHOP, "c1") is None
    assert await mark(world, "c1") == Marked(call_id="c1", mark="complaint", new=True, blocked=True)  # type: ignore[arg-type]
    assert (await mark(world, "c1")).new is False
    assert [await code(world, one, SHOP) for one in (binding, again, other)] == [
        Code.CALLER_BLOCKED, Code.CALLER_BLOCKED, None,
    ]  # fmt: skip
    assert await code(world, binding, STRANGER) is None
    assert await opt_in(world, scope="caller") == 1
    assert await code(world, binding, SHOP) is None


async def test_other_keys_block_nobody(world: World) -> None:
    binding = await world.bind("a")
    await code(world, binding, SHOP, "c1")
    for key in ("wrong_person", "satisfied"):
        assert (await mark(world, "c1", key)).blocked is False
    assert await code(world, binding, SHOP) is None


async def test_so_many_complaints_within_so_many_days_are_an_opt_out(world: World) -> None:
    await policy(world, complaints=2, complaint_days=10)
    await register(world, COURIER, "courier")
    binding = await world.bind("a", ttl_days=60)
    for n in range(2):  # eleven days apart
        await code(world, binding, f"1370000000{n}", f"old-{n}")
        assert (await mark(world, f"old-{n}")).opted_out is False
        world.pass_time(11 * DAY)
    for n in range(2):
        await code(world, binding, f"1370000001{n}", f"new-{n}")
        assert (await mark(world, f"new-{n}")).opted_out is (n == 1)
    assert await code(world, binding, STRANGER) is NO
    assert await code(world, binding, COURIER) is None
    assert await opt_in(world, merchant_id="m") == 1
    assert await code(world, binding, STRANGER) is None


@pytest.mark.parametrize(("call_id", "ahead", "refused"), [("nobody's", 0, "call_not_found"), ("c1", 301, "time_in")])
async def test_marks_that_are_not_taken(world: World, call_id: str, ahead: int, refused: str) -> None:
    await code(world, await world.bind("a"), SHOP, "c1")
    new = {"call_id": call_id, "mark": "complaint", "at": world.now + timedelta(seconds=ahead)}
    with pytest.raises(Refused, match=refused):
        await world.engine.marks.add(msgspec.convert(new, NewMark))


# --- who may ring


async def test_who_may_ring_a_merchants_recipients(world: World) -> None:
    await everybody(world)
    await register(world, SHOP, "merchant_agent", group="after-sales")
    binding = await world.bind("a")
    callers = {SHOP, ROBOT, OTHER_SHOP, COURIER, STRANGER}
    for fields, through in (
        ({}, callers),
        ({"who": "registered"}, {SHOP, ROBOT, COURIER}),
        ({"who": "group", "group": "after-sales"}, {SHOP}),
        ({"who": "group", "group": "nobody"}, set()),
        ({"who": "anyone"}, callers),
    ):
        await policy(world, **fields)
        assert {caller for caller in callers if await code(world, binding, caller) is None} == through, fields
    await world.engine.call_policies.pick(binding.binding_id, "after-sales")
    assert {caller for caller in callers if await code(world, binding, caller) is None} == {SHOP}
    await world.engine.call_policies.pick(binding.binding_id, None)
    assert await code(world, binding) is None


@pytest.mark.parametrize("whose", ["m", None])
async def test_the_blacklist_has_two_directions(world: World, whose: str | None) -> None:
    await world.merchant("n")
    mine, others = await world.bind("a", 1), await world.bind("b", 1, merchant="n")
    add = world.engine.blacklist.add
    refused_elsewhere = whose is None
    for direction, number, said in (
        ("caller", STRANGER, Code.CALLER_BLACKLISTED),
        ("callee", phone(1), Code.RECIPIENT_BLACKLISTED),
    ):
        new = msgspec.convert({"phone": number, "direction": direction, "merchant_id": whose}, NewListing)
        entry, added = await add(new)
        assert (added, entry.phone) == (True, f"****{number[-4:]}")
        assert (await add(new)) == (entry, False)
        assert await code(world, mine) is said
        assert await code(world, others) is (said if refused_elsewhere else None)
        assert await code(world, mine, SHOP) is (None if direction == "caller" else said)
        await world.engine.blacklist.remove(entry.blacklist_id)
        assert await code(world, mine) is None


async def test_withheld_callers_where_they_are_not_wanted(world: World) -> None:
    binding = await world.bind("a")
    assert await code(world, binding, "anonymous") is None
    await policy(world, withheld=False)
    assert await code(world, binding, "anonymous") is Code.CALLER_WITHHELD


async def test_the_longest_call_is_the_shorter_of_platforms_and_merchants(world: World) -> None:
    binding = await world.bind("a")
    for most, told in ((600, 600), (86_400, 10_800), (None, 10_800)):
        await policy(world, max_seconds=most)
        assert (await world.dial(binding)).max_seconds == told


# --- how often, and when


async def test_caps_at_their_edges(world: World) -> None:
    await policy(world, calls_per_hour=2, calls_per_day=3)
    binding, other = await world.bind("a", 1), await world.bind("b", 2)
    assert [await code(world, binding) for _ in range(3)] == [None, None, Code.CALLS_CAPPED]
    assert await code(world, other) is None
    world.pass_time(HOUR - TICK)
    assert await code(world, binding) is Code.CALLS_CAPPED
    world.pass_time(TICK)
    assert [await code(world, binding) for _ in range(2)] == [None, Code.CALLS_CAPPED], "two an hour, three a day"
    world.pass_time(DAY - HOUR - TICK)
    assert await code(world, binding) is Code.CALLS_CAPPED
    world.pass_time(TICK)
    assert [await code(world, binding) for _ in range(3)] == [None, None, Code.CALLS_CAPPED], "one is of the last hour"


async def test_caps_are_of_a_recipient_whatever_number_reaches_him(world: World) -> None:
    await policy(world, calls_per_day=1)
    first, second = await world.bind("a", 1), await world.bind("b", 1)
    assert [await code(world, first), await code(world, second)] == [None, Code.CALLS_CAPPED]


async def test_merchants_have_their_caps_each_and_the_platform_one_over_all(world: World) -> None:
    await world.merchant("n")
    platform = PlatformPolicy(calls_per_day=2, all_calls_per_day=3)
    capped = on_pool(world, world.engine.pool, policy=Policy(calls=platform))
    mine, others = await capped.bind("a", 1), await capped.bind("b", 1, merchant="n")
    assert [await code(capped, mine) for _ in range(3)] == [None, None, Code.CALLS_CAPPED]
    assert [await code(capped, others) for _ in range(2)] == [None, Code.CALLS_CAPPED_BY_ALL]
    capped.pass_time(DAY)
    assert await code(capped, mine) is None


async def test_couriers_are_neither_capped_nor_counted(world: World) -> None:
    await register(world, COURIER, "courier")
    await policy(world, calls_per_day=1)
    binding = await world.bind("a")
    assert [await code(world, binding, COURIER) for _ in range(3)] == [None] * 3
    assert [await code(world, binding) for _ in range(2)] == [None, Code.CALLS_CAPPED]
    assert await code(world, binding, COURIER) is None


async def test_a_refused_call_is_no_contact(world: World) -> None:
    await policy(world, calls_per_day=1, withheld=False)
    binding = await world.bind("a")
    assert await code(world, binding, "anonymous") is Code.CALLER_WITHHELD
    assert await code(world, binding) is None


async def test_a_night_of_quiet(world: World) -> None:
    """START is 17:30 in Shanghai."""
    await register(world, COURIER, "courier")
    await policy(world, quiet={"from": "21:00", "to": "08:00"})
    binding = await world.bind("a")
    for span, said in (
        (timedelta(hours=3, minutes=30) - TICK, None),  # 21:00
        (TICK, Code.QUIET_HOURS),
        (timedelta(hours=3), Code.QUIET_HOURS),  # midnight
        (timedelta(hours=8) - TICK, Code.QUIET_HOURS),
        (TICK, None),  # 08:00
    ):
        world.pass_time(span)
        assert await code(world, binding) is said
        assert await code(world, binding, COURIER) is None


async def test_an_order_that_gives_no_reason_to_ring(world: World) -> None:
    binding = await world.bind("a")
    for status, said in (("signed", None), ("closed", Code.PURPOSE_NOT_ALLOWED), ("after_sales", None)):
        await world.owner.execute("UPDATE orders SET order_status = $1", status)
        assert await code(world, binding) is said
    await policy(world, purposes=["delivery"])
    assert await code(world, binding) is Code.PURPOSE_NOT_ALLOWED


# --- what is told


async def test_who_was_connected_hears_for_a_week_that_the_number_expired(world: World) -> None:
    await world.host("18400000077", ext_digits=4, quarantine_days=30)
    binding = await world.bind("a", ttl_days=1)
    while binding.host != "18400000077":
        binding = await world.bind(binding.order_id + "a", ttl_days=1)
    assert await code(world, binding, SHOP) is None

    async def heard(caller: str) -> Prompt | None:
        decision = await world.dial(binding, caller=caller, call_id=f"{caller} {world.now}")
        assert decision.code is Code.BINDING_EXPIRED
        return decision.prompt

    world.pass_time(DAY)
    assert [await heard(SHOP), await heard(STRANGER)] == [Prompt.NUMBER_EXPIRED, Prompt.WRONG_EXTENSION]
    world.pass_time(7 * DAY - TICK)
    assert await heard(SHOP) is Prompt.NUMBER_EXPIRED
    world.pass_time(TICK)
    assert await heard(SHOP) is Prompt.WRONG_EXTENSION


async def test_the_group_of_a_number_hears_that_it_expired(world: World) -> None:
    await register(world, SHOP, "merchant_agent", group="g")
    await policy(world, who="group", group="g")
    binding = await world.bind("a", ttl_days=1)
    world.pass_time(DAY)
    assert (await world.dial(binding, caller=SHOP)).prompt is Prompt.NUMBER_EXPIRED
    assert (await world.dial(binding, caller=STRANGER)).prompt is Prompt.WRONG_EXTENSION


async def test_refused_calls_are_there_for_the_merchant(world: World) -> None:
    await register(world, SHOP, "merchant_agent")
    binding = await world.bind("a")
    await opt_out(world)
    await code(world, binding, SHOP, "c1")
    world.pass_time(HOUR)
    await code(world, binding, STRANGER, "c2")
    free = next(digit for digit in "123456789" if digit != binding.extension)
    await world.engine.routes.route(RouteRequest(call_id="c3", caller=STRANGER, host=binding.host, digits=free))
    page = world.engine.attempts.page
    found = await page("m", world.now - DAY, world.now + TICK)
    assert [(one.at, one.call_id, one.order_id, one.binding_id, one.code, one.caller_class) for one in found] == [
        (world.now - HOUR, "c1", "a", binding.binding_id, NO, "merchant_agent"),
        (world.now, "c2", "a", binding.binding_id, NO, "unknown"),
    ]
    assert await page("m", world.now, world.now + TICK) == found[1:]
    assert await page("m", world.now - DAY, world.now) == found[:1]
    first = (found[0].at, found[0].attempt_id)
    assert await page("m", world.now - DAY, world.now + TICK, after=first) == found[1:]
    assert await page("m", world.now - DAY, world.now + TICK, tie=["n"]) == []


async def test_an_agent_who_meets_noes_of_his_own_recipients_is_not_locked_out(world: World) -> None:
    """He can read those numbers anyway; he would be locked out of those who want him."""
    await register(world, SHOP, "merchant_agent")
    bindings = await world.fill(9)
    for n in range(2, 10):
        await opt_out(world, n)
    for round_ in range(2):
        for binding in bindings[1:]:
            assert await code(world, binding, SHOP) is NO, round_
    assert await code(world, bindings[0], SHOP) is None
    assert [await code(world, binding, STRANGER) for binding in bindings[1:]] == [NO] * 8
    await code(world, bindings[1], STRANGER)
    assert await code(world, bindings[1], STRANGER) is Code.CALLER_LOCKED_OUT


async def test_a_lock_ends_after_its_day_however_often_one_dials_meanwhile(world: World) -> None:
    binding = await world.bind("a", ttl_days=3)
    free = next(digit for digit in "123456789" if digit != binding.extension)
    for n in range(10):
        ask = RouteRequest(call_id=f"wrong-{n}", caller=STRANGER, host=binding.host, digits=free)
        await world.engine.routes.route(ask)
    world.pass_time(DAY - TICK)
    for n in range(12):
        assert await code(world, binding) is Code.CALLER_LOCKED_OUT, n
    world.pass_time(TICK)
    assert await code(world, binding) is None
