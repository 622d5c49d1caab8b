"""`vnum disputes`: what merchants say is charged wrongly."""

import click
from rich.table import Table

from vnum.cli.session import command, console, engine
from vnum.finance import DisputeState
from vnum.service.disputes import PAGE


@click.command()
@click.option("--state", type=click.Choice([state.value for state in DisputeState]), default=DisputeState.OPEN.value)
@click.option("--merchant", "merchant_id", help="One merchant; without it, all.")
@click.option("--after", type=int, default=0, help="The last dispute of the page before.")
@command
async def disputes(state: str, merchant_id: str | None, after: int) -> None:
    """List disputes of calls, oldest first."""
    async with engine() as opened:
        found = await opened.disputes.page(merchant_id=merchant_id, state=DisputeState(state), after=after)
    table = Table(title=f"{len(found)} {state}")
    for column in ("dispute", "merchant", "call", "opened (UTC)", "by", "reason", "answer"):
        table.add_column(column, overflow="fold")
    for one in found:
        note = f" ({one.note_number})" if one.note_number else ""
        answer = "" if one.resolution is None else f"{one.resolution}{note}"
        opened_at = f"{one.opened_at:%F %T}"
        table.add_row(str(one.dispute_id), one.merchant_id, one.call_id, opened_at, one.author, one.reason, answer)
    console.print(table)
    if len(found) == PAGE:
        click.echo(f"there are more: --after {found[-1].dispute_id}")
