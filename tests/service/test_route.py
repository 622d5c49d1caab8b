"""Route: every answer to the switch. A real number leaves on an allowed call, and on no other answer."""

from datetime import timedelta

import pytest

from tests.engines import DAY, HOST, World, host_number, on_pool
from vnum.model.hosts import HostState
from vnum.model.refusals import Code
from vnum.service.route import Action, Cause, Decision, Policy, Prompt, RouteRequest, fail_closed

CALLER = "13800000000"
CALLEE = "+8613900000001"


async def route(
    world: World, digits: str | None, *, call_id: str = "c", caller: str = CALLER, host: str = HOST
) -> Decision:
    return await world.engine.routes.route(RouteRequest(call_id=call_id, caller=caller, host=host, digits=digits))


def told(decision: Decision) -> tuple[Action, int | None, Code | None]:
    return decision.action, decision.cause, decision.code


NO_NUMBER = (Action.REJECT, Cause.UNALLOCATED)
AGAIN = (*NO_NUMBER, Code.NO_BINDING)


async def test_the_host_alone_asks_for_the_extension(world: World) -> None:
    for digits in (None, ""):
        decision = await route(world, digits)
        assert (decision.action, decision.prompt, decision.digits) == (Action.COLLECT, "extension", 1)
        assert decision.code is None


async def test_the_extension_connects(world: World) -> None:
    binding = await world.bind("a")
    assert await route(world, binding.extension) == Decision(
        action=Action.CONNECT,
        binding_id=binding.binding_id,
        callee=CALLEE,
        display_number=HOST,
        max_seconds=10_800,
    )


async def test_every_other_answer_names_no_phone(world: World) -> None:
    binding = await world.bind("a", ttl_days=1)
    free = next(digit for digit in "123456789" if digit != binding.extension)
    answers = [await route(world, digits) for digits in (None, free, "77", "x")]
    answers.append(await route(world, binding.extension, host=host_number(8)))
    answers.append(await route(world, binding.extension, caller="not a caller!"))
    world.pass_time(DAY)
    answers.append(await route(world, binding.extension))
    assert {answer.callee for answer in answers} == {None}
    assert CALLEE not in str(answers)


@pytest.mark.parametrize(
    ("end", "answer"),
    [
        ("expired", (*NO_NUMBER, Code.BINDING_EXPIRED)),
        ("released", (*NO_NUMBER, Code.BINDING_RELEASED)),
        ("erased", (*NO_NUMBER, Code.RECIPIENT_ERASED)),
        ("locked host", (Action.CONNECT, None, None)),
        ("draining host", (Action.CONNECT, None, None)),
    ],
)
async def test_what_a_bound_extension_answers(world: World, end: str, answer: tuple[object, ...]) -> None:
    binding = await world.bind("a", ttl_days=1)
    match end:
        case "expired":
            world.pass_time(DAY)
        case "released":
            await world.engine.lifetime.release(binding.binding_id, "done")
        case "erased":
            await world.owner.execute("UPDATE bindings SET recipient = NULL")
        case "locked host":
            await world.engine.hosts.set_state(HOST, HostState.LOCKED)
        case "draining host":
            await world.engine.hosts.set_state(HOST, HostState.DRAINING)
    assert told(await route(world, binding.extension)) == answer


@pytest.mark.parametrize(
    ("host", "caller", "answer"),
    [
        (host_number(8), CALLER, (*NO_NUMBER, Code.HOST_NOT_FOUND)),
        ("nonsense", CALLER, (*NO_NUMBER, Code.HOST_NOT_FOUND)),
        (HOST, "!", (Action.REJECT, Cause.BAD_FORMAT, Code.INVALID_CALLER)),
        (HOST, "1" * 40, (Action.REJECT, Cause.BAD_FORMAT, Code.INVALID_CALLER)),
        (HOST, "anonymous", (Action.COLLECT, None, None)),
        (HOST, "+4915112345678", (Action.COLLECT, None, None)),
        (HOST, "10086", (Action.COLLECT, None, None)),
    ],
)
async def test_who_may_be_asked_for_digits(world: World, host: str, caller: str, answer: tuple[object, ...]) -> None:
    assert told(await route(world, None, host=host, caller=caller)) == answer


@pytest.mark.parametrize("digits", ["5", "55", "0", "x", "＃", "１", "123456789012345"])
async def test_what_is_no_extension_in_use_is_asked_again(world: World, digits: str) -> None:
    decision = await route(world, digits)
    assert told(decision) == AGAIN
    assert (decision.prompt, decision.digits) == ("wrong_extension", 1)


