"""A call by script: dial, wait for the voice, key in the extension over it, talk, hang up."""

import asyncio
from collections.abc import Awaitable

import msgspec

from vnum.model.numbers import VirtualNumber
from vnum.voice.softphone.call import Call, Keys, Outgoing
from vnum.voice.softphone.phone import Phone
from vnum.voice.softphone.sip import Address

LISTEN_S = 1.5
"""So long the voice may speak before it is keyed over."""

SHORT_S = 0.5
"""Of a tone, to be sure of it."""


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller does. `hears` = the tone of whom he wants, in Hz; None = he can not know, and talks at once.
    `talk_s` is counted from when he hears him; `patience_s` is for each thing that he waits for."""

    number: VirtualNumber
    via: Address
    keys: Keys = Keys.RFC4733
    hears: int | None = None
    talk_s: float = 3.0
    patience_s: float = 30.0


class Told(msgspec.Struct, kw_only=True):
    """How far a call came. Instants in seconds since 1970; 0 = it did not happen."""

    call: Outgoing
    voice_at: float = 0.0
    keyed_at: float = 0.0
    heard_at: float = 0.0


class Unanswered(Exception):
    """The call ended, or came to nothing, before the script did; it says where."""

    def __init__(self, said: str, told: Told) -> None:
        super().__init__(said)
        self.told = told


async def ring_through(phone: Phone, script: Script) -> Told:
    """Hung up when it returns, whatever happened. Raises Unanswered."""
    number, (host, port) = script.number, script.via
    call = await phone.dial(f"sip:{number.host}@{host}:{port}", script.via)
    told = Told(call=call)
    try:
        await _through(told, script)
        return told
    finally:
        if call.acknowledged:
            call.hang_up()
        elif not call.ended:
            call.cancel()


async def _through(told: Told, script: Script) -> None:
    call, patience_s, extension = told.call, script.patience_s, script.number.extension
    await _unless_ended(told, _answered(call), patience_s, "before it was answered")
    if extension is not None:
        await _unless_ended(told, call.sound.until_audible(), patience_s, "before a voice was heard")
        told.voice_at = next(frame.at for frame in call.sound.heard if frame.audible())
        await _unless_ended(told, asyncio.sleep(LISTEN_S), patience_s, "while the voice spoke")
        told.keyed_at = call.sound.heard[-1].at
        await _unless_ended(told, call.key(extension, script.keys), patience_s, "while the extension was keyed in")
    if script.hears is not None:
        heard = call.sound.until_tone(script.hears, SHORT_S)
        await _unless_ended(told, heard, patience_s, "before the other was heard")
        told.heard_at = call.sound.hears(script.hears)[0].at
    await _unless_ended(told, asyncio.sleep(script.talk_s), script.talk_s + patience_s, "while it talked")
    call.hang_up()
    await _unless_ended(told, call.until("ended"), patience_s, "before its end was acknowledged")


async def _answered(call: Call) -> None:
    while not call.answered:
        await call.changed.wait()


async def _ended(call: Call) -> None:
    while not call.ended:
        await call.changed.wait()


async def _unless_ended(told: Told, wanted: Awaitable[None], patience_s: float, stage: str) -> None:
    """Raises Unanswered when the call ends first, or nothing comes in time."""
    call = told.call
    hoped, feared = asyncio.ensure_future(wanted), asyncio.ensure_future(_ended(call))
    try:
        await asyncio.wait({hoped, feared}, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        if hoped.done():
            hoped.result()
        elif feared.done():
            raise Unanswered(f"the call ended {stage}" + (f": {call.final}" if call.final >= 300 else ""), told)
        else:
            raise Unanswered(f"nothing came in {patience_s:g} s, {stage}", told)
    finally:
        hoped.cancel()
        feared.cancel()
