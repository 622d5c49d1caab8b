"""`vnum opt-out`: a recipient's no, and taking it back."""

import click

from vnum.cli.options import asked, choice, phone_from_input
from vnum.cli.session import command, engine
from vnum.service.opt_outs import OptIn, OptOut, Scope, Withdrawn


@click.group("opt-out")
def opt_out() -> None:
    """A recipient's no to calls and texts. The phone is read from standard input."""


@opt_out.command()
@choice(
    "--scope",
    among=Scope,
    default=Scope.MERCHANT.value,
    help="merchant = calls of the merchant's agents; everything = all calls, and new numbers.",
)
@click.option("--merchant", "merchant_id", help="To one merchant; without it, to all.")
@command
async def say(scope: str, merchant_id: str | None) -> None:
    """He wants no calls of the merchant's agents, or (everything) no calls and no numbers; from the next route on."""
    no = asked(OptOut, phone=phone_from_input(), scope=scope, merchant_id=merchant_id)
    async with engine() as opened:
        since = await opened.opt_outs.say(no)
    click.echo(f"opted out ({scope}) since {since:%F %T} UTC")


@opt_out.command()
@choice(
    "--scope",
    among=Withdrawn,
    default=Withdrawn.MERCHANT.value,
    help="As it was said; caller = the blocks of his complaints.",
)
@click.option("--merchant", "merchant_id", help="Of one merchant; without it, of all.")
@command
async def withdraw(scope: str, merchant_id: str | None) -> None:
    """He takes it back; scope caller lifts the blocks of all his complaints."""
    back = asked(OptIn, phone=phone_from_input(), scope=scope, merchant_id=merchant_id)
    async with engine() as opened:
        withdrawn = await opened.opt_outs.withdraw(back)
    click.echo(f"{withdrawn} withdrawn")
