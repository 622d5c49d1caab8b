"""The call suite as a table: who does what, and what must be on record, paid, shown and heard.

Every row is played on every switch by real phones. Where a switch differs by nature the row says so: one that plays no
prompts (`Switch.prompts`) is dialled with the extension in the URI, so there is nothing to key in, and whoever is
refused learns it by a SIP status instead of a prompt.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.voice.office import HOST, LIMIT_S, SHOP, SHORT, SLACK_S, Office, instant
from tests.voice.switches import WARNING_S
from tests.voice.talk import Order, Talk
from vnum.service.keys import Role
from vnum.voice.softphone.call import Incoming, Keys, Manners, Outgoing

PRICES = {1: "0.02", 2: "0.04"}
"""Of minutes, in CNY."""

RIGHT, WRONG = "right", "wrong"
PLATFORM, CALLER, CALLEE = 0, 1, 2
NORMAL, BUSY, NO_ANSWER, REJECTED, TIMER = 16, 17, 19, 21, 102


ANSWERS = Manners()


@dataclass(frozen=True, kw_only=True)
class Case:
    """`cause`, `release_dir` = of the record, None = there is none; `code` = of the refusals in the merchant's log.
    `status` = what the caller of a switch without prompts gets; None = such a switch can not play this row."""

    name: str
    play: "Callable[[Case, Office, Order], Awaitable[None]]"
    state: str = "live"
    merchant: str = SHOP
    manners: Manners = ANSWERS
    keys: tuple[str, ...] = (RIGHT,)
    way: Keys = Keys.RFC4733
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    talk_s: float = 1.1
    cause: int | None = NORMAL
    release_dir: int | None = CALLER
    minutes: int | None = 1
    code: str | None = None
    status: int | None = 200

    def digits(self, office: Office, order: Order) -> list[str]:
        """Each try with other digits: those that were tried in a call already are not counted again."""
        return [order.binding.extension if key is RIGHT else office.unbound(n) for n, key in enumerate(self.keys)]


async def begin(case: Case, office: Office, order: Order) -> Outgoing:
    """Dialled, and all keyed in; or dialled with the first of it."""
    digits = case.digits(office, order)
    out = await office.dial(order, digits[0], codecs=case.codecs)
    await office.key(out, *digits, way=case.way)
    return out


async def talked(case: Case, office: Office, order: Order) -> None:
    """Answered; both hear each other; ended by whom the row says; on record and charged."""
    out = await begin(case, office, order)
    talk = Talk(order, out, await office.rung(order, out))
    await talk.came.until("acknowledged")
    await talk.both_ways(0.3, since=talk.came.answered)
    if case.release_dir == CALLER:
        await talk.until(talk.came.answered + case.talk_s)
        talk.out.hang_up()
    await talk.over()
    (call,) = await office.filed(order)
    office.check_talk(talk, call)
    check_record(case, order, talk.out, call)
    if case.minutes is not None:
        assert (call["minutes"], call["cost"]) == (case.minutes, PRICES[case.minutes])
    office.check_numbers(talk.out, talk.came, order)


async def cut(case: Case, office: Office, order: Order) -> None:
    """As `talked`, cut by the switch at the limit; both are warned before, and only before."""
    await talked(case, office, order)
    ((out, came),) = [(out, came) for out, came in office.pairs(order)]
    assert came.talk_s >= LIMIT_S - SLACK_S
    assert came.bye_came
    if office.switch.prompts:
        caller_hz, callee_hz = order.tones
        for call, hz in ((out, callee_hz), (came, caller_hz)):
            assert call.sound.other_than(hz, came.answered + LIMIT_S - WARNING_S - 0.2), "nobody warned them"


async def unanswered(case: Case, office: Office, order: Order) -> None:
    """It rings, and nobody answers; nothing is charged."""
    out = await begin(case, office, order)
    came = await office.rung(order, out)
    await out.until("ended")
    await came.until("ended")
    if not office.switch.prompts and case.status != 200:
        assert out.final == case.status
    await check_unanswered(case, office, order, out, came)


async def left_while_ringing(case: Case, office: Office, order: Order) -> None:
    out = await begin(case, office, order)
    came = await office.rung(order, out)
    await came.until("rang")
    out.leave()
    await out.until("ended")
    await came.until("ended")
    assert came.final == 487
    await check_unanswered(case, office, order, out, came)


async def left_before_keying(case: Case, office: Office, order: Order) -> None:
    """He hears the prompt and hangs up; there is no record, nobody was rung."""
    out = await office.dial(order)
    await out.until("answered")
    await out.sound.until_audible()
    out.hang_up()
    await out.until("ended")
    await check_nobody_rung(case, office, order, out)


async def refused(case: Case, office: Office, order: Order) -> None:
    """Whatever the reason, he hears the common prompt, may try three times, and nobody is rung."""
    out = await begin(case, office, order)
    await out.until("ended")
    if office.switch.prompts:
        assert out.bye_came, "the switch ends the call"
    else:
        assert out.final == case.status
    await check_nobody_rung(case, office, order, out)


async def check_unanswered(case: Case, office: Office, order: Order, out: Outgoing, came: Incoming) -> None:
    (call,) = await office.filed(order)
    check_record(case, order, out, call)
    assert "answer_time" not in call
    assert (call["seconds"], call["minutes"], call["cost"]) == (0, 0, "0")
    assert not came.sound.hears(order.tones[0])
    office.check_numbers(out, came, order)


async def check_nobody_rung(case: Case, office: Office, order: Order, out: Outgoing) -> None:
    office.check_numbers(out, None, order)
    assert order.callee not in office.trunk.rung
    codes = await office.refusals(order)
    assert codes == [case.code] * len(codes)
    assert bool(codes) == (case.code is not None)


def check_record(case: Case, order: Order, out: Outgoing, call: Any) -> None:
    binding = order.binding
    assert (call["host"], call["extension"], call["order_id"]) == (HOST, binding.extension, binding.order_id)
    assert call["binding_id"] == str(binding.binding_id)
    assert (call["release_cause"], call["release_dir"]) == (case.cause, case.release_dir)
    steps = [call[name] for name in ("call_time", "ring_time", "answer_time", "release_time") if name in call]
    assert steps == sorted(steps, key=instant)
    assert out.dialled - SLACK_S <= instant(call["call_time"]).timestamp() <= (out.answered or out.ended) + SLACK_S


async def opt_out(office: Office, order: Order) -> None:
    await office.put("/v1/recipients/opt-out", {"phone": order.callee, "scope": "everything"})


async def lock_out(office: Office, order: Order) -> None:
    """The caller tries ten extensions that are nobody's."""
    for n in range(10):
        asked = {"call_id": f"guess-{n}", "caller": order.caller, "host": HOST, "digits": office.unbound(n)}
        answer = await office.post("/v1/calls/route", asked, Role.SWITCH)
        assert answer["action"] != "connect"


