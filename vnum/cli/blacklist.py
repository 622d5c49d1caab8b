"""`vnum blacklist`: phones that may not ring, or not be rung."""

from uuid import UUID

import click
from rich.table import Table

from vnum.cli.options import asked, choice, phone_from_input
from vnum.cli.session import command, console, engine
from vnum.service.blacklist import PAGE, Direction, NewListing


@click.group()
def blacklist() -> None:
    """Phones that may not ring (caller), or not be rung (callee), for one merchant or for all."""


@blacklist.command("list")
@click.option("--merchant", "merchant_id", help="One merchant; without it, all.")
@click.option("--after", type=click.UUID, help="The last entry of the page before.")
@command
async def list_(merchant_id: str | None, after: UUID | None) -> None:
    """List entries. Of phones the last four digits."""
    async with engine() as opened:
        found = await opened.blacklist.page(merchant_id, after)
    table = Table(title=f"{len(found)} entries")
    table.add_column("entry", no_wrap=True)
    for column in ("direction", "phone", "merchant", "reason", "since (UTC)"):
        table.add_column(column, overflow="fold")
    for one in found:
        row = (one.direction, one.phone, one.merchant_id or "(all)", one.reason or "", f"{one.created_at:%F %T}")
        table.add_row(str(one.blacklist_id), *row)
    console.print(table)
    if len(found) == PAGE:
        click.echo(f"there are more: --after {found[-1].blacklist_id}")


@blacklist.command()
@choice("--direction", among=Direction, required=True, help="May not ring, or not be rung.")
@click.option("--merchant", "merchant_id", help="For one merchant; without it, for all.")
@click.option("--reason", help="Why; no phone.")
@command
async def add(direction: str, merchant_id: str | None, reason: str | None) -> None:
    """Add a phone, read from standard input; obeyed by the next route."""
    new = asked(NewListing, phone=phone_from_input(), direction=direction, merchant_id=merchant_id, reason=reason)
    async with engine() as opened:
        listing, is_new = await opened.blacklist.add(new)
    click.echo(f"{listing.blacklist_id}  {listing.direction} {listing.phone}{'' if is_new else ', there already'}")


@blacklist.command()
@click.argument("blacklist_id", type=click.UUID)
@command
async def remove(blacklist_id: UUID) -> None:
    """Take an entry off. BLACKLIST_ID is what `vnum blacklist list` begins with."""
    async with engine() as opened:
        await opened.blacklist.remove(blacklist_id)
    click.echo("removed")
