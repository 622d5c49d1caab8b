"""The way of sound through the switch: every 20 ms, prompts to those who wait, and each party's voice to the other."""

import asyncio
from contextlib import suppress
from typing import Final

from baresip.audio import CallAudio
from baresip.errors import AudioNotActive, AudioRestarted

from vnum.voice.line import Clock
from vnum.voice.sounds import FRAME, FRAME_S, SILENCE

AHEAD_S: Final = 0.1
"""So far ahead a prompt is handed to the library: a digit stops it no later than that."""

CUSHION: Final = 2
"""Frames of silence before the first voice, so that a late tick is not heard."""

MOST_BUFFERED: Final = FRAME * 12
"""Bytes on their way to one party; more is delay, and is thrown away."""

MOST_READ: Final = FRAME * 4

_ODD = (AudioNotActive, AudioRestarted)


class Ear:
    """One party's sound: what he is played, or the party whose voice he hears."""

    def __init__(self, audio: CallAudio, clock: Clock) -> None:
        self._audio = audio
        self._clock = clock
        self._said = b""
        self._place = 0
        self._again = False
        self._fed_until = 0.0
        self._over: asyncio.Future[None] | None = None
        self._buffered = 0
        self.hears: Ear | None = None

    def say(self, pcm: bytes, *, again: bool = False) -> asyncio.Future[None]:
        """Plays it instead of whatever played; the future ends with it. `again` = until `hush`."""
        self.hush()
        self._said, self._place, self._again = pcm, 0, again
        self._fed_until = self._clock.monotonic()
        self._over = asyncio.get_running_loop().create_future()
        return self._over

    def hush(self) -> None:
        """Nothing more of what plays; what was handed over already is taken back."""
        if self._over is None:
            return
        with suppress(*_ODD):
            self._audio.flush_tx()
        self._ended()

    def listen_to(self, other: "Ear | None") -> None:
        self.hears = other
        if other is not None:
            self._buffered = 0
            self._write(SILENCE * CUSHION)

    def tick(self, now: float) -> None:
        voice = self._read()
        if self.hears is not None and voice:
            self.hears.hear(voice)
        if self._over is not None:
            self._feed(now)

    def hear(self, voice: bytes) -> None:
        """The other's voice, unless something is played over it."""
        if self._over is not None:
            return
        self._buffered += len(voice)
        if self._buffered > FRAME * 50:  # once a second is often enough to look
            self._buffered = 0
            with suppress(*_ODD):
                if self._audio.info().tx_buffered > MOST_BUFFERED:
                    self._audio.flush_tx()
                    self._write(SILENCE * CUSHION)
        self._write(voice)

    def _feed(self, now: float) -> None:
        while self._fed_until < now + AHEAD_S:
            if self._place >= len(self._said):
                if not self._again:
                    break
                self._place = 0
            if not self._write(self._said[self._place : self._place + FRAME]):
                self._fed_until = max(self._fed_until, now)  # no media yet: it waits
                return
            self._place += FRAME
            self._fed_until = max(self._fed_until, now - FRAME_S) + FRAME_S
        if self._place >= len(self._said) and not self._again and self._fed_until <= now:
            self._ended()

    def _ended(self) -> None:
        over, self._over = self._over, None
        self._said = b""
        if over is not None and not over.done():
            over.set_result(None)

    def _read(self) -> bytes:
        try:
            return self._audio.read(MOST_READ)
        except _ODD:
            return b""

    def _write(self, pcm: bytes) -> int:
        try:
            return self._audio.write(pcm)
        except _ODD:
            return 0


class SoundPath:
    """All ears of a switch, served by one task."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ears: set[Ear] = set()
        self._some = asyncio.Event()

    def add(self, ear: Ear) -> None:
        self._ears.add(ear)
        self._some.set()

    def remove(self, ear: Ear) -> None:
        """Who is gone hears nobody, and is heard by nobody."""
        ear.hush()
        if ear.hears is not None:
            ear.hears.listen_to(None)
        ear.listen_to(None)
        self._ears.discard(ear)
        if not self._ears:
            self._some.clear()

    async def run(self) -> None:
        """For as long as the switch runs. A late tick is made up for by reading more, not by ticking faster."""
        due = self._clock.monotonic()
        while True:
            if not self._ears:
                await self._some.wait()
                due = self._clock.monotonic()
            now = self._clock.monotonic()
            for ear in tuple(self._ears):
                ear.tick(now)
            due = max(due + FRAME_S, now)
            await asyncio.sleep(max(0.0, due - self._clock.monotonic()))
