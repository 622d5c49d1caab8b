"""A line without telephony: legs that do what a script says, on a clock that only they move."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from vnum.voice.contract import Answer, Mark, Progress, Record
from vnum.voice.line import Answered, Failed, Gone, Left, Leg, LineTrouble
from vnum.voice.spool import SpoolTrouble

START = datetime(2026, 10, 5, 4, tzinfo=UTC)
PLAYS_S = 2.0

Step = str | None | type[Gone]
"""What a caller does when a digit is waited for: keys one in, nothing until the time is up, or hangs up."""


@dataclass
class HandClock:
    passed_s: float = 0.0

    def utc(self) -> datetime:
        return START + timedelta(seconds=self.passed_s)

    def monotonic(self) -> float:
        return self.passed_s


@dataclass
class ScriptedLeg:
    clock: HandClock
    keys: list[Step] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    answered: bool = False
    ended: bool = False
    leaves_at: str | None = None
    """Hangs up while this is played."""

    rang_at: float | None = None

    async def answer(self) -> None:
        self.answered = True

    async def play(self, *prompts: str, until_digit: bool = False) -> None:
        assert self.answered
        for prompt in prompts:
            self.heard.append(prompt)
            if prompt == self.leaves_at:
                raise Gone
            self.clock.passed_s += PLAYS_S

    async def digit(self, within_s: float) -> str | None:
        self.waited.append(within_s)
        step = self.keys.pop(0) if self.keys else None
        if isinstance(step, type):
            raise Gone
        if step is None:
            self.clock.passed_s += within_s
        return step

    def unread_digit(self) -> str | None:
        """Keyed in just before he hung up."""
        step = self.keys.pop(0) if self.keys else None
        return step if isinstance(step, str) else None

    def forget_digits(self) -> None:
        self.heard.append("(forgets)")

    def ring_back(self, *, on: bool) -> None:
        self.heard.append("ring back" if on else "(silence)")

    async def hang_up(self) -> None:
        self.ended = True


@dataclass
class ScriptedLine:
    """`outcomes` one a ring, seconds after it: ("answers", 3), ("busy", 1), ("caller leaves", 2)...; then `left` of the
    talk: who hangs up after how many seconds, None = nobody ever; then what the recipient keys in, or the prompt at
    which he hangs up."""

    clock: HandClock
    outcomes: list[tuple[str, float]] = field(default_factory=list)
    left: tuple[int, float] | None = None
    keys: list[Step] = field(default_factory=list)
    hangs_up_at: str | None = None
    rung: list[tuple[str, str, ScriptedLeg]] = field(default_factory=list)
    warned_at: list[float] = field(default_factory=list)
    began: float | None = None

    async def ring(self, callee: str, shown: str) -> ScriptedLeg:
        if self.outcomes and self.outcomes[0][0] == "no circuit":
            raise LineTrouble("full", 34)
        rings_at = self.clock.passed_s + 0.5
        leg = ScriptedLeg(self.clock, answered=True, rang_at=rings_at, keys=self.keys, leaves_at=self.hangs_up_at)
        self.rung.append((callee, shown, leg))
        return leg

    async def picked_up(self, callee: Leg, within_s: float, *, caller: Leg | None) -> Answered | Failed:
        what, after_s = self.outcomes.pop(0)
        if after_s > within_s:
            self.clock.passed_s += within_s
            return Failed(self.clock.passed_s, 0, 19)
        self.clock.passed_s += after_s
        if what == "answers":
            return Answered(self.clock.passed_s)
        if what == "crashes":
            raise RuntimeError("the line broke")
        release_dir, cause = {"busy": (2, 17), "rejects": (2, 21), "caller leaves": (1, 16)}[what]
        return Failed(self.clock.passed_s, release_dir, cause)

    async def talk(self, caller: Leg, callee: Leg, until: float) -> Left | None:
        self.began = self.clock.passed_s if self.began is None else self.began
        if self.left is None or self.began + self.left[1] > until:
            self.clock.passed_s = until
            return None
        self.clock.passed_s = self.began + self.left[1]
        return Left(self.clock.passed_s, self.left[0], 16)

    def warn(self, caller: Leg, callee: Leg) -> None:
        self.warned_at.append(self.clock.passed_s)


@dataclass
class ScriptedRouter:
    """Answers in turn; `asked` = the digits of each question."""

    answers: Sequence[Answer]
    asked: list[str | None] = field(default_factory=list)
    callers: set[str] = field(default_factory=set)

    async def route(self, call_id: str, caller: str, host: str, digits: str | None) -> Answer:
        self.asked.append(digits)
        self.callers.add(caller)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


@dataclass
class MemoryJournal:
    """`full_at` = the step at which the disk is full."""

    full_at: str | None = None
    steps: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    async def intend(self, record: Record) -> None:
        self._step("intend")

    async def answer(self, record: Record) -> None:
        assert record.answer_time is not None
        self._step("answer")

    async def end(self, record: Record) -> None:
        self.steps.append("end")
        self.records.append(record)

    async def mark(self, mark: Mark) -> None:
        self.steps.append("mark")
        self.marks.append(mark)

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if self.full_at == name:
            raise SpoolTrouble("no space left on device")


@dataclass
class HeardStates:
    told: list[Progress] = field(default_factory=list)

    def tell(self, progress: Progress) -> None:
        self.told.append(progress)

    @property
    def states(self) -> list[str]:
        return [one.state for one in self.told]
