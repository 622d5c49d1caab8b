"""Click to dial, played: a merchant orders a call, the agent's phone rings, then the recipient's.

Phones that should be seen ringing are picked up by hand (`finish`) once the state was seen, so nothing is a matter of
time. Both phones are behind the trunk.
"""

import asyncio
from typing import Any

from tests.voice.cases import BUSY, NO_ANSWER, NORMAL
from tests.voice.office import Office, instant
from tests.voice.talk import Order, Talk
from vnum.voice.softphone.call import Incoming, Manners

ANSWERS = Manners()
BY_HAND = Manners(final=None)
BUSY_LINE = Manners(final=486)
WAITED_S = 1.5
FIRST_DIGIT_S = 8


async def states_are_seen(office: Office, order: Order) -> None:
    """queued, ringing_agent, ringing, answered, and then the record, which is charged as any."""
    office.expect(order, BY_HAND)
    call_id = await office.order_call(order, BY_HAND)
    agent = await office.trunk.call_to(order.caller)
    assert (await office.comes_to(order, "ringing_agent"))["call_id"] == call_id
    agent.finish(200)
    came = await office.rung(order, agent)
    assert "answer_time" not in await office.comes_to(order, "ringing")
    came.finish(200)
    talk = await heard(order, agent, came)
    open_call = await office.comes_to(order, "answered")
    assert (open_call["minutes"], open_call["cost"]) == (0, "0")
    await talk.until(came.answered + 1.1)
    await talk.end()
    call = await check_charged(office, talk, call_id)
    assert (call["minutes"], call["cost"]) == (1, "0.02")
    assert (call["release_cause"], call["release_dir"]) == (NORMAL, 1)
    life = await whole_life(office, call_id)
    assert [told["state"] for told in life["told"]] == ["ringing_agent", "ringing", "answered", "ended"]
    assert life["ordered"]["state"] == "ended"


async def waiting_costs_nothing(office: Office, order: Order) -> None:
    """The agent waits longer than they talk, and hears that it rings; the recipient hangs up in the first second."""
    office.expect(order, Manners(ring_s=WAITED_S, talk_s=0.6))
    call_id = await office.order_call(order, ANSWERS)
    agent = await office.trunk.call_to(order.caller)
    came = await office.rung(order, agent)
    await agent.sound.until_audible()
    talk = await heard(order, agent, came)
    await talk.over()
    assert agent.talk_s > WAITED_S
    call = await check_charged(office, talk, call_id)
    assert (call["seconds"], call["minutes"], call["cost"]) == (0, 0, "0")
    assert call["release_dir"] == 2


async def agent_is_busy(office: Office, order: Order) -> None:
    await check_failed(office, order, await office.order_call(order, BUSY_LINE), 486)


async def agent_does_not_answer(office: Office, order: Order) -> None:
    """As long as vnum says that he may be rung."""
    await check_failed(office, order, await office.order_call(order, BY_HAND), 487)


async def recipient_is_busy(office: Office, order: Order) -> None:
    office.expect(order, BUSY_LINE)
    await check_unanswered(office, order, BUSY, 2)


async def recipient_does_not_answer(office: Office, order: Order) -> None:
    office.expect(order, BY_HAND)
    await check_unanswered(office, order, NO_ANSWER, 0)


async def agent_leaves_while_it_rings(office: Office, order: Order) -> None:
    office.expect(order, BY_HAND)
    call_id = await office.order_call(order, ANSWERS)
    agent = await office.trunk.call_to(order.caller)
    came = await office.rung(order, agent)
    await agent.until("acknowledged")
    agent.hang_up()
    await came.until("ended")
    assert came.final == 487
    await check_free(office, order, call_id, NORMAL, 1)


async def opted_out(office: Office, order: Order) -> None:
    """Refused before a phone rings."""
    await office.put("/v1/recipients/opt-out", {"phone": order.callee, "scope": "everything"})
    assert await office.refused_call(order) == "recipient_opted_out"
    assert await office.calls_of(order) == []
    assert order.caller not in office.trunk.rung


