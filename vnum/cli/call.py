"""`vnum call`: a SIP phone for trying a trunk or a switch, and a picture of what happened."""

import socket

import click

from vnum.cli.addresses import SipAddress
from vnum.cli.session import command, console
from vnum.model.numbers import NumberError, VirtualNumber, parse_number
from vnum.voice.ladder import CALLER, SWITCH, ladder
from vnum.voice.softphone.answering import ANSWERER_HZ
from vnum.voice.softphone.call import Keys
from vnum.voice.softphone.phone import Phone
from vnum.voice.softphone.picture import keyed, said
from vnum.voice.softphone.scripted import Script, Told, Unanswered, ring_through
from vnum.voice.softphone.sip import Address
from vnum.voice.softphone.sound import Frame

TONE_HZ = 700
PARTIES = (CALLER, SWITCH)
NARROW = 72


class _Number(click.ParamType[VirtualNumber]):
    name = "number"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> VirtualNumber:
        try:
            return parse_number(value)
        except NumberError as trouble:
            self.fail(str(trouble), param, ctx)


@click.command()
@click.argument("number", type=_Number())
@click.option("--via", type=SipAddress(), default="127.0.0.1:5060", show_default=True, help="The switch.")
@click.option("--caller", default="anonymous", show_default=True, help="The number that it shows.")
@click.option("--talk", type=click.FloatRange(0, 600), default=5.0, show_default=True, help="Seconds after keying in.")
@click.option("--keys", type=click.Choice(list(Keys)), default=Keys.RFC4733, show_default=True, help="How it keys in.")
@click.option(
    "--patience",
    type=click.FloatRange(0.1, 600),
    default=30.0,
    show_default=True,
    help="Seconds that it waits for an answer, and for a voice.",
)
@command
async def call(number: VirtualNumber, via: Address, caller: str, talk: float, keys: Keys, patience: float) -> None:
    """Dial NUMBER as a label has it (18400913965-7576), key in its extension when a voice asks for it, talk (a tone
    of 700 Hz), hang up, and draw what happened. Exit code 1 if the call ended before.
    """
    script = Script(number=number, via=via, talk_s=talk, keys=keys, patience_s=patience)
    async with Phone(caller, TONE_HZ, _own_address(via)) as phone:
        told, trouble = await _told(phone, script)
    events = said(told.call, CALLER, SWITCH, number.host) + keyed(told, script, CALLER, SWITCH)
    console.print(f"X = {number.host}\n", highlight=False)
    console.print(ladder(events, PARTIES, x=number.host, width=NARROW), highlight=False, soft_wrap=True)
    if told.call.answered:
        console.print(f"\n{_heard(told)}", highlight=False, soft_wrap=True)
    if trouble:
        raise click.ClickException(trouble)


def _heard(told: Told) -> str:
    """A prompt, ringing and a person all are something; who is sure to be the recipient is `vnum answer`."""
    since = told.keyed_at or told.call.answered
    after = [frame for frame in told.call.sound.heard if frame.at > since and frame.audible()]
    person = [frame for frame in after if frame.holds(ANSWERER_HZ)]
    return (
        f"after {'keying in' if told.keyed_at else 'the answer'}, it heard something for {_seconds(after):.1f} s, "
        f"and of that the tone of `vnum answer` for {_seconds(person):.1f} s"
    )


def _seconds(frames: list[Frame]) -> float:
    return sum(frame.seconds for frame in frames)


async def _told(phone: Phone, script: Script) -> tuple[Told, str]:
    """How far the call came, and why not further."""
    try:
        return await ring_through(phone, script), ""
    except Unanswered as trouble:
        if all(message.sent for message in trouble.told.call.seen):
            host, port = script.via
            return trouble.told, f"nothing at all came from {host}:{port}; does the switch run, and listen there?"
        return trouble.told, str(trouble)


def _own_address(via: Address) -> str:
    """That of ours from which the way to the switch leads; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
        tried.connect(via)
        address: str = tried.getsockname()[0]
        return address
