"""`vnum subject`: one person's rights. The phone comes in by standard input: arguments can be read by others."""

import click
import msgspec

from vnum.cli.options import phone_from_input
from vnum.cli.session import command, engine


@click.group()
def subject() -> None:
    """What is held about a phone, and its erasure. The phone is read from standard input."""


@subject.command()
@command
async def export() -> None:
    """Print what is held, a JSON object a line; no number in it."""
    phone = phone_from_input()
    async with engine() as opened:
        place: str | None = None
        while True:
            page = await opened.subjects.export(phone, place)
            for held in page.held:
                click.echo(msgspec.json.encode(held).decode())
            place = page.next
            if place is None:
                return


@subject.command()
@click.option("--reason", required=True, help="Stays in the audit; no phone.")
@command
async def erase(reason: str) -> None:
    """Erase phone, names and calls, and end live bindings. Days, calls and money stay, without the person."""
    phone = phone_from_input()
    async with engine() as opened:
        await opened.subjects.erase(phone, reason)
    click.echo("erased")