async def test_three_tries_a_call_and_each_digits_count_once(world: World) -> None:
    """The switch may send the same digits again, when an answer was lost."""
    answers = [await route(world, digits) for digits in ("1", "1", "2", "2", "2", "3", "3")]
    assert [told(answer) for answer in answers] == [AGAIN] * 5 + [(*NO_NUMBER, Code.TOO_MANY_TRIES)] * 2
    assert [answer.digits for answer in answers] == [1] * 5 + [None] * 2
    assert {answer.prompt for answer in answers} == {Prompt.WRONG_EXTENSION}
    assert told(await route(world, "4", call_id="the next call")) == AGAIN


async def test_ten_wrong_ones_within_an_hour_lock_the_caller_out_for_a_day(world: World) -> None:
    binding = await world.bind("a", ttl_days=3)
    wrong = [digit for digit in "123456789" if digit != binding.extension]
    answers = [told(await route(world, wrong[n % 2], call_id=f"c{n // 2}")) for n in range(10)]
    assert answers == [AGAIN] * 9 + [(*NO_NUMBER, Code.CALLER_LOCKED_OUT)]
    assert (await route(world, binding.extension, call_id="right at last")).code is Code.CALLER_LOCKED_OUT
    assert (await route(world, binding.extension, caller="13800000001")).callee == CALLEE, "others are not"
    world.pass_time(DAY - timedelta(seconds=1))
    assert (await route(world, binding.extension)).code is Code.CALLER_LOCKED_OUT
    world.pass_time(timedelta(seconds=1))
    assert (await route(world, binding.extension)).callee == CALLEE


async def test_wrong_ones_of_an_hour_ago_are_forgiven(world: World) -> None:
    for n in range(18):
        assert told(await route(world, "5", call_id=f"c{n}")) == AGAIN
        world.pass_time(timedelta(minutes=7))


async def test_a_lock_is_for_one_host(world: World) -> None:
    await world.host(host_number(9))
    for n in range(12):
        await route(world, "5", call_id=f"c{n}")
    assert told(await route(world, "5", call_id="x", host=host_number(9))) == AGAIN


async def test_however_written_it_is_one_caller(world: World) -> None:
    written = [CALLER, f"+86{CALLER}", f"0086{CALLER}", f"86{CALLER}", "138-0000-0000"]
    for n in range(9):
        await route(world, "5", call_id=f"c{n}", caller=written[n % 5])
    assert (await route(world, "5", call_id="c9", caller=written[4])).code is Code.CALLER_LOCKED_OUT


async def test_a_replay_counts_no_wrong_ones(world: World) -> None:
    """The policies that refuse are off there."""
    unguarded = on_pool(world, world.engine.pool, policy=Policy(guards=False, max_seconds=60))
    for n in range(15):
        assert told(await route(unguarded, "5", call_id=f"c{n}")) == (*NO_NUMBER, Code.NO_BINDING)
    binding = await unguarded.bind("a")
    assert (await route(unguarded, binding.extension)).max_seconds == 60


async def test_a_mis_keyed_checked_extension_reaches_nobody(bare_world: World) -> None:
    """With a check digit no single wrong digit and no swap of neighbours is another's extension."""
    await bare_world.merchant()
    await bare_world.host(ext_digits=2, ext_check="damm")
    bound = {binding.extension for binding in await bare_world.fill(9)}
    for right in sorted(bound):
        wrong = {right[::-1]} | {digit + right[1] for digit in "0123456789"} | {right[0] + d for d in "0123456789"}
        assert not (wrong - {right}) & bound


@pytest.mark.parametrize("trouble", [OSError("gone"), ValueError("a bug")])
def test_what_could_not_be_answered_is_rejected(trouble: Exception) -> None:
    assert told(fail_closed(trouble)) == (Action.REJECT, Cause.TEMPORARY, Code.STORE_UNAVAILABLE)


async def test_guesses_that_hit_lapsed_numbers_count_too(world: World) -> None:
    bindings = await world.fill(9)
    live = bindings.pop()
    for binding in bindings:
        await world.engine.lifetime.release(binding.binding_id, "returned")
    codes = [(await world.dial(binding, call_id=f"c{n}")).code for n, binding in enumerate(bindings)]
    assert set(codes) == {Code.BINDING_RELEASED}
    for n, digits in enumerate(("0", "12")):
        ask = RouteRequest(call_id=f"more{n}", caller="13800000000", host=live.host, digits=digits)
        await world.engine.routes.route(ask)
    assert (await world.dial(live, call_id="last")).code == Code.CALLER_LOCKED_OUT
    assert (await world.dial(live, call_id="other", caller="13700000000")).code is None


