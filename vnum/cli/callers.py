"""`vnum callers`: phones that somebody answers for."""

from uuid import UUID

import click
from rich.table import Table

from vnum.cli.options import asked, phone_from_input
from vnum.cli.session import command, console, engine
from vnum.service.callers import PAGE, NewCaller


@click.group()
def callers() -> None:
    """Registered callers: agents and robots of merchants, couriers of carriers."""


@callers.command("list")
@click.option("--merchant", "merchant_id", help="One merchant; without it, all.")
@click.option("--after", type=click.UUID, help="The last caller of the page before.")
@command
async def list_(merchant_id: str | None, after: UUID | None) -> None:
    """List callers, with the complaints about each within 30 days. Of phones the last four digits."""
    async with engine() as opened:
        found = await opened.callers.page(merchant_id, after)
    table = Table(title=f"{len(found)} callers")
    table.add_column("caller", no_wrap=True)
    for column in ("class", "verified", "phone", "merchant", "carrier", "group", "complaints"):
        table.add_column(column, overflow="fold")
    for one in found:
        whose = (one.merchant_id or "", one.carrier or "", one.group or "")
        verified = "yes" if one.verified else "no"
        table.add_row(str(one.caller_id), one.caller_class, verified, one.phone, *whose, str(one.complaints))
    console.print(table)
    if len(found) == PAGE:
        click.echo(f"there are more: --after {found[-1].caller_id}")


@callers.command()
@click.option(
    "--class",
    "caller_class",
    type=click.Choice(["merchant_agent", "courier", "robot"]),
    required=True,
    help="What he is: agents and robots are a merchant's, couriers a carrier's.",
)
@click.option("--merchant", "merchant_id", help="Whose agent or robot.")
@click.option("--carrier", help="Whose courier.")
@click.option("--group", help="A name by which a policy or a binding picks callers of the merchant out.")
@click.option("--verified", is_flag=True, help="Only who is verified has anything of it.")
@command
async def register(
    caller_class: str, merchant_id: str | None, carrier: str | None, group: str | None, *, verified: bool
) -> None:
    """Register a phone, read from standard input; again, to change its group or whether it is verified."""
    given = {"phone": phone_from_input(), "class": caller_class, "verified": verified}
    new = asked(NewCaller, **given, merchant_id=merchant_id, carrier=carrier, group=group)
    async with engine() as opened:
        made = await opened.callers.register(new)
    click.echo(f"{made.caller_id}  {made.caller_class} {made.phone}")


@callers.command()
@click.argument("caller_id", type=click.UUID)
@command
async def remove(caller_id: UUID) -> None:
    """Forget a caller and its phone. CALLER_ID is what `vnum callers list` begins with."""
    async with engine() as opened:
        await opened.callers.remove(caller_id)
    click.echo("removed")
