"""`vnum demo`: one real call on this machine."""

import sys
from pathlib import Path

import click

from vnum.cli.session import command, console, servers
from vnum.demo.call import CallTrouble, make_call
from vnum.demo.processes import SwitchTrouble
from vnum.demo.show import show
from vnum.voice.softphone.scripted import Unanswered


@click.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where the picture of the call goes."
)
@command
async def demo(out: Path) -> None:
    """Make one real call on this machine: from the number on a label to its line on the invoice.

    API, switch and two SIP phones run on loopback for some seconds. Exit code 1 if anything is not as it should be.
    """
    try:
        async with servers(level="error") as (settings, endpoints):
            shown = await make_call(
                endpoints, settings.key_place, lambda said: console.print(f"- {said}", highlight=False, soft_wrap=True)
            )
    except (Unanswered, SwitchTrouble, CallTrouble) as trouble:
        raise click.ClickException(str(trouble)) from trouble
    if not show(console, shown, out):
        sys.exit(1)
