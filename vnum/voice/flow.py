"""The life of a call, free of SIP: asked where it goes, connected or refused, journalled, reported.

Everything it touches is a parameter: the line, vnum, the journal and the clock. What may go wrong ends the call and
never connects it; what was connected is reported, whatever happens.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import msgspec
import structlog

from vnum.voice import meters
from vnum.voice.contract import NOT_AVAILABLE, TEMPORARY, Answer, Dial, Mark, Progress, Record, State
from vnum.voice.line import Answered, Arrival, Clock, Failed, Gone, Left, Leg, Line, LineTrouble
from vnum.voice.mark import ask_for_mark, confirm
from vnum.voice.outcome import CALLER, NORMAL, PLATFORM, TIMER, Outcome, Watch
from vnum.voice.spool import SpoolTrouble

log = structlog.get_logger()

ROUNDS: Final = 3
"""So often somebody is asked who keys in nothing."""

MOST_KEYS: Final = 32
"""Of one try, with all that is taken back."""

MOST_COLLECT_S: Final = 180.0
"""So long somebody may key in before he is released; he takes a place that others want."""

MOST_QUESTIONS: Final = 8
"""vnum ends the tries of a call; this is for one that would not."""


class Router(Protocol):
    async def route(self, call_id: str, caller: str, host: str, digits: str | None) -> Answer:
        """Never raises: what has no answer is a reject."""


class Journal(Protocol):
    async def intend(self, record: Record) -> None:
        """Before the recipient's phone rings. Raises SpoolTrouble."""

    async def answer(self, record: Record) -> None:
        """Safe on disk when it returns. Raises SpoolTrouble."""

    async def end(self, record: Record) -> None:
        """The record is posted from now on, whatever becomes of the file. Raises nothing."""

    async def mark(self, mark: Mark) -> None:
        """Likewise of what the recipient keyed in after the call."""


