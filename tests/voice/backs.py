"""Calls back, played: the recipient dials X without an extension and reaches who rang him, or the shop, or a prompt."""

from dataclasses import dataclass

from tests.voice.office import Office
from tests.voice.talk import Order, Talk, callee_number, caller_number
from vnum.voice.softphone.call import Manners

SERVED = "served"
"""A merchant with a service number."""

SERVICE = "057187654321"
_SEEN = "57187654321"
_SERVICE_HZ = 45
ANSWERS = Manners()


@dataclass(frozen=True, slots=True, kw_only=True)
class Back(Order):
    """The order seen from its recipient, who dials."""

    @property
    def caller(self) -> str:
        return callee_number(self.n)

    @property
    def callee(self) -> str:
        return caller_number(self.n)

    @property
    def tones(self) -> tuple[int, int]:
        mine, theirs = Order.tones.fget(self)  # type: ignore[attr-defined]
        return theirs, mine


def back_of(order: Order, kind: type[Back] = Back) -> Back:
    return kind(n=order.n, merchant_id=order.merchant_id, binding=order.binding)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToShop(Back):
    """He reaches the service number."""

    @property
    def callee(self) -> str:
        return _SEEN


async def reaches_who_rang(office: Office, order: Order) -> None:
    talk = await office.connect(order)
    await talk.end()
    await office.filed(order)
    await check_back(office, back_of(order), 2)


async def reaches_who_ordered(office: Office, order: Order) -> None:
    """An agent who rang him by click to dial rang him."""
    await office.order_call(order, ANSWERS)
    agent = await office.trunk.call_to(order.caller)
    came = await office.rung(order, agent)
    talk = Talk(order, agent, came)
    await came.until("acknowledged")
    await talk.both_ways(since=came.answered)
    await talk.end()
    await office.filed(order)
    await check_back(office, back_of(order), 2, nth=1)


async def reaches_who_was_not_answered(office: Office, order: Order) -> None:
    """A missed call counts."""
    office.expect(order, Manners(final=486))
    out = await office.dial(order)
    await office.key(out, order.binding.extension)
    await out.until("ended")
    await office.filed(order)
    await check_back(office, back_of(order), 2)


async def reaches_the_shop(office: Office, order: Order) -> None:
    """Nobody rang him."""
    await check_back(office, back_of(order, ToShop), 1)


async def is_asked(office: Office, order: Order) -> None:
    """Nobody rang him, and the shop has no number: he hears the prompt. Nobody is rung."""
    back = back_of(order)
    out = await office.dial(back)
    await out.until("answered")
    await out.sound.until_audible()
    out.hang_up()
    await out.until("ended")
    assert back.callee not in office.trunk.rung
    assert await office.calls_of(order) == []


async def check_back(office: Office, back: Back, count: int, *, nth: int = 0) -> None:
    """Both hear each other and see X; it is his merchant's call, and charged as any."""
    office.trunk.expect(back.callee, back.tones[1], ANSWERS)
    out = await office.dial(back)
    talk = Talk(back, out, await office.rung(back, out, nth))
    await talk.came.until("acknowledged")
    await talk.both_ways(since=talk.came.answered)
    await talk.until(talk.came.answered + 1.1)
    await talk.end()
    call = (await office.filed(back, count))[-1]
    office.check_numbers(out, talk.came, back)
    assert call["binding_id"] == str(back.binding.binding_id)
    assert (call["minutes"], call["cost"]) == (1, "0.02")
    office.check_talk(talk, call)
    life = await office.life(call["call_id"])
    assert life["call_back"]
    assert life["merchant_id"] == back.merchant_id


PLAYS = {
    "back to who rang": reaches_who_rang,
    "back to who ordered a call": reaches_who_ordered,
    "back to who was not answered": reaches_who_was_not_answered,
    "back to the shop": reaches_the_shop,
    "back, and is asked": is_asked,
}