async def opted_out_meanwhile(office: Office, order: Order) -> None:
    """While the agent's phone rings: he is told that nobody can be reached, and asked for nothing."""
    call_id = await office.order_call(order, BY_HAND)
    agent = await office.trunk.call_to(order.caller)
    await office.put("/v1/recipients/opt-out", {"phone": order.callee, "scope": "everything"})
    agent.finish(200)
    await agent.sound.until_audible()
    await agent.until("ended")
    assert agent.bye_came
    assert agent.talk_s < FIRST_DIGIT_S
    failed = await office.comes_to(order, "failed")
    assert (failed["call_id"], failed["code"]) == (call_id, "recipient_opted_out")
    assert order.callee not in office.trunk.rung
    assert "record" not in await office.life(call_id)


async def ordered_twice(office: Office, order: Order) -> None:
    """Under one Idempotency-Key: it is one order, and rings once."""
    key = f"click-{order.binding.order_id}"
    ids = await asyncio.gather(*(office.order_call(order, ANSWERS, key) for _ in range(2)))
    agent = await office.trunk.call_to(order.caller)
    talk = await heard(order, agent, await office.rung(order, agent))
    await talk.until(talk.came.answered + 1.1)
    await talk.end()
    call = await check_charged(office, talk, ids[0])
    assert ids == [call["call_id"]] * 2
    assert await office.order_call(order, ANSWERS, key) == ids[0], "also when it is over"
    assert len(office.trunk.rung[order.caller]) == 1


async def heard(order: Order, agent: Incoming, came: Incoming) -> Talk:
    """Both hear each other, after the recipient has answered and not before."""
    talk = Talk(order, agent, came)
    await came.until("acknowledged")
    await talk.both_ways(0.2, since=came.answered)
    return talk


async def check_charged(office: Office, talk: Talk, call_id: str) -> Any:
    (call,) = await office.filed(talk.order)
    assert call["call_id"] == call_id
    assert instant(call["call_time"]).timestamp() <= talk.out.answered, "it begins with the ringing of the agent"
    office.check_talk(talk, call)
    office.check_numbers(talk.out, talk.came, talk.order)
    return call


async def check_unanswered(office: Office, order: Order, cause: int, release_dir: int) -> None:
    """The agent is told so, and the call ends."""
    call_id = await office.order_call(order, ANSWERS)
    agent = await office.trunk.call_to(order.caller)
    came = await office.rung(order, agent)
    await agent.until("ended")
    assert agent.bye_came
    office.check_numbers(agent, came, order)
    await check_free(office, order, call_id, cause, release_dir)


async def check_free(office: Office, order: Order, call_id: str, cause: int, release_dir: int) -> None:
    (call,) = await office.filed(order)
    assert (call["call_id"], call["release_cause"], call["release_dir"]) == (call_id, cause, release_dir)
    assert (call["seconds"], call["minutes"], call["cost"]) == (0, 0, "0")
    assert "answer_time" not in call


async def check_failed(office: Office, order: Order, call_id: str, final: int) -> None:
    """The recipient hears of nothing; there is no record and no charge."""
    agent = await office.trunk.call_to(order.caller)
    await agent.until("ended")
    assert agent.final == final
    failed = await office.comes_to(order, "failed")
    assert (failed["call_id"], failed["code"], failed["cost"]) == (call_id, "dial_failed", "0")
    assert order.callee not in office.trunk.rung
    office.check_numbers(agent, None, order)
    life = await office.life(call_id)
    assert not {"record", "connected_at"} & life.keys()
    assert not life["needs_reconciliation"]


async def whole_life(office: Office, call_id: str) -> Any:
    """Once the switch has told of its end."""
    while (life := await office.life(call_id))["told"][-1]["state"] != "ended":  # noqa: ASYNC110 (as in filed)
        await asyncio.sleep(0.02)
    return life


PLAYS = {
    "ordered, its states": states_are_seen,
    "ordered, the agent's waiting costs nothing": waiting_costs_nothing,
    "ordered, the agent is busy": agent_is_busy,
    "ordered, the agent does not answer": agent_does_not_answer,
    "ordered, the recipient is busy": recipient_is_busy,
    "ordered, the recipient does not answer": recipient_does_not_answer,
    "ordered, the agent leaves while it rings": agent_leaves_while_it_rings,
    "ordered, opted out before": opted_out,
    "ordered, opted out meanwhile": opted_out_meanwhile,
    "ordered twice": ordered_twice,
}
