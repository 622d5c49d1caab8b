"""The sound of a phone: RTP (RFC 3550) with PCMU or PCMA, a tone of its own, an ear for tones, and RFC 4733 digits.

Tones are multiples of 50 Hz: a frame of 20 ms holds whole cycles, so the same frame over and over is a steady tone, and
two tones never leak into one another.
"""

import asyncio
import math
import secrets
import struct
import time
from bisect import bisect_left
from collections import deque
from functools import lru_cache
from typing import Any, NamedTuple

from vnum.voice.softphone.sip import LOOPBACK, Address, Media

RATE = 8000
FRAME = 160
FRAME_S = FRAME / RATE
LOUDNESS = 8000
PURE = 0.8
"""Share of a frame's energy at one frequency, from which on the frame is that tone."""

AUDIBLE = 200
"""Mean deviation of samples from which on a frame is not silence."""

PCMU, PCMA = 0, 8


def tone(n: int) -> int:
    """The nth of 48 tones, in Hz; none is 450, which is the tone that tells a caller that it rings."""
    return 500 + 50 * (n % 48)


def _ulaw(code: int) -> int:
    code = ~code & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return -size if code & 0x80 else size


def _alaw(code: int) -> int:
    code ^= 0x55
    step, segment = (code & 0x0F) << 4, (code & 0x70) >> 4
    size = step + 8 if segment == 0 else step + 0x108 << segment - 1
    return size if code & 0x80 else -size


LINEAR = {PCMU: [_ulaw(code) for code in range(256)], PCMA: [_alaw(code) for code in range(256)]}


@lru_cache
def spoken(hz: int, codec: int) -> bytes:
    """A frame of a tone; 0 Hz = silence."""
    levels = sorted((level, code) for code, level in enumerate(LINEAR[codec]))
    samples = [LOUDNESS * math.sin(2 * math.pi * hz * n / RATE) for n in range(FRAME)]
    return bytes(levels[min(bisect_left(levels, (sample, 0)), 255)][1] for sample in samples)


class Frame(NamedTuple):
    """What came in one packet; `at` in seconds since 1970."""

    at: float
    codec: int
    payload: bytes

    @property
    def samples(self) -> list[int]:
        table = LINEAR[self.codec]
        return [table[code] for code in self.payload]

    @property
    def seconds(self) -> float:
        return len(self.payload) / RATE

    def audible(self) -> bool:
        samples = self.samples
        return sum(map(abs, samples)) > AUDIBLE * len(samples)

    def holds(self, hz: int) -> bool:
        """Whether the frame is that tone, by Goertzel's algorithm."""
        samples = self.samples
        energy = sum(sample * sample for sample in samples)
        turn = 2 * math.cos(2 * math.pi * hz / RATE)
        last = before = 0.0
        for sample in samples:
            last, before = sample + turn * last - before, last
        power = last * last + before * before - turn * last * before
        return energy > AUDIBLE**2 * len(samples) and 2 * power > PURE * len(samples) * energy


