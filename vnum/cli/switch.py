"""`vnum switch`: the embedded switch, a process of its own that knows vnum over HTTP only."""

import faulthandler
import os
import sys

import click

from vnum.cli.logs import set_up_logs
from vnum.cli.session import command, console
from vnum.settings import read
from vnum.voice.settings import read_switch
from vnum.voice.spool import SpoolTrouble


@click.command()
@command
async def switch() -> None:
    """Answer calls on VNUM_SWITCH_LISTEN and connect them through VNUM_SWITCH_TRUNK. Stop it with Ctrl-C.

    It asks the API at VNUM_SWITCH_API with the key in VNUM_SWITCH_KEY_FILE. All settings: docs/voice.md.
    """
    from vnum.voice.switch import run_switch  # the SIP stack is loaded by the one command that uses it

    settings = read_switch()
    keep_own_words()
    set_up_logs(read().log_level)

    def announce() -> None:
        console.print(f"SIP      udp {settings.listen}  ->  {settings.trunk}", highlight=False, soft_wrap=True)
        console.print(f"calls    {settings.places} at once", highlight=False)
        console.print(f"API      {settings.api}", highlight=False, soft_wrap=True)
        console.print(f"metrics  http://{settings.metrics}/metrics", highlight=False, soft_wrap=True)
        console.print("ready; Ctrl-C stops it", highlight=False)

    try:
        if not await run_switch(settings, announce):
            raise click.ClickException("the SIP stack ended by itself; see the log above, and start the switch again")
    except SpoolTrouble as trouble:
        raise click.ClickException(str(trouble)) from trouble


def keep_own_words() -> None:
    """From now on the process' standard output and error are Python's alone. The SIP library writes there, unmasked,
    what it can not read of what others send; that goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for name, number in (("stdout", 1), ("stderr", 2)):
        getattr(sys, name).flush()
        setattr(sys, name, os.fdopen(os.dup(number), "w", buffering=1))
        os.dup2(nowhere, number)
    os.close(nowhere)
    faulthandler.enable(sys.stderr)