class States(Protocol):
    def tell(self, progress: Progress) -> None: ...


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How long is waited for what, in seconds; `mark_s` 0 = the recipient is asked for nothing."""

    ring_s: float = 30.0
    first_digit_s: float = 8.0
    digit_s: float = 4.0
    warning_s: float = 10.0
    mark_s: float = 0.0


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    router: Router
    journal: Journal
    line: Line
    clock: Clock
    states: States
    terms: Terms


class Call:
    """One call. `release` asks it to end: the switch stops."""

    def __init__(self, parts: Parts, call_id: str) -> None:
        self._parts = parts
        self._id = call_id
        self._host = ""
        self._watch = Watch(parts.clock)
        self._state = ""
        self._collecting_until = 0.0
        self._ordered = False
        self._kept: Leg | None = None

    async def incoming(self, leg: Leg, arrival: Arrival) -> None:
        """A caller who dialled a host. Raises nothing but CancelledError, and then all is ended and filed."""
        self._host = arrival.host
        try:
            with self._ending():
                self._enter("arriving")
                await self._through(leg, arrival)
        finally:
            await self._leave(leg)

    async def ordered(self, dial: Dial) -> None:
        """Click to dial: the agent's phone first; he is then the caller. Raises nothing but CancelledError."""
        self._host, self._ordered = dial.host, True
        leg: Leg | None = None
        try:
            with self._ending():
                self._enter("arriving", "ringing_agent")
                leg = await self._parts.line.ring(dial.agent, dial.display_number)
                outcome = await self._parts.line.picked_up(leg, dial.max_ring_seconds, caller=None)
                if isinstance(outcome, Failed):
                    raise LineTrouble("not answered", outcome.cause)
                await self._through(leg, Arrival(caller=dial.agent, host=dial.host, digits=dial.extension))
        finally:
            await self._leave(leg)

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """What ends a call before its end: a party that left or was not reached, and errors of the switch's own, which
        end this call and no other."""
        try:
            yield
        except Gone:
            log.info("caller_left", call_id=self._id, state=self._state)
            self._tell("failed")  # of a call that was connected all is told by now
        except LineTrouble as trouble:
            log.info("agent_unreached", call_id=self._id, cause=trouble.cause)
            self._tell("failed")
        except Exception as trouble:
            meters.CRASHED.inc()
            log.error("call_crashed", call_id=self._id, trouble=type(trouble).__name__)
            self._tell("failed")

    async def _through(self, leg: Leg, arrival: Arrival) -> None:
        """Raises Gone."""
        digits = arrival.digits
        answer = await self._ask(arrival, digits)
        for _ in range(MOST_QUESTIONS):
            if answer.connects:
                await self._connect(leg, arrival, digits, answer)
                return
            if not answer.digits or self._ordered:  # an agent who was rung has no other extension to key in
                break
            digits = await self._collect(leg, answer)
            if digits is None:
                answer = Answer(action="reject", cause=NORMAL, code="no_digits")
                break
            answer = await self._ask(arrival, digits)
        await self._refuse(leg, answer)

    async def _ask(self, arrival: Arrival, digits: str | None) -> Answer:
        began = self._parts.clock.monotonic()
        answer = await self._parts.router.route(self._id, arrival.caller, arrival.host, digits)
        meters.ROUTE_S.observe(self._parts.clock.monotonic() - began)
        if answer.code:
            meters.REJECTS.labels(answer.code).inc()
        return answer

    async def _collect(self, leg: Leg, answer: Answer) -> str | None:
        """The digits keyed in; None = nothing, however often he was asked. Raises Gone."""
        if self._state == "collecting":
            leg.forget_digits()
        else:
            self._enter("collecting", "collecting")
            self._collecting_until = self._parts.clock.monotonic() + MOST_COLLECT_S
            await leg.answer()
        prompts = [answer.prompt or "extension"]
        if prompts == ["extension"]:
            prompts.insert(0, "welcome")
        for _ in range(ROUNDS):
            if self._parts.clock.monotonic() >= self._collecting_until:
                break
            await leg.play(*prompts, until_digit=True)
            if digits := await self._digits(leg, answer.digits or 0):
                return digits
            prompts = ["extension"]
        return None

    async def _digits(self, leg: Leg, most: int) -> str:
        """Until there are so many, `#`, or a pause; `*` begins anew. A `#` before any is of the try before. Raises
        Gone."""
        digits, terms = "", self._parts.terms
        for _ in range(MOST_KEYS):
            if len(digits) >= most or self._parts.clock.monotonic() >= self._collecting_until:
                break
            key = await leg.digit(terms.digit_s if digits else terms.first_digit_s)
            if key is None or (key == "#" and digits):
                break
            if key == "*":
                digits = ""
            elif key != "#":
                digits += key
        return digits

    async def _refuse(self, leg: Leg, answer: Answer) -> None:
        """Plays what he is told, if anything. Raises Gone."""
        self._enter("ending")
        log.info("call_refused", call_id=self._id, cause=answer.cause, code=answer.code)
        self._tell("failed")
        prompt = answer.prompt or (NOT_AVAILABLE if answer.cause == TEMPORARY else None)
        if prompt is not None:
            await leg.answer()
            await leg.play(prompt)

    async def _connect(self, leg: Leg, arrival: Arrival, digits: str | None, answer: Answer) -> None:
        """Raises Gone."""
        record = Record(
            call_id=self._id,
            binding_id=answer.binding_id,
            host=arrival.host,
            extension=digits.removesuffix("#") if digits else None,
            caller=arrival.caller,
            call_time=self._watch.began,
            release_time=self._watch.began,
        )
        try:
            await self._parts.journal.intend(record)
        except SpoolTrouble as trouble:
            log.error("spool_failed_closed", call_id=self._id, trouble=str(trouble))
            await self._refuse(leg, Answer(action="reject", cause=TEMPORARY, code="spool"))
            return
        callee: Leg | None = None
        ended = Outcome(record, self._watch)
        try:
            self._enter("ringing", "ringing")
            meters.SEIZED.inc()
            await leg.answer()
            leg.ring_back(on=True)
            seized = self._parts.clock.monotonic()
            callee = await self._parts.line.ring(answer.callee or "", answer.display_number or "")
            outcome = await self._parts.line.picked_up(callee, self._parts.terms.ring_s, caller=leg)
            leg.ring_back(on=False)
            ended.rang(callee.rang_at)
            self._delay(callee, seized)
            if isinstance(outcome, Answered):
                await self._talk(leg, callee, outcome, answer.max_seconds or 0, ended)
            else:
                ended.failed(outcome)
        except LineTrouble as trouble:
            ended.failed(Failed(self._parts.clock.monotonic(), PLATFORM, trouble.cause))
        except Gone:
            ended.failed(Failed(self._parts.clock.monotonic(), CALLER, NORMAL))
        finally:
            if self._asks(digits, ended):
                self._kept, callee = callee, None
            await self._file(leg, callee, ended)
        if self._kept is not None:
            await self._mark(self._kept)
        elif not ended.answered and ended.record.release_dir != CALLER:
            leg.ring_back(on=False)
            await leg.play(NOT_AVAILABLE)

    async def _talk(self, leg: Leg, callee: Leg, answered: Answered, max_seconds: int, ended: Outcome) -> None:
        """Charging began when he answered; nobody hears anybody before that is safe on disk. Raises Gone."""
        ended.answer(answered.at)
        self._enter("talking", "answered")
        meters.ANSWERED.inc()
        try:
            await self._parts.journal.answer(ended.record)
        except SpoolTrouble as trouble:
            log.error("spool_cut", call_id=self._id, trouble=str(trouble))
            ended.release(self._parts.clock.monotonic(), PLATFORM, TEMPORARY)
            return
        until = answered.at + max_seconds
        warned = until - self._parts.terms.warning_s
        left: Left | None = None
        if self._parts.terms.warning_s and warned > answered.at:
            left = await self._parts.line.talk(leg, callee, warned)
            if left is None:
                self._parts.line.warn(leg, callee)
        if left is None:
            left = await self._parts.line.talk(leg, callee, until)
        if left is None:
            ended.release(self._parts.clock.monotonic(), PLATFORM, TIMER)
        else:
            ended.release(left.at, left.release_dir, left.cause)

    async def _file(self, leg: Leg, callee: Leg | None, ended: Outcome) -> None:
        """Ends both legs (of an unanswered call the caller still hears why) and hands the record over, also of a call
        that is cancelled just then."""
        ended.settle()
        self._enter("ending", "ended" if ended.answered else "failed")
        legs = ([] if callee is None else [callee]) + ([leg] if ended.answered else [])
        try:
            await asyncio.gather(*(one.hang_up() for one in legs))
        finally:
            await self._report(ended)

    async def _report(self, ended: Outcome) -> None:
        meters.CAUSES.labels(str(ended.record.release_cause)).inc()
        log.info(
            "call_ended",
            call_id=self._id,
            release_dir=ended.record.release_dir,
            cause=ended.record.release_cause,
            answered=ended.answered,
        )
        await self._parts.journal.end(ended.record)

    def _asks(self, digits: str | None, ended: Outcome) -> bool:
        """Whether the recipient may say something of this call: who was reached by his extension, and left. Somebody
        whom the recipient called back is none."""
        left = ended.answered and ended.record.release_dir == CALLER
        return bool(self._parts.terms.mark_s and digits and left)

    async def _mark(self, callee: Leg) -> None:
        """The call is over, filed, and costs no more; what is keyed in now is on disk before it is confirmed."""
        self._enter("marking")
        said = await ask_for_mark(callee, self._parts.terms.mark_s)
        log.info("recipient_asked", call_id=self._id, mark=said)
        if said is not None:
            at = self._watch.instant(self._parts.clock.monotonic())
            await self._parts.journal.mark(Mark(call_id=self._id, mark=said, at=at))
            await confirm(callee)

    def _delay(self, callee: Leg, seized: float) -> None:
        if callee.rang_at is not None:
            meters.DELAY_S.observe(max(0.0, callee.rang_at - seized))

    async def _leave(self, leg: Leg | None) -> None:
        for one in (leg, self._kept):
            if one is not None:
                await one.hang_up()
        self._enter("")

    def _enter(self, state: str, told: State | None = None) -> None:
        if self._state:
            meters.CALLS.labels(self._state).dec()
        self._state = state
        if state:
            meters.CALLS.labels(state).inc()
        if told is not None:
            self._tell(told)

    def _tell(self, state: State) -> None:
        now = self._watch.instant(self._parts.clock.monotonic())
        self._parts.states.tell(Progress(call_id=self._id, state=state, at=now, host=self._host))
