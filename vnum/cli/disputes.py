"""`vnum disputes`: what merchants say is charged wrongly, and the answer to it."""

import click
from rich.table import Table

from vnum.cli.options import author_option, choice
from vnum.cli.session import command, console, engine
from vnum.finance import DisputeState
from vnum.service.disputes import PAGE


@click.group(invoke_without_command=True)
@choice(
    "--state",
    among=DisputeState,
    default=DisputeState.OPEN.value,
    help="open = waits for an answer; the others: how it was answered.",
)
@click.option("--merchant", "merchant_id", help="One merchant; without it, all.")
@click.option("--after", type=int, default=0, help="The last dispute of the page before.")
@click.pass_context
def disputes(context: click.Context, state: str, merchant_id: str | None, after: int) -> None:
    """List disputes of calls, oldest first; `by` is a person, or the id of the key that was used."""
    if context.invoked_subcommand is None:
        _list(state, merchant_id, after)


@disputes.command()
@click.argument("dispute_id", type=int)
@click.option("--upheld", "outcome", flag_value=DisputeState.UPHELD.value, help="The merchant is right.")
@click.option("--rejected", "outcome", flag_value=DisputeState.REJECTED.value, help="The charge stands.")
@click.option("--reason", required=True, help="Why; the merchant reads it.")
@click.option("--note", "note_number", help="The credit note that gives the money back, as VN-NOTE-2026-000001.")
@author_option("stays with the dispute")
@command
async def resolve(dispute_id: int, outcome: str | None, reason: str, note_number: str | None, author: str) -> None:
    """Answer a dispute, once. No money moves by it: issue the credit note first (`vnum invoice note`)."""
    if outcome is None:
        raise click.UsageError("give one of --upheld and --rejected")
    async with engine() as opened:
        done = await opened.disputes.resolve(
            dispute_id, DisputeState(outcome), reason, author=author, note_number=note_number
        )
    click.echo(f"dispute {done.dispute_id} of call {done.call_id} {done.state}")


@command
async def _list(state: str, merchant_id: str | None, after: int) -> None:
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