async def test_a_dead_number_dialled_again_and_again_counts_like_one_that_never_was(world: World) -> None:
    """Else whoever has a live number of his own could tell by it which of the two he was dialling."""
    old, live = await world.fill(2)
    await world.engine.lifetime.release(old.binding_id, "returned")
    codes = [(await world.dial(old, call_id=f"c{n}")).code for n in range(10)]
    assert codes == [Code.BINDING_RELEASED] * 9 + [Code.CALLER_LOCKED_OUT]
    assert (await world.dial(live, call_id="right")).code is Code.CALLER_LOCKED_OUT


async def test_who_was_connected_before_guesses_nothing_by_dialling_an_old_label(world: World) -> None:
    old, live = await world.fill(2)
    await world.dial(old, call_id="in time")
    world.pass_time(29 * DAY)
    await world.engine.lifetime.extend(live.binding_id, 7)
    world.pass_time(DAY)
    for n in range(15):
        told_so = await world.dial(old, call_id=f"c{n}")
        assert (told_so.action, told_so.prompt, told_so.digits) == (Action.REJECT, Prompt.NUMBER_EXPIRED, None)
    assert (await world.dial(live, call_id="right")).code is None


async def test_callers_who_withhold_their_number_share_a_larger_count_and_a_short_lock(world: World) -> None:
    host = await world.host("18400000077", ext_digits=4)
    binding = await world.bind("a", city=None)
    while binding.host != host.host:
        binding = await world.bind(binding.order_id + "a", 1)
    wrong = (f"{n:04d}" for n in range(1000, 9999) if f"{n:04d}" != binding.extension)
    codes = []
    for n in range(100):
        ask = RouteRequest(call_id=f"c{n}", caller="anonymous", host=host.host, digits=next(wrong))
        codes.append((await world.engine.routes.route(ask)).code)
    assert set(codes[:99]) == {Code.NO_BINDING}
    assert codes[99] == Code.CALLER_LOCKED_OUT
    assert (await world.dial(binding, caller="", call_id="right")).code == Code.CALLER_LOCKED_OUT
    assert (await world.dial(binding, call_id="named")).code is None
    world.pass_time(timedelta(minutes=11))
    assert (await world.dial(binding, caller="", call_id="later")).code is None


@pytest.mark.parametrize("written", ["+86{}", "0086 {}", "86{}"])
async def test_a_switch_may_write_the_host_as_it_was_registered(world: World, written: str) -> None:
    binding = await world.bind("a")
    ask = RouteRequest(
        call_id="c", caller="13800000000", host=written.format(binding.host), digits=f"{binding.extension}#"
    )
    assert (await world.engine.routes.route(ask)).binding_id == binding.binding_id


SEVEN = "70012345678"


async def lent_by_the_700_plan(world: World, order: str = "a") -> str:
    """An extension on a 700 host. None is lent yet in a mode that anyone may dial, so it is put there by hand."""
    await world.host(SEVEN, plan="700", ext_digits=4, quarantine_days=90)
    lent = await world.bind(order)
    for table in ("slots", "orders", "bindings"):
        await world.owner.execute(
            f"UPDATE {table} SET host = $1, extension = '0042' WHERE binding_id = $2",
            SEVEN,
            lent.binding_id,
        )
    return "0042"


async def test_a_700_number_is_dialled_in_one_go(world: World) -> None:
    extension = await lent_by_the_700_plan(world)
    connected = await route(world, extension, host=SEVEN)
    assert (connected.action, connected.callee, connected.display_number) == (Action.CONNECT, CALLEE, SEVEN)
    hashed = await route(world, f"{extension}#", host=SEVEN, call_id="hash")
    assert hashed.action is Action.CONNECT


IN_THE_URI = ["00421", "042", "42", "+0042", "0042,", "0042;ext=1", "700123456780042", "0" * 32, "*42*", "##", "4 2"]


@pytest.mark.parametrize("digits", IN_THE_URI)
async def test_digits_of_another_length_or_kind_are_a_wrong_extension(world: World, digits: str) -> None:
    """Dialled behind the host, too: a switch without a keypad gets the same, and releases with the cause."""
    await lent_by_the_700_plan(world)
    decision = await route(world, digits, host=SEVEN)
    assert told(decision) == (Action.REJECT, Cause.UNALLOCATED, Code.NO_BINDING)
    assert (decision.prompt, decision.digits) == (Prompt.WRONG_EXTENSION, 4)
