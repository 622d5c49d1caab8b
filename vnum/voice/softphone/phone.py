"""SIP phones of the standard library: one that dials, and a trunk behind which everybody answers as told."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from vnum.voice.softphone.call import Call, Incoming, Manners, Outgoing
from vnum.voice.softphone.dialog import Dialog
from vnum.voice.softphone.sip import LOOPBACK, Address, Line, Message, token, user_in
from vnum.voice.softphone.sound import Sound


class Phone:
    """Somebody with a number, a SIP port and a tone; many calls at once, if need be."""

    line: Line

    def __init__(self, number: str, hz: int, host: str = LOOPBACK, port: int = 0) -> None:
        self._host, self._port = host, port
        self.number = number
        self.hz = hz
        self.calls: dict[str, Call] = {}
        self._ringing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Phone":
        self.line = await Line.open(self._taken, self._port, self._host)
        return self

    async def __aexit__(self, *_: object) -> None:
        for call in self.calls.values():
            call.hang_up()
            call.sound.stop()
            if isinstance(call, Incoming) and call.task is not None:
                call.task.cancel()
                with suppress(asyncio.CancelledError):
                    await call.task
        self.line.close()

    async def dial(self, uri: str, to: Address, codecs: tuple[str, ...] = ("PCMU", "PCMA"), **more: str) -> Outgoing:
        call_id = f"{token()}{token()}"
        call = Outgoing(self.line, self.number, call_id, sound=await Sound.open(self.hz, self._host), codecs=codecs)
        self.calls[call_id] = call
        call.dial(uri, to, **more)
        return call

    def _taken(self, message: Message, source: Address) -> None:
        if call := self.calls.get(message.call_id):
            call.taken(message, source)
        elif message.method == "INVITE" and message.status is None:
            task = asyncio.get_running_loop().create_task(self._rung(message, source))
            self._ringing.add(task)
            task.add_done_callback(self._ringing.discard)
        elif message.status is None and message.method != "ACK":
            stranger = Dialog(self.line, self.number, message.call_id)
            stranger.reply(message, 200 if message.method == "OPTIONS" else 481, source)

    async def _rung(self, invite: Message, source: Address) -> None:
        number = user_in(invite.uri)
        call = Incoming(self.line, number, invite.call_id, sound=await Sound.open(self.tone_of(number), self._host))
        call.manners = self.manners_of(number)
        self.calls[invite.call_id] = call
        call.ring(invite, source)
        await self.came(call)

    def tone_of(self, number: str) -> int:
        return self.hz

    def manners_of(self, number: str) -> Manners:
        return Manners()

    async def came(self, call: Incoming) -> None:
        """A call rings."""


class Trunk(Phone):
    """The carrier's side: one port for all callees, each with a tone and manners of its own."""

    def __init__(self) -> None:
        super().__init__("trunk", 0)
        self.callees: dict[str, tuple[int, Manners]] = {}
        self.rung: dict[str, list[Incoming]] = {}
        self._news = asyncio.Condition()

    def expect(self, number: str, hz: int, manners: Manners) -> None:
        self.callees[number] = hz, manners

    def tone_of(self, number: str) -> int:
        return self.callees[_national(number)][0]

    def manners_of(self, number: str) -> Manners:
        return self.callees[_national(number)][1]

    async def came(self, call: Incoming) -> None:
        async with self._news:
            self.rung.setdefault(_national(call.number), []).append(call)
            self._news.notify_all()

    async def call_to(self, number: str, nth: int = 0) -> Incoming:
        """The nth call that rings there; waits for it."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.rung.get(number, ())) > nth)
        return self.rung[number][nth]

    def all_calls(self) -> Iterator[Incoming]:
        for calls in self.rung.values():
            yield from calls


def _national(number: str) -> str:
    return number.removeprefix("+").removeprefix("86")