class Sound(asyncio.DatagramProtocol):
    """One RTP port: speaks its tone from `start` on, keeps what it hears."""

    transport: asyncio.DatagramTransport

    def __init__(self, hz: int) -> None:
        self.hz = hz
        self.heard: list[Frame] = []
        self.digits_heard: list[int] = []
        self.spoke_from = self.spoke_until = 0.0
        self._codec = PCMU
        self._events: int | None = None
        self._to: Address | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._queue: deque[tuple[int, bool, bytes, int]] = deque()  # payload type, marker, payload, ticks back
        self._sequence, self._stamp = secrets.randbelow(2**15), secrets.randbelow(2**31)
        self._source = secrets.randbelow(2**32)
        self._came = asyncio.Event()
        self._all_keyed = asyncio.Event()

    @classmethod
    async def open(cls, hz: int, host: str = LOOPBACK) -> "Sound":
        _, sound = await asyncio.get_running_loop().create_datagram_endpoint(lambda: cls(hz), (host, 0))
        return sound

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    @property
    def port(self) -> int:
        port: int = self.transport.get_extra_info("sockname")[1]
        return port

    def talk_to(self, media: Media, ours: tuple[int, ...]) -> None:
        """Where the other side listens; speaks from now on, with the first codec that both have."""
        self._to, self._events = media.address, media.events
        self._codec = next(one for one in media.payloads if one in ours)
        if self._timer is None:
            self.spoke_from = time.time()
            self._tick(asyncio.get_running_loop().time())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._all_keyed.set()
        self._came.set()
        self.transport.close()

    def _tick(self, due: float) -> None:
        """By the clock, so that a late tick is made up for."""
        if self._queue:
            kind, marker, payload, back = self._queue.popleft()
            self._packet(kind, payload, self._stamp - back * FRAME, marker=marker)
            if not self._queue:
                self._all_keyed.set()
        else:
            self._packet(self._codec, spoken(self.hz, self._codec), self._stamp)
        self._stamp += FRAME
        self.spoke_until = time.time()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(due + FRAME_S, self._tick, due + FRAME_S)

    def _packet(self, kind: int, payload: bytes, stamp: int, *, marker: bool = False) -> None:
        head = struct.pack(
            "!BBHII", 0x80, kind | marker << 7, self._sequence & 0xFFFF, stamp & 0xFFFFFFFF, self._source
        )
        self._sequence += 1
        if not self.transport.is_closing():
            self.transport.sendto(head + payload, self._to)

    async def key(self, digits: str, frames: int = 5) -> None:
        """Digits by RFC 4733, each of `frames` x 20 ms; returns when all are sent."""
        assert self._events is not None, "the other side takes no telephone events"
        silence = self._codec, False, spoken(0, self._codec), 0
        for digit in digits:
            event = "0123456789*#".index(digit)
            for n in range(frames):
                body = struct.pack("!BBH", event, 10, (n + 1) * FRAME)
                self._queue.append((self._events, n == 0, body, n))
            for n in range(3):  # the end is told three times
                body = struct.pack("!BBH", event, 0x80 | 10, frames * FRAME)
                self._queue.append((self._events, False, body, frames + n))
            self._queue.extend([silence] * 3)
        self._all_keyed.clear()
        await self._all_keyed.wait()

    def datagram_received(self, data: bytes, source: Any) -> None:
        if len(data) <= 12 or data[0] >> 6 != 2:
            return
        kind, start = data[1] & 0x7F, 12 + 4 * (data[0] & 0x0F)
        if data[0] & 0x10:  # header extension
            start += 4 + 4 * struct.unpack_from("!H", data, start + 2)[0]
        if kind in LINEAR:
            self.heard.append(Frame(time.time(), kind, data[start:]))
        elif data[start + 1] & 0x80:
            self.digits_heard.append(data[start])
        self._came.set()

    def hears(self, hz: int, since: float = 0.0) -> list[Frame]:
        return [frame for frame in self.heard if frame.at >= since and frame.holds(hz)]

    def other_than(self, hz: int, since: float) -> list[Frame]:
        """What is audible and is not that tone."""
        return [frame for frame in self.heard if frame.at >= since and frame.audible() and not frame.holds(hz)]

    async def until_tone(self, hz: int, seconds: float = 0.2, since: float = 0.0) -> None:
        """Until that much of a tone was heard."""
        await self._until(lambda frame: frame.holds(hz), seconds, since)

    async def until_audible(self, since: float = 0.0) -> None:
        """Until anything was heard that is no silence."""
        await self._until(Frame.audible, FRAME_S, since)

    async def until_other_than(self, hz: int, seconds: float = 0.2, since: float = 0.0) -> None:
        """Until that much was heard of anything but a tone."""
        await self._until(lambda frame: frame.audible() and not frame.holds(hz), seconds, since)

    async def _until(self, fits: Any, seconds: float, since: float) -> None:
        looked_at, found = 0, 0.0
        while found < seconds - FRAME_S / 2:
            self._came.clear()
            for frame in self.heard[looked_at:]:
                looked_at += 1
                if frame.at >= since and fits(frame):
                    found += frame.seconds
            if found < seconds - FRAME_S / 2:
                assert not self.transport.is_closing(), f"the call ended after {found:.2f} s of what was waited for"
                await self._came.wait()
