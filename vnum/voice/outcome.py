"""How a call went, as its record tells it: instants, who released it, why."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from vnum.voice.contract import TEMPORARY, Record
from vnum.voice.line import Clock, Failed

NORMAL: Final = 16
TIMER: Final = 102
PLATFORM: Final = 0
CALLER: Final = 1
CALLEE: Final = 2


class Watch:
    """The machine's clock as it was when the call began, and the monotonic one since: a step of the former in mid-call
    charges nobody."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self.began = _to_ms(clock.utc())

    def now(self) -> float:
        return self._clock.monotonic()

    def instant(self, at: float) -> datetime:
        """Of a reading of the monotonic clock; to the millisecond."""
        return _to_ms(self.began + timedelta(seconds=at - self._began))


def _to_ms(instant: datetime) -> datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


class Outcome:
    """The record of one call as it grows. What ends without saying why was an error of the switch's own."""

    def __init__(self, record: Record, watch: Watch) -> None:
        self.record = record
        self._watch = watch
        self._released = False

    @property
    def answered(self) -> bool:
        return self.record.answer_time is not None

    def rang(self, at: float | None) -> None:
        if at is not None:
            self.record = msgspec.structs.replace(self.record, ring_time=self._watch.instant(at))

    def answer(self, at: float) -> None:
        instant = self._watch.instant(at)
        self.record = msgspec.structs.replace(self.record, answer_time=instant, release_time=instant)

    def failed(self, outcome: Failed) -> None:
        self.release(outcome.at, outcome.release_dir, outcome.cause)

    def release(self, at: float, release_dir: int, cause: int) -> None:
        self._released = True
        instant = max(self._watch.instant(at), self.record.release_time)
        self.record = msgspec.structs.replace(
            self.record, release_time=instant, release_dir=release_dir, release_cause=cause
        )

    def settle(self) -> None:
        if not self._released:
            self.release(self._watch.now(), PLATFORM, TEMPORARY)
