"""`vnum clock`: the operator's word on a leap of the server's clock."""

import getpass

import click

from vnum.cli.session import command, engine
from vnum.store.clock import accept_leap


@click.group()
def clock() -> None:
    """PostgreSQL's clock, the only one that counts."""


@clock.command()
@command
async def accept() -> None:
    """Accept that the clock is right after it leapt ahead; binds go on."""
    async with engine() as opened:
        instant = await accept_leap(opened.database, getpass.getuser())
        click.echo(f"accepted: it is {instant:%FT%TZ}")
