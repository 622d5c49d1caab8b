"""`vnum pool`: look at the pool, or rebuild it."""

from collections.abc import Sequence

import click
from rich.progress import Progress
from rich.table import Table

from vnum.cli.session import command, console, engine
from vnum.service.occupancy import CityUse, HostUse


@click.group(invoke_without_command=True)
@click.pass_context
def pool(context: click.Context) -> None:
    """Free, bound and quarantined slots per host and city."""
    if context.invoked_subcommand is None:
        _show()


@command
async def _show() -> None:
    async with engine() as opened:
        use = await opened.occupancy.use()
    console.print(_table("cities", use.cities), _table("hosts", use.hosts), sep="\n")
    console.print(f"Redis: {use.redis}")


@pool.command()
@command
async def rebuild() -> None:
    """Load every host into Redis as PostgreSQL has it; binding goes on meanwhile."""
    async with engine() as opened:
        with Progress(console=console) as progress:
            task = progress.add_task("hosts", total=None)
            count = await opened.care.rebuild(lambda done, of: progress.update(task, completed=done, total=of))
    click.echo(f"{count} hosts loaded")


def _table(title: str, uses: Sequence[HostUse] | Sequence[CityUse]) -> Table:
    """One row a host or city; hosts have a number and a state besides."""
    table = Table(title=title)
    hosts = any(isinstance(use, HostUse) for use in uses)
    for column in ("host", "state", "city") if hosts else ("city",):
        table.add_column(column, no_wrap=column == "host")
    for column in ("free", "bound", "quarantined", "capacity", "days left"):
        table.add_column(column, justify="right")
    for use in uses:
        named = (use.host, use.state, use.city or "") if isinstance(use, HostUse) else (use.city or "",)
        numbers = (use.free, use.bound, use.quarantined, use.capacity)
        days = "" if use.days_left is None else f"{use.days_left:,}"
        table.add_row(*named, *(f"{number:,}" for number in numbers), days)
    return table
