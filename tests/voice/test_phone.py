"""The phones themselves, one against the other: what the call suite rests on must be able to fail."""

import asyncio
import random

import pytest

from vnum.voice.softphone.call import Incoming, Keys, Manners
from vnum.voice.softphone.phone import Phone
from vnum.voice.softphone.sip import Message
from vnum.voice.softphone.sound import FRAME, LINEAR, PCMA, PCMU, Frame, spoken, tone

WAIT_S = 60


class Answerer(Phone):
    """Answers as it is told."""

    def __init__(self, manners: Manners) -> None:
        super().__init__("13900000001", tone(1))
        self.manners = manners
        self.rung: asyncio.Future[Incoming] = asyncio.get_running_loop().create_future()

    def manners_of(self, number: str) -> Manners:
        return self.manners

    async def came(self, call: Incoming) -> None:
        self.rung.set_result(call)

    @property
    def uri(self) -> str:
        host, port = self.line.address
        return f"sip:{self.number}@{host}:{port}"


@pytest.mark.parametrize(
    ("codecs", "theirs", "spoken_with"),
    [
        (("PCMU",), ("PCMU", "PCMA"), PCMU),
        (("PCMA",), ("PCMU", "PCMA"), PCMA),
        (("PCMA", "PCMU"), ("PCMU", "PCMA"), PCMA),
        (("PCMA", "PCMU"), ("PCMU",), PCMU),
    ],
)
async def test_two_phones_hear_each_other_and_measure_alike(
    codecs: tuple[str, ...], theirs: tuple[str, ...], spoken_with: int
) -> None:
    async with (
        asyncio.timeout(WAIT_S),
        Phone("13800000000", tone(0)) as caller,
        Answerer(Manners(codecs=theirs)) as callee,
    ):
        out = await caller.dial(callee.uri, callee.line.address, codecs)
        incoming = await callee.rung
        await incoming.sound.until_tone(tone(0), 0.5)
        await out.sound.until_tone(tone(1), 0.5)
        assert not out.sound.hears(tone(0)), "it hears itself"
        assert not out.sound.hears(tone(2)), "it hears what nobody says"
        out.hang_up()
        await out.until("ended")
        await incoming.until("ended")
    assert {frame.codec for frame in [*incoming.sound.heard, *out.sound.heard]} == {spoken_with}
    assert incoming.answered <= incoming.acknowledged <= incoming.bye_came
    assert incoming.talk_s > 0.4
    assert out.bye_sent <= incoming.bye_came <= out.ended
    assert user_of(incoming.seen, "from") == {"13800000000"}


def user_of(seen: list[Message], header: str) -> set[str]:
    return {
        value.split("sip:")[1].split("@")[0] for message in seen for value in message.all(header) if "sip:" in value
    }


@pytest.mark.parametrize("way", list(Keys))
async def test_digits_arrive(way: Keys) -> None:
    async with asyncio.timeout(WAIT_S), Phone("13800000000", tone(0)) as caller, Answerer(Manners()) as callee:
        out = await caller.dial(callee.uri, callee.line.address)
        await out.until("answered")
        await out.sound.until_tone(tone(1))
        await out.key("70#", way)
        incoming = await callee.rung
        out.hang_up()
        await incoming.until("ended")
    if way is Keys.RFC4733:
        assert incoming.sound.digits_heard == [event for digit in (7, 0, 11) for event in [digit] * 3]
    else:
        bodies = [message.body for message in incoming.seen if message.first.startswith("INFO")]
        assert bodies == [f"Signal={digit}\r\nDuration=160\r\n" for digit in "70#"]


@pytest.mark.parametrize("final", [486, 603])
async def test_a_refusal_ends_the_call(final: int) -> None:
    async with asyncio.timeout(WAIT_S), Phone("1", tone(0)) as caller, Answerer(Manners(final=final)) as callee:
        out = await caller.dial(callee.uri, callee.line.address)
        await out.until("ended")
        assert (out.final, out.answered, out.talk_s) == (final, 0.0, 0.0)
        assert out.rang


async def test_a_caller_gives_up_while_it_rings() -> None:
    async with asyncio.timeout(WAIT_S), Phone("1", tone(0)) as caller, Answerer(Manners(final=None)) as callee:
        out = await caller.dial(callee.uri, callee.line.address)
        await out.until("rang")
        out.cancel()
        await out.until("ended")
        incoming = await callee.rung
        await incoming.until("ended")
        assert (out.final, incoming.final) == (487, 487)


async def test_the_callee_hangs_up() -> None:
    async with asyncio.timeout(WAIT_S), Phone("1", tone(0)) as caller, Answerer(Manners(talk_s=0.3)) as callee:
        out = await caller.dial(callee.uri, callee.line.address)
        await out.until("ended")
        incoming = await callee.rung
        await incoming.until("ended")
        assert out.bye_came >= incoming.bye_sent >= incoming.answered + 0.3


async def test_a_callee_that_moves_its_sound_is_heard_on() -> None:
    """A re-INVITE in either direction is obeyed."""
    async with asyncio.timeout(WAIT_S), Phone("1", tone(0)) as caller, Answerer(Manners()) as callee:
        out = await caller.dial(callee.uri, callee.line.address)
        incoming = await callee.rung
        await incoming.until("acknowledged")
        request = incoming.send("INVITE", incoming.offer)
        answered = asyncio.Event()
        incoming.heard_of_invite = lambda answer, status: answered.set()  # type: ignore[method-assign]
        await answered.wait()
        assert request.method == "INVITE"
        await incoming.sound.until_tone(tone(0), since=request.at)
        out.hang_up()
        await incoming.until("ended")


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_a_tone_is_known_in_any_turn_and_no_other(codec: int) -> None:
    for n in range(0, 48, 5):
        frame = spoken(tone(n), codec)
        turned = Frame(0, codec, frame[37:] + frame[:37])
        assert turned.holds(tone(n))
        assert not any(turned.holds(tone(other)) for other in range(48) if other != n)


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_noise_and_silence_are_no_tone(codec: int) -> None:
    dice = random.Random(7)
    noise = Frame(0, codec, dice.randbytes(FRAME))
    silence = Frame(0, codec, spoken(0, codec))
    assert noise.audible()
    assert not silence.audible()
    assert not any(frame.holds(tone(n)) for frame in (noise, silence) for n in range(48))


def test_codecs_are_those_of_g711() -> None:
    """Levels out of the tables of ITU-T G.711."""
    assert [LINEAR[PCMU][code] for code in (0x00, 0x80, 0xFF, 0x7F, 0x8F)] == [-32124, 32124, 0, 0, 16764]
    assert [LINEAR[PCMA][code] for code in (0xD5, 0x55, 0xAA, 0x2A)] == [8, -8, 32256, -32256]
