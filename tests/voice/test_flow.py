"""The life of a call: who is asked what, what he hears, and the record it leaves. No SIP, and no time passes."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.voice.scripted import (
    PLAYS_S,
    START,
    HandClock,
    HeardStates,
    MemoryJournal,
    ScriptedLeg,
    ScriptedLine,
    ScriptedRouter,
    Step,
)
from vnum.voice.contract import Answer, Dial, Record
from vnum.voice.flow import MOST_COLLECT_S, MOST_QUESTIONS, Call, Parts, Terms
from vnum.voice.line import Arrival, Gone, Left, Leg

HOST = "18400913965"
CALLER = "+8613712345678"
CALLEE = "+8613812345678"
BINDING = UUID("01890000-0000-7000-8000-000000000001")

COLLECT = Answer(action="collect", prompt="extension", digits=4)
CONNECT = Answer(action="connect", binding_id=BINDING, callee=CALLEE, display_number=HOST, max_seconds=60)
AGAIN = Answer(action="reject", cause=1, code="no_binding", prompt="wrong_extension", digits=4)
NO_MORE = Answer(action="reject", cause=1, code="too_many_tries", prompt="wrong_extension")
EXPIRED = Answer(action="reject", cause=1, code="binding_expired", prompt="number_expired")
UNKNOWN = Answer(action="reject", cause=1, code="host_not_found")
DOWN = Answer(action="reject", cause=41, code="store_unavailable")
COLLECT_WRONG = Answer(action="collect", prompt="wrong_extension", digits=4, code="no_binding")


@dataclass
class Stage:
    """One call with all its parts, and what came of it."""

    answers: list[Answer]
    keys: list[Step] = field(default_factory=list)
    outcomes: list[tuple[str, float]] = field(default_factory=list)
    left: tuple[int, float] | None = (1, 20.0)
    digits: str | None = None
    full_at: str | None = None
    leaves_at: str | None = None
    mark_s: float = 0
    marks: list[Step] = field(default_factory=list)
    hangs_up_at: str | None = None

    def __post_init__(self) -> None:
        self.clock = HandClock()
        self.leg = ScriptedLeg(self.clock, keys=list(self.keys), leaves_at=self.leaves_at)
        self.line = ScriptedLine(self.clock, outcomes=list(self.outcomes), left=self.left)
        self.line.keys, self.line.hangs_up_at = list(self.marks), self.hangs_up_at
        self.router = ScriptedRouter(self.answers)
        self.journal = MemoryJournal(self.full_at)
        self.states = HeardStates()

    def call(self) -> Call:
        parts = Parts(
            router=self.router,
            journal=self.journal,
            line=self.line,
            clock=self.clock,
            states=self.states,
            terms=Terms(ring_s=30, first_digit_s=8, digit_s=4, warning_s=10, mark_s=self.mark_s),
        )
        return Call(parts, "c-1")

    async def run(self) -> "Stage":
        arrival = Arrival(caller=CALLER, host=HOST, digits=self.digits)
        await self.call().incoming(self.leg, arrival)
        return self

    async def dial(self) -> "Stage":
        order = Dial(call_id="d-1", agent=CALLER, host=HOST, extension="0042", display_number=HOST)
        await self.call().ordered(order)
        return self

    @property
    def record(self) -> Record:
        (only,) = self.journal.records
        return only

    @property
    def talked_s(self) -> float | None:
        record = self.record
        return None if record.answer_time is None else (record.release_time - record.answer_time).total_seconds()

    @property
    def prompts(self) -> list[str]:
        return [one for one in self.leg.heard if not one.startswith(("(", "ring"))]

    @property
    def callee(self) -> ScriptedLeg:
        return self.line.rung[-1][2]


async def test_a_call_from_ring_to_record() -> None:
    done = await Stage([COLLECT, CONNECT], keys=["0", "0", "4", "2"], outcomes=[("answers", 3.25)]).run()
    assert done.router.asked == [None, "0042"]
    assert done.prompts == ["welcome", "extension"]
    assert [(callee, shown) for callee, shown, _ in done.line.rung] == [(CALLEE, HOST)]
    assert done.journal.steps == ["intend", "answer", "end"]
    answered = START + timedelta(seconds=2 * PLAYS_S + 3.25)
    assert done.record == Record(
        call_id="c-1",
        binding_id=BINDING,
        host=HOST,
        extension="0042",
        caller=CALLER,
        call_time=START,
        ring_time=done.record.ring_time,
        answer_time=answered,
        release_time=answered + timedelta(seconds=20),
        release_dir=1,
        release_cause=16,
    )
    assert done.record.ring_time == START + timedelta(seconds=2 * PLAYS_S + 0.5)
    assert done.leg.ended
    assert done.line.rung[0][2].ended
    assert done.states.states == ["collecting", "ringing", "answered", "ended"]


# What is keyed in (None = nothing until the time is up) -> what vnum is asked.
KEYED: dict[str, tuple[list[Step], list[str | None]]] = {
    "four digits": (["0", "0", "4", "2"], [None, "0042"]),
    "ended by #": (["4", "2", "#"], [None, "42"]),
    "ended by a pause": (["4", "2", None], [None, "42"]),
    "taken back by *": (["9", "9", "*", "0", "0", "4", "2"], [None, "0042"]),
    "a # left over from before": (["#", "0", "0", "4", "2"], [None, "0042"]),
    "nothing at first": ([None, "0", "0", "4", "2"], [None, "0042"]),
    "nothing twice": ([None, None, "0", "0", "4", "2"], [None, "0042"]),
    "nothing three times": ([None, None, None, "0", "0", "4", "2"], [None]),
    "hangs up before the first": ([Gone], [None]),
    "hangs up among them": (["0", "0", Gone], [None]),
    "only # for ever": (["#"] * 200, [None]),
}


@pytest.mark.parametrize(("keys", "asked"), KEYED.values(), ids=KEYED)
async def test_what_is_keyed_in_is_what_vnum_is_asked(keys: list[Step], asked: list[str | None]) -> None:
    done = await Stage([COLLECT, CONNECT], keys=keys, outcomes=[("answers", 1)]).run()
    assert done.router.asked == asked
    assert done.leg.ended
    assert len(done.journal.records) == len(asked) - 1


async def test_the_first_digit_may_take_longer_than_the_next() -> None:
    done = await Stage([COLLECT, CONNECT], keys=["4", "2", None], outcomes=[("answers", 1)]).run()
    assert done.leg.waited == [8, 4, 4]


@pytest.mark.parametrize("again", [AGAIN, COLLECT_WRONG], ids=["reject with digits", "collect"])
async def test_a_wrong_extension_is_asked_for_again_under_the_same_call(again: Answer) -> None:
    keys: list[Step] = [*"0041", *"0042"]
    done = await Stage([COLLECT, again, CONNECT], keys=keys, outcomes=[("answers", 1)]).run()
    assert done.router.asked == [None, "0041", "0042"]
    assert done.prompts == ["welcome", "extension", "wrong_extension"]
    assert "(forgets)" in done.leg.heard, "a digit too many is no part of the next try"
    assert done.record.extension == "0042"


# vnum's answers -> what the caller hears. Nothing is connected, and nothing is reported.
REFUSED: dict[str, tuple[list[Answer], list[str]]] = {
    "wrong three times": (
        [COLLECT, AGAIN, AGAIN, NO_MORE],
        ["welcome", "extension", "wrong_extension", "wrong_extension", "wrong_extension"],
    ),
    "expired": ([COLLECT, EXPIRED], ["welcome", "extension", "number_expired"]),
    "without a prompt": ([COLLECT, UNKNOWN], ["welcome", "extension"]),
    "no answer to the first question": ([DOWN], ["not_available"]),
    "no answer to the second": ([COLLECT, DOWN], ["welcome", "extension", "not_available"]),
    "an unknown host": ([UNKNOWN], []),
}


@pytest.mark.parametrize(("answers", "prompts"), REFUSED.values(), ids=REFUSED)
async def test_a_refused_call_hears_what_vnum_says_and_nothing_else(answers: list[Answer], prompts: list[str]) -> None:
    done = await Stage(answers, keys=[*"1111", *"2222", *"3333"]).run()
    assert done.prompts == prompts
    assert done.leg.answered == bool(prompts)
    assert done.leg.ended
    assert (done.line.rung, done.journal.steps) == ([], [])
    assert done.states.states[-1] == "failed"


async def test_a_vnum_that_asks_for_ever_is_not_asked_for_ever() -> None:
    done = await Stage([AGAIN], keys=["1"] * 400).run()
    assert len(done.router.asked) == MOST_QUESTIONS + 1
    assert done.leg.ended


# What the recipient's side does -> release_dir, cause, and whether the caller hears that nobody is to be had.
UNANSWERED: dict[str, tuple[tuple[str, float], int, int, bool]] = {
    "busy": (("busy", 1), 2, 17, True),
    "rejected": (("rejects", 1), 2, 21, True),
    "no answer": (("answers", 31), 0, 19, True),
    "no circuit": (("no circuit", 0), 0, 34, True),
    "caller leaves": (("caller leaves", 5), 1, 16, False),
    "an error of ours": (("crashes", 1), 0, 41, False),
}


@pytest.mark.parametrize(("outcome", "release_dir", "cause", "told"), UNANSWERED.values(), ids=UNANSWERED)
async def test_an_unanswered_call_is_reported_with_its_cause(
    outcome: tuple[str, float], release_dir: int, cause: int, told: bool
) -> None:
    done = await Stage([CONNECT], digits="0042", outcomes=[outcome]).run()
    record = done.record
    assert (record.answer_time, record.release_dir, record.release_cause) == (None, release_dir, cause)
    assert record.release_time == START + timedelta(seconds=min(outcome[1], 30))
    assert done.prompts == (["not_available"] if told else [])
    assert done.leg.ended
    assert all(leg.ended for _, _, leg in done.line.rung)
    assert done.journal.steps == ["intend", "end"]


# (who hangs up, after) and the limit -> seconds charged, release_dir, cause, tones before the cut.
ENDS: dict[str, tuple[tuple[int, float] | None, int, float, int, int, int]] = {
    "the caller": ((1, 20.0), 60, 20, 1, 16, 0),
    "the recipient": ((2, 20.5), 60, 20.5, 2, 16, 0),
    "at once": ((2, 0.0), 60, 0, 2, 16, 0),
    "after the warning": ((1, 55.0), 60, 55, 1, 16, 1),
    "the limit": (None, 60, 60, 0, 102, 1),
    "a limit too short for a warning": (None, 10, 10, 0, 102, 0),
}


@pytest.mark.parametrize(("left", "most", "talked", "release_dir", "cause", "tones"), ENDS.values(), ids=ENDS)
async def test_talk_is_measured_from_answer_to_release(
    left: tuple[int, float] | None, most: int, talked: float, release_dir: int, cause: int, tones: int
) -> None:
    connect = Answer(action="connect", callee=CALLEE, display_number=HOST, max_seconds=most)
    done = await Stage([COLLECT, connect], keys=[*"0042"], outcomes=[("answers", 7)], left=left).run()
    assert done.talked_s == talked, "neither the prompts nor the ringing"
    assert (done.record.release_dir, done.record.release_cause) == (release_dir, cause)
    assert len(done.line.warned_at) == tones
    assert done.prompts == ["welcome", "extension"]


async def test_the_tone_comes_its_seconds_before_the_cut() -> None:
    done = await Stage([CONNECT], digits="0042", outcomes=[("answers", 7)], left=None).run()
    assert done.line.warned_at == [7 + 60 - 10]


async def test_digits_in_the_uri_ask_once_and_play_nothing() -> None:
    done = await Stage([CONNECT], digits="0042", outcomes=[("answers", 1)]).run()
    assert (done.router.asked, done.prompts) == (["0042"], [])


async def test_a_call_back_is_connected_at_the_first_question() -> None:
    done = await Stage([CONNECT], outcomes=[("answers", 1)]).run()
    assert (done.router.asked, done.record.extension) == ([None], None)


async def test_who_leaves_while_a_prompt_plays_is_not_asked_for() -> None:
    done = await Stage([COLLECT, CONNECT], leaves_at="extension").run()
    assert (done.router.asked, done.journal.steps, done.leg.ended) == ([None], [], True)


async def test_nobody_is_rung_when_the_intent_can_not_be_written() -> None:
    done = await Stage([CONNECT], digits="0042", full_at="intend").run()
    assert (done.line.rung, done.prompts, done.journal.steps) == ([], ["not_available"], ["intend"])


async def test_nobody_talks_when_the_answer_can_not_be_written() -> None:
    done = await Stage([CONNECT], digits="0042", outcomes=[("answers", 3)], full_at="answer").run()
    assert (done.talked_s, done.record.release_cause, done.line.began) == (0, 41, None)
    assert done.line.rung[0][2].ended


async def test_a_call_that_is_cut_by_a_stop_is_reported() -> None:
    """The switch stops in mid-call: its tasks are cancelled."""
    stage = Stage([CONNECT], digits="0042", outcomes=[("answers", 3)])
    talking = asyncio.Event()

    async def talk(caller: Leg, callee: Leg, until: float) -> Left | None:
        talking.set()
        await asyncio.Event().wait()
        raise AssertionError

    stage.line.talk = talk  # type: ignore[method-assign]
    task = asyncio.create_task(stage.run())
    await talking.wait()
    stage.clock.passed_s += 42
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (stage.talked_s, stage.record.release_dir, stage.record.release_cause) == (42, 0, 41)
    assert stage.leg.ended
    assert stage.line.rung[0][2].ended


async def test_a_stop_while_the_legs_are_taken_down_changes_nothing_of_the_record() -> None:
    """He hung up; the switch stops before its own BYE is out."""
    stage = Stage([CONNECT], digits="0042", outcomes=[("answers", 3)], left=(1, 42))
    taking_down = asyncio.Event()

    async def hang_up() -> None:
        taking_down.set()
        await asyncio.Event().wait()

    stage.leg.hang_up = hang_up  # type: ignore[method-assign]
    task = asyncio.create_task(stage.run())
    await taking_down.wait()
    stage.clock.passed_s += 7
    stage.leg.hang_up = ScriptedLeg(stage.clock).hang_up  # type: ignore[method-assign]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (stage.talked_s, stage.record.release_dir, stage.record.release_cause) == (42, 1, 16)


async def test_a_step_of_the_machines_clock_charges_nobody() -> None:
    stage = Stage([CONNECT], digits="0042", outcomes=[("answers", 3)])
    before: Any = stage.line.talk

    async def talk(caller: Leg, callee: Leg, until: float) -> Left | None:
        stage.clock.utc = lambda: START + timedelta(hours=1)  # type: ignore[method-assign]
        return await before(caller, callee, until)

    stage.line.talk = talk  # type: ignore[method-assign]
    assert (await stage.run()).talked_s == 20


async def test_an_order_rings_the_agent_and_then_the_recipient() -> None:
    done = await Stage([CONNECT], outcomes=[("answers", 2), ("answers", 3)]).dial()
    assert [(callee, shown) for callee, shown, _ in done.line.rung] == [(CALLER, HOST), (CALLEE, HOST)]
    assert (done.router.asked, done.router.callers) == (["0042"], {CALLER})
    assert (done.record.caller, done.record.extension, done.talked_s) == (CALLER, "0042", 20)
    assert done.record.answer_time == START + timedelta(seconds=5), "the recipient's answer, not the agent's"
    assert done.states.states == ["ringing_agent", "ringing", "answered", "ended"]
    assert all(leg.ended for _, _, leg in done.line.rung)


@pytest.mark.parametrize("outcome", [("busy", 1), ("answers", 99), ("no circuit", 0), ("crashes", 1)])
async def test_an_agent_who_is_not_reached_is_told_as_failed(outcome: tuple[str, float]) -> None:
    done = await Stage([CONNECT], outcomes=[outcome]).dial()
    assert (done.router.asked, done.journal.steps) == ([], [])
    assert done.states.states[0] == "ringing_agent"
    assert done.states.states[-1] == "failed"
    assert all(leg.ended for _, _, leg in done.line.rung)


async def test_a_refused_order_hears_the_prompt_and_ends() -> None:
    done = await Stage([EXPIRED], outcomes=[("answers", 2)]).dial()
    assert done.line.rung[0][2].heard == ["number_expired"]
    assert (done.line.rung[0][2].ended, done.states.states) == (True, ["ringing_agent", "failed"])


async def test_who_keys_in_and_takes_back_for_ever_is_released() -> None:
    """A `*` every three seconds would hold a place for as long as vnum has tries."""

    class Slow(ScriptedLeg):
        async def digit(self, within_s: float) -> str | None:
            self.clock.passed_s += 3.0
            return "*"

    stage = Stage([COLLECT, *[AGAIN] * 3])
    stage.leg = Slow(stage.clock)
    await stage.run()
    assert MOST_COLLECT_S <= stage.clock.passed_s <= MOST_COLLECT_S + 10
    assert stage.leg.ended
    assert stage.journal.records == []


async def test_a_refused_order_asks_the_agent_for_nothing() -> None:
    """He did not dial: there is no other extension that he could key in."""
    done = await Stage([AGAIN], outcomes=[("answers", 2)]).dial()
    assert done.router.asked == ["0042"]
    assert done.line.rung[0][2].heard == ["wrong_extension"]
    assert (done.line.rung[0][2].ended, done.states.states) == (True, ["ringing_agent", "failed"])


async def test_who_leaves_before_he_was_connected_has_no_call_that_ended() -> None:
    """`ended` would promise a record."""
    done = await Stage([COLLECT, CONNECT], keys=[Gone], outcomes=[]).run()
    assert done.states.states == ["collecting", "failed"]
    assert done.journal.steps == []
