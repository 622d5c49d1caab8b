"""`vnum retention`: what is kept until when, and forgetting it now."""

from datetime import datetime

import click
from rich.progress import Progress
from rich.table import Table

from vnum.cli.session import command, console, engine


@click.group()
def retention() -> None:
    """How long phones, callers and rows are kept."""


@retention.command()
@command
async def show() -> None:
    """Every month: until when what of it is kept at the latest, or since when it is gone."""
    async with engine() as opened:
        retained = await opened.retention.shown()
    keep = retained.keep
    console.print(
        f"kept: phones {keep.bindings_days} days after a binding's end, callers {keep.calls_days} days after the call, "
        f"audit entries {keep.logs_days} days, rows {keep.invoices_days} days",
        soft_wrap=True,
        highlight=False,
    )
    table = Table()
    for column in ("month (UTC)", "callers", "key", "phones and names", "rows"):
        table.add_column(column)
    for month in retained.months:
        table.add_row(
            month.month,
            _told(month.calls_emptied_at, month.calls_until),
            "there" if month.key_destroyed_at is None else f"destroyed {month.key_destroyed_at:%F}",
            _told(month.phones_emptied_at, month.phones_until),
            _told(month.rows_dropped_at, month.rows_until),
        )
    console.print(table)


@retention.command()
@command
async def run() -> None:
    """Delete what is due now. Servers do so by themselves once a day."""
    async with engine() as opened:
        with Progress(console=console) as progress:
            task = progress.add_task("months", total=None)
            done = await opened.retention.run(lambda n, all_: progress.update(task, completed=n, total=all_))
    for what, months in (
        ("callers of", done.calls_emptied),
        ("the keys of", done.keys_destroyed),
        ("phones and names of", done.phones_emptied),
        ("rows of", done.rows_dropped),
    ):
        if months:
            click.echo(f"deleted: {what} {', '.join(months)}")
    click.echo(
        f"deleted: {done.audit_entries} audit entries, {done.prints} prints, {done.order_events} events of orders, "
        f"{done.recipient_changes} changes of recipients, {done.attempts} refused calls"
    )


def _told(gone_at: datetime | None, until: datetime) -> str:
    return f"until {until:%F}" if gone_at is None else f"gone {gone_at:%F}"
