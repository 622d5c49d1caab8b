"""A key after the call, played: the caller hangs up, and the recipient stays on and keys something in, or does not.

Each call is on record and charged as it would be if nobody were asked.
"""

import asyncio
from typing import Any

from tests.voice.backs import back_of
from tests.voice.cases import CALLEE, CALLER, NORMAL, PLATFORM, TIMER
from tests.voice.office import LIMIT_S, SLACK_S, TAIL_S, Office, Order, Talk
from tests.voice.orders import ANSWERS
from vnum.voice.softphone.call import Keys

MARK_S = 3
TALK_S = 1.1
PROMPT_S = 6.0
"""The prompt is longer, so who was let go before was not asked."""


async def left(talk: Talk) -> None:
    """The caller hangs up after a while; the recipient stays on."""
    await talk.until(talk.came.answered + TALK_S)
    talk.out.hang_up()
    await talk.out.until("ended")


async def asked(talk: Talk) -> None:
    """The recipient hears somebody else than the caller."""
    await talk.came.sound.until_other_than(talk.order.tones[0], since=talk.out.ended)
    assert not talk.came.ended


async def keyed(talk: Talk, key: str, way: Keys = Keys.RFC4733) -> None:
    """He keys in, hears that it was noted, and is hung up on."""
    await asked(talk)
    await talk.came.key(key, way)
    await talk.came.sound.until_audible(talk.came.sound.spoke_until + TAIL_S)
    await talk.came.until("ended")
    assert talk.came.bye_came


async def check_call(office: Office, talk: Talk, count: int = 1, release_dir: int = CALLER) -> Any:
    """The last of so many calls of the order: over when the first of the two hung up, and charged for that time."""
    call = (await office.filed(talk.order, count))[-1]
    charged = office.check_talk(talk, call)
    assert abs(charged - (talk.parted - talk.came.answered)) < SLACK_S
    assert (call["release_dir"], call["release_cause"]) == (release_dir, NORMAL)
    assert (call["minutes"], call["cost"]) == (1, "0.02")
    office.check_numbers(talk.out, talk.came, talk.order)
    return call


async def marked(office: Office, call: Any, *marks: str) -> None:
    """Once they stand in vnum."""
    while (await office.life(call["call_id"])).get("marks", []) != list(marks):  # noqa: ASYNC110 (as in filed)
        await asyncio.sleep(0.02)


async def unmarked(office: Office, talk: Talk) -> None:
    """Nothing is said of the call, and the caller gets through again."""
    call = await check_call(office, talk)
    again = await office.connect(talk.order, nth=1)
    again.came.hang_up()
    await again.over()
    await check_calls(office, talk.order, 2)
    await marked(office, call)


async def check_calls(office: Office, order: Order, count: int) -> None:
    assert len(await office.filed(order, count)) == count


async def refused_from_now_on(office: Office, order: Order) -> None:
    """As for whoever is not to be told: the switch lets him try, and the recipient's phone does not ring."""
    rung = len(office.trunk.rung[order.callee])
    out = await office.dial(order)
    await office.key(out, order.binding.extension, office.unbound(1), office.unbound(2))
    await out.until("ended")
    assert out.bye_came
    assert len(office.trunk.rung[order.callee]) == rung
    assert await office.refusals(order) == ["caller_blocked"]


async def complains(office: Office, order: Order) -> None:
    talk = await office.connect(order)
    await left(talk)
    await keyed(talk, "1")
    await marked(office, await check_call(office, talk), "complaint")
    await refused_from_now_on(office, order)


async def is_somebody_else(office: Office, order: Order) -> None:
    """It blocks nobody."""
    talk = await office.connect(order)
    await left(talk)
    await keyed(talk, "2", Keys.INFO)
    await marked(office, await check_call(office, talk), "wrong_person")
    again = await office.connect(order, nth=1)
    again.came.hang_up()
    await again.over()
    await check_calls(office, order, 2)


async def keys_in_nothing(office: Office, order: Order) -> None:
    """What he keyed in while they talked was meant for the caller."""
    talk = await office.connect(order)
    await talk.came.key("1")
    await left(talk)
    await asked(talk)
    await talk.came.until("ended")
    assert talk.came.bye_came
    assert talk.came.ended - talk.out.ended > PROMPT_S + MARK_S - SLACK_S
    await unmarked(office, talk)