ONE_OF_THREE = (RIGHT, WRONG, WRONG)

CASES = [
    Case(name="answered, the caller hangs up", play=talked),
    Case(name="answered, the callee hangs up", play=talked, manners=Manners(talk_s=1.3), release_dir=CALLEE),
    Case(name="digits by SIP INFO", play=talked, way=Keys.INFO),
    Case(name="both in A-law", play=talked, codecs=("PCMA",), manners=Manners(codecs=("PCMA",))),
    Case(name="A-law and mu-law", play=talked, codecs=("PCMA",), manners=Manners(codecs=("PCMU",)), status=None),
    Case(name="ringing for long costs nothing", play=talked, manners=Manners(ring_s=2.5)),
    Case(name="over a minute", play=talked, talk_s=61.2, minutes=2),
    Case(name="less than a second is free", play=talked, talk_s=0.5, minutes=None),
    Case(name="cut at the limit", play=cut, merchant=SHORT, cause=TIMER, release_dir=PLATFORM),
    Case(name="busy", play=unanswered, manners=Manners(final=486), cause=BUSY, release_dir=CALLEE, status=486),
    Case(name="rejected", play=unanswered, manners=Manners(final=603), cause=REJECTED, release_dir=CALLEE, status=603),
    Case(name="no answer", play=unanswered, manners=Manners(final=None), cause=NO_ANSWER, release_dir=PLATFORM),
    Case(name="the caller leaves while it rings", play=left_while_ringing, manners=Manners(final=None)),
    Case(name="the caller leaves before the extension", play=left_before_keying, cause=None, status=None),
    Case(name="wrong extension three times", play=refused, keys=(WRONG,) * 3, cause=None, status=404),
    Case(name="wrong, then right", play=talked, keys=(WRONG, RIGHT), status=None),
    Case(name="wrong, then right, by SIP INFO", play=talked, keys=(WRONG, RIGHT), way=Keys.INFO, status=None),
    Case(name="expired", play=refused, state="lapsed", keys=ONE_OF_THREE, cause=None, code="binding_expired",
         status=404),
    Case(name="opted out", play=refused, state="opted out", keys=ONE_OF_THREE, cause=None, code="recipient_opted_out",
         status=404),
    Case(name="locked-out guesser", play=refused, state="locked", keys=ONE_OF_THREE, cause=None,
         code="caller_locked_out", status=404),
]  # fmt: skip
"""Texts of the rows are the names in the table of results."""

STATES: dict[str, Callable[[Office, Order], Awaitable[None]]] = {"opted out": opt_out, "locked": lock_out}
