"""A key after the call: who is asked, what counts, and that it changes nothing of the call itself. No SIP."""

import asyncio
from datetime import timedelta

import pytest

from tests.voice.scripted import PLAYS_S, START, ScriptedLeg, Step
from tests.voice.test_flow import CONNECT, DOWN, Stage
from vnum.voice import meters
from vnum.voice.contract import Mark, Record
from vnum.voice.line import Gone

MARK_S = 6
TALKED_S = 20.0
BEGAN_S = 3.0
OVER = START + timedelta(seconds=BEGAN_S + TALKED_S)


def stage(**rest: object) -> Stage:
    told = {"digits": "0042", "outcomes": [("answers", BEGAN_S)], "left": (1, TALKED_S), "mark_s": MARK_S, **rest}
    return Stage([CONNECT], **told)  # type: ignore[arg-type]


def state(name: str) -> float:
    return meters.CALLS.labels(name)._value.get()


# What the recipient keys in after the caller has hung up -> what is said of the call, and what he hears.
KEYED: dict[str, tuple[list[Step], str | None]] = {
    "1": (["1"], "complaint"),
    "2": (["2"], "wrong_person"),
    "another digit": (["3"], None),
    "another digit, and then 1": (["3", "1"], None),
    "#": (["#"], None),
    "nothing": ([None], None),
    "hangs up instead": ([Gone], None),
    "1, and hangs up": ([Gone, "1"], "complaint"),
}


@pytest.mark.parametrize(("keys", "said"), KEYED.values(), ids=KEYED)
async def test_one_key_says_it(keys: list[Step], said: str | None) -> None:
    done = await stage(marks=keys).run()
    assert [mark.mark for mark in done.journal.marks] == ([said] if said else [])
    assert done.callee.heard == ["(forgets)", "mark"] + (["marked"] if said else [])
    assert done.callee.ended
    assert done.callee.waited == [MARK_S]


async def test_what_is_said_has_the_call_and_the_instant_of_the_key() -> None:
    done = await stage(marks=["1"]).run()
    assert done.journal.marks == [Mark(call_id="c-1", mark="complaint", at=OVER + timedelta(seconds=PLAYS_S))]


async def test_the_call_is_over_and_filed_before_he_is_asked() -> None:
    """Its record is the one that it would have been without."""
    plain, asked = await stage(mark_s=0).run(), await stage(marks=["1"]).run()
    assert asked.record == plain.record
    assert asked.record.release_time == OVER
    assert asked.journal.steps == [*plain.journal.steps, "mark"]
    assert asked.states.told == plain.states.told
    assert plain.callee.heard == []


def answered_by(callee: ScriptedLeg, by: Stage) -> None:
    async def ring(number: str, shown: str) -> ScriptedLeg:
        by.line.rung.append((number, shown, callee))
        return callee

    by.line.ring = ring  # type: ignore[method-assign]


class Watching(ScriptedLeg):
    """Sees how things are while he is asked."""

    stage: Stage
    seen: tuple[list[Record], bool, float]

    async def digit(self, within_s: float) -> str | None:
        self.seen = list(self.stage.journal.records), self.stage.leg.ended, state("marking")
        return await super().digit(within_s)


async def test_while_he_is_asked_the_caller_is_gone_and_the_gauge_says_so() -> None:
    watched = stage()
    callee = Watching(watched.clock, answered=True)
    callee.stage = watched
    answered_by(callee, watched)
    before = state("marking")
    await watched.run()
    assert callee.seen == (watched.journal.records, True, before + 1)
    assert len(watched.journal.records) == 1
    assert state("marking") == before


# Calls after which nobody is asked for anything.
UNASKED: dict[str, Stage] = {
    "the recipient left": stage(left=(2, TALKED_S)),
    "cut at the limit": stage(left=None),
    "a party fell silent": stage(left=(0, TALKED_S)),
    "a call back": stage(digits=None),
    "busy": stage(outcomes=[("busy", 1)]),
    "the caller left while it rang": stage(outcomes=[("caller leaves", 1)]),
    "an error of ours": stage(outcomes=[("crashes", 1)]),
    "the answer could not be written": stage(full_at="answer"),
    "not wanted": stage(mark_s=0),
}


@pytest.mark.parametrize("unasked", UNASKED.values(), ids=UNASKED)
async def test_nobody_else_is_asked(unasked: Stage) -> None:
    unasked.line.keys = ["1"]
    done = await unasked.run()
    assert "mark" not in done.callee.heard
    assert done.journal.marks == []
    assert done.callee.ended


async def test_a_refused_call_asks_nobody() -> None:
    done = await Stage([DOWN], digits="0042", mark_s=MARK_S, marks=["1"]).run()
    assert (done.line.rung, done.journal.marks) == ([], [])


async def test_an_ordered_call_is_a_call() -> None:
    """It is the agent who leaves, and the recipient who is asked."""
    done = await stage(outcomes=[("answers", 2), ("answers", BEGAN_S)], marks=["2"]).dial()
    agent, callee = (leg for _, _, leg in done.line.rung)
    assert [mark.mark for mark in done.journal.marks] == ["wrong_person"]
    assert (agent.heard, callee.heard[-1]) == (["ring back", "(silence)"], "marked")
    assert agent.ended
    assert callee.ended
    assert done.states.states == ["ringing_agent", "ringing", "answered", "ended"]


async def test_who_hangs_up_while_he_is_asked_leaves_nothing_behind() -> None:
    done = await stage(hangs_up_at="mark").run()
    assert done.journal.marks == []
    assert (done.callee.ended, done.leg.ended, done.states.states[-1]) == (True, True, "ended")


async def test_who_hangs_up_on_the_confirmation_has_said_it() -> None:
    done = await stage(marks=["1"], hangs_up_at="marked").run()
    assert len(done.journal.marks) == 1
    assert done.callee.ended


async def test_he_is_asked_for_no_longer_than_so_long() -> None:
    done = await stage(marks=[None]).run()
    assert done.clock.passed_s == BEGAN_S + TALKED_S + PLAYS_S + MARK_S


@pytest.mark.parametrize("at", ["digit", "play"])
async def test_a_stop_while_he_is_asked_hangs_up_and_files_nothing_twice(at: str) -> None:
    stopped = stage()
    asking = asyncio.Event()

    async def for_ever(self: ScriptedLeg, *_: object, **__: object) -> None:
        asking.set()
        await asyncio.Event().wait()

    callee = ScriptedLeg(stopped.clock, answered=True)
    setattr(callee, at, for_ever.__get__(callee))
    answered_by(callee, stopped)
    task = asyncio.create_task(stopped.run())
    await asking.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped.record.release_time == OVER
    assert stopped.states.states[-1] == "ended"
    assert callee.ended
    assert stopped.leg.ended