async def keys_in_another(office: Office, order: Order) -> None:
    talk = await office.connect(order)
    await left(talk)
    await asked(talk)
    await talk.came.key("9")
    await talk.came.until("ended")
    assert talk.came.bye_came
    assert talk.came.ended - talk.out.ended < PROMPT_S
    await unmarked(office, talk)


async def hangs_up_at_once(office: Office, order: Order) -> None:
    talk = await office.connect(order)
    await left(talk)
    talk.came.hang_up()
    await talk.over()
    await unmarked(office, talk)


async def hangs_up_while_asked(office: Office, order: Order) -> None:
    talk = await office.connect(order)
    await left(talk)
    await asked(talk)
    talk.came.hang_up()
    await talk.over()
    await unmarked(office, talk)


async def keys_in_and_hangs_up(office: Office, order: Order) -> None:
    talk = await office.connect(order)
    await left(talk)
    await asked(talk)
    await talk.came.key("1")
    talk.came.hang_up()
    await talk.over()
    await marked(office, await check_call(office, talk), "complaint")


async def leaves_first(office: Office, order: Order) -> None:
    """There is nobody to ask, and the caller is let go."""
    talk = await office.connect(order)
    await talk.until(talk.came.answered + TALK_S)
    talk.came.hang_up()
    await talk.over()
    assert talk.out.ended - talk.came.bye_sent < PROMPT_S
    await marked(office, await check_call(office, talk, release_dir=CALLEE))


async def are_cut_at_the_limit(office: Office, order: Order) -> None:
    """He would have talked on: both are let go at once."""
    talk = await office.connect(order)
    await talk.over()
    assert talk.came.bye_came
    assert LIMIT_S - SLACK_S < talk.came.ended - talk.came.answered < LIMIT_S + PROMPT_S
    (call,) = await office.filed(order)
    office.check_talk(talk, call)
    assert (call["release_dir"], call["release_cause"]) == (PLATFORM, TIMER)
    await marked(office, call)


async def of_an_ordered_call(office: Office, order: Order) -> None:
    """The agent was rung too, and it is he who leaves."""
    call_id = await office.order_call(order, ANSWERS)
    agent = await office.trunk.call_to(order.caller)
    talk = Talk(order, agent, await office.rung(order, agent))
    await talk.came.until("acknowledged")
    await talk.both_ways(since=talk.came.answered)
    await left(talk)
    await keyed(talk, "1")
    call = await check_call(office, talk)
    assert call["call_id"] == call_id
    await marked(office, call, "complaint")
    assert await office.refused_call(order) == "caller_blocked"


async def of_a_call_back(office: Office, order: Order) -> None:
    """Whom the recipient rang back is no recipient, and is let go."""
    talk = await office.connect(order)
    await left(talk)
    talk.came.hang_up()
    await talk.over()
    await check_call(office, talk)
    back = back_of(order)
    office.trunk.expect(back.callee, back.tones[1], ANSWERS)
    out = await office.dial(back)
    again = Talk(back, out, await office.rung(back, out))
    await again.came.until("acknowledged")
    await again.both_ways(since=again.came.answered)
    await left(again)
    await again.over()
    assert again.came.bye_came
    assert again.came.ended - again.out.ended < PROMPT_S
    await marked(office, await check_call(office, again, 2))


SAID = 4
"""Marks that come of all plays."""

OF_SHORT = {"both are cut at the limit"}

PLAYS = {
    "complains": complains,
    "is somebody else": is_somebody_else,
    "keys in nothing": keys_in_nothing,
    "keys in another": keys_in_another,
    "hangs up at once": hangs_up_at_once,
    "hangs up while asked": hangs_up_while_asked,
    "keys in and hangs up": keys_in_and_hangs_up,
    "leaves first": leaves_first,
    "both are cut at the limit": are_cut_at_the_limit,
    "of an ordered call": of_an_ordered_call,
    "of a call back": of_a_call_back,
}
