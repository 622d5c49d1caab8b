"""Somebody who takes every call: the recipients' side of a switch where there is no carrier yet."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from vnum.voice.softphone.call import Call, Incoming, Manners
from vnum.voice.softphone.phone import Phone
from vnum.voice.softphone.sip import Address, user_in

ANSWERER_HZ: Final = 1000
"""His tone, by which a caller knows him."""

Tell = Callable[[str], None]


class Answerer(Phone):
    """Rings, answers or refuses as `manners` say, and tells each call in lines. Who called, and whom, is not told:
    only what the phone shows, which should be the virtual number. `press` = keys, `press_after_s` after the answer."""

    def __init__(self, at: Address, manners: Manners, tell: Tell, press: str = "", press_after_s: float = 0.0) -> None:
        super().__init__("answerer", ANSWERER_HZ, *at)
        self._manners = manners
        self._tell = tell
        self._press, self._press_after_s = press, press_after_s
        self._telling: set[asyncio.Task[None]] = set()
        self._count = 0

    def manners_of(self, number: str) -> Manners:
        return self._manners

    async def came(self, call: Incoming) -> None:
        self._count += 1
        task = asyncio.get_running_loop().create_task(self._told(call, self._count))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _told(self, call: Incoming, count: int) -> None:
        assert call.invite is not None
        self._tell(f"call {count}: it rings and shows {user_in(call.invite.get('from')) or 'no number'}")
        with suppress(AssertionError):  # it ended before
            await call.until("acknowledged")
            if call.answered:  # a refusal is acknowledged too
                self._tell(f"call {count}: answered")
        pressing = asyncio.create_task(self._key_in(call, count))
        while not call.ended:
            await call.changed.wait()
        pressing.cancel()
        self._tell(f"call {count}: {_end(call)}")
        del self.calls[call.call_id]

    async def _key_in(self, call: Incoming, count: int) -> None:
        if self._press and call.answered:
            await asyncio.sleep(self._press_after_s)
            await call.key(self._press)
            self._tell(f"call {count}: pressed {self._press}")


def _end(call: Call) -> str:
    if not call.answered:
        return "the caller gave up" if call.final == 487 else f"refused with {call.final}"
    heard = sum(frame.seconds for frame in call.sound.heard if frame.audible())
    who = "the other side" if call.bye_came else "this side"
    return f"{who} hung up after {call.talk_s:.1f} s, and it had heard something for {heard:.1f} s"
