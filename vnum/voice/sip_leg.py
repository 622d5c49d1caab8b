"""One party over SIP: what the library reports of him, as instants, digits and an end that everything waits for."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

import msgspec
import structlog
from baresip import BaresipError
from baresip.call import Call
from baresip.events import Event, StackEvent

from vnum.voice.line import Clock, Gone
from vnum.voice.sound_path import Ear, SoundPath
from vnum.voice.sounds import FRAME, FRAME_S

log = structlog.get_logger()

MOST_DIGITS: Final = 64
PATIENCE_S: Final = 5.0
"""So much longer than itself a prompt may take to be heard."""

BEFORE_KEYS_S: Final = 1.0
"""Exchanges do not listen at once."""

RINGS: Final = frozenset({Event.CALL_RINGING, Event.CALL_PROGRESS})
PICKS_UP: Final = frozenset({Event.CALL_ANSWERED, Event.CALL_ESTABLISHED})


class Studio(msgspec.Struct, frozen=True):
    """What all legs share. `prompts` = PCM by name."""

    clock: Clock
    sound: SoundPath
    prompts: dict[str, bytes]


class SipLeg:
    """One party over SIP. `gone` and `picked` are instants of the clock's monotonic. `ours` = we rang him, so there is
    nothing to answer."""

    def __init__(self, call: Call, studio: Studio, *, ours: bool, extension: str = "") -> None:
        loop = asyncio.get_running_loop()
        self.call = call
        self._studio = studio
        self._digits: deque[str] = deque(maxlen=MOST_DIGITS)
        self._keyed = asyncio.Event()
        self._interruptible = False
        self._asked = ours
        self._released = False
        self._extension = extension
        self._keying: asyncio.Task[None] | None = None
        self.ear = Ear(call.audio, studio.clock)
        self.rang_at: float | None = None
        self.gone: asyncio.Future[float] = loop.create_future()
        self.picked: asyncio.Future[float] = loop.create_future()
        self.last_words = ""

    @property
    def handle(self) -> int:
        return self.call.handle

    async def answer(self) -> None:
        self._check()
        if self._asked:
            return
        self._asked = True
        try:
            await self.call.answer()
        except BaresipError as trouble:
            log.warning("answer_failed", trouble=type(trouble).__name__)
            raise Gone from None
        await asyncio.wait({self.picked, self.gone}, return_when=asyncio.FIRST_COMPLETED)
        self._check()

    async def play(self, *prompts: str, until_digit: bool = False) -> None:
        self._check()
        if until_digit and any(key != "#" for key in self._digits):
            return
        pcm = b"".join(self._studio.prompts[name] for name in prompts if name in self._studio.prompts)
        over = self.ear.say(pcm)
        self._interruptible = until_digit
        try:
            await asyncio.wait({over}, timeout=len(pcm) / FRAME * FRAME_S + PATIENCE_S)
        finally:
            self._interruptible = False
        self._check()

    async def digit(self, within_s: float) -> str | None:
        self._check()
        self._keyed.clear()
        if not self._digits:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._keyed.wait()
        self._check()
        return self.unread_digit()

    def unread_digit(self) -> str | None:
        return self._digits.popleft() if self._digits else None

    def forget_digits(self) -> None:
        self._digits.clear()

    def ring_back(self, *, on: bool) -> None:
        if on and not self.gone.done():
            self.ear.say(self._studio.prompts["ringback"], again=True)
        elif not on:
            self.ear.hush()

    async def hang_up(self) -> None:
        if self._released:
            return
        self._released = True
        self._studio.sound.remove(self.ear)
        if self._keying is not None:
            self._keying.cancel()
        if not self.gone.done():
            with suppress(BaresipError):
                await self.call.hangup()

    def key_in(self) -> None:
        """His own extension, for the exchange that answered in his place; once."""
        if self._extension and self._keying is None:
            self._keying = asyncio.create_task(self._key())

    async def _key(self) -> None:
        await asyncio.sleep(BEFORE_KEYS_S)
        with suppress(BaresipError):  # he hung up
            await self.call.send_dtmf(self._extension)

    def on(self, event: StackEvent, at: float) -> None:
        """An event of the stack's about this leg, and when it happened."""
        kind = event.event
        if kind is Event.CALL_CLOSED:
            self._close(at, event.text or "")
        elif kind in RINGS and self.rang_at is None:
            self.rang_at = at
        elif kind in PICKS_UP and not self.picked.done():
            self.picked.set_result(at)
            self._studio.sound.add(self.ear)
        elif kind is Event.CALL_DTMF_START and event.text:
            self._digits.append(event.text)
            self._keyed.set()
            if self._interruptible and event.text != "#":
                self.ear.hush()

    def _close(self, at: float, said: str) -> None:
        if self.gone.done():
            return
        self.last_words = said
        self.gone.set_result(at)
        self._keyed.set()
        self._studio.sound.remove(self.ear)

    def _check(self) -> None:
        if self.gone.done():
            raise Gone
