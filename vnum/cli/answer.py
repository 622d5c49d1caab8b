"""`vnum answer`: whoever a switch rings, answered by a SIP phone; for trying a switch without a carrier."""

import asyncio
import signal

import click

from vnum.cli.addresses import SipAddress
from vnum.cli.session import command, console
from vnum.settings import SettingsError
from vnum.voice.softphone.answering import Answerer
from vnum.voice.softphone.call import Manners
from vnum.voice.softphone.sip import Address

MOST_KEYS = 32
ANYWHERE = "0.0.0.0"  # noqa: S104 - refused, not bound


class _Keys(click.ParamType[str]):
    name = "keys"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if set(value) - set("0123456789*#") or len(value) > MOST_KEYS:
            self.fail(f"must be at most {MOST_KEYS} of 0 to 9, * and #", param, ctx)
        return value


@click.command()
@click.option("--listen", type=SipAddress(), default="127.0.0.1:5080", show_default=True, help="Where it is rung.")
@click.option("--ring", type=click.FloatRange(0, 600), default=1.0, show_default=True, help="Seconds that it rings.")
@click.option("--talk", type=click.FloatRange(0, 86400), help="Seconds after which it hangs up; without, never.")
@click.option("--press", type=_Keys(), default="", help="Keys that it presses in each call, as in 1.")
@click.option(
    "--press-after", type=click.FloatRange(0, 600), default=10.0, show_default=True, help="Seconds until then."
)
@click.option("--refuse", type=click.Choice(["486", "603"]), help="Be busy (486), or reject the call (603).")
@command
async def answer(
    listen: Address, ring: float, talk: float | None, press: str, press_after: float, refuse: str | None
) -> None:
    """Answer every call that comes in, whatever number it is for, with a tone of 1000 Hz. Stop it with Ctrl-C.

    It stands in the place of the carrier: VNUM_SWITCH_TRUNK of a switch is its address. Each call is told: the number
    that it shows, for how long it lasted, and for how long anything was heard.
    """
    if listen[0] == ANYWHERE:
        raise click.BadParameter("name one address of this machine: callers are told it", param_hint="--listen")
    manners = Manners(ring_s=ring, final=int(refuse or 200), talk_s=None if refuse else talk)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    phone = Answerer(listen, manners, _say, press, press_after)
    try:
        async with phone:
            _say(f"VNUM_SWITCH_TRUNK=sip:{listen[0]}:{listen[1]} leads here; Ctrl-C stops it")
            await stopped.wait()
    except OSError as trouble:
        raise SettingsError(
            f"--listen {listen[0]}:{listen[1]}: {trouble.strerror or trouble}; "
            "name an address of this machine and a free port"
        ) from trouble


def _say(words: str) -> None:
    console.print(words, highlight=False, soft_wrap=True)
