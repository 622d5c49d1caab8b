"""`vnum audit`: who did what, and whether what is written of it is whole."""

from collections.abc import Callable, Sequence
from datetime import datetime

import click
from rich.progress import Progress
from rich.table import Table

from vnum.cli.options import When
from vnum.cli.session import command, console, engine, judging_command
from vnum.service.audit import Verdict

MOST_NAMED = 3
HASH_DIGITS = 64


@click.group()
def audit() -> None:
    """Who did what, when and why; and whether what is written of it is whole."""


@audit.command()
@click.option(
    "--head", "heads", multiple=True, help="CELL:NUMBER:HASH that an earlier run printed: must still be there."
)
@judging_command
async def verify(heads: tuple[str, ...]) -> None:
    """Recompute the chain of every cell. Exit code 1 = an entry was changed, added or taken away.

    Whoever owns the database could cut the end off a chain, or write it anew: keep the printed heads elsewhere, and
    give them back by --head.
    """
    kept: dict[int, dict[int, str]] = {}
    for text in heads:
        cell, number, hashed = _head(text)
        kept.setdefault(cell, {})[number] = hashed
    async with engine() as opened:
        with Progress(console=console) as progress:
            verdicts = [
                await opened.audit.verify(cell, kept.get(cell, {}), _shown(progress, cell))
                for cell in range(opened.cells)
            ]
    for verdict in verdicts:
        console.print(_line(verdict), soft_wrap=True, highlight=False)
    if any(verdict.broken_at is not None for verdict in verdicts):
        raise SystemExit(1)


@audit.command("list")
@click.option("--from", "since", type=When(), required=True, help="The first instant, or a date in Asia/Shanghai.")
@click.option("--to", "until", type=When(), required=True, help="The first instant that is not shown.")
@click.option("--author", "by", help="A key id, operator:<account> or system.")
@click.option("--id", "subject", help="A binding or another id that it was done to.")
@click.option(
    "--cell", type=click.IntRange(0, 4095), default=0, show_default=True, help="That of the bindings; else 0."
)
@command
async def list_(since: datetime, until: datetime, by: str | None, subject: str | None, cell: int) -> None:
    """What was done, the newest first; 500 entries at most."""
    async with engine() as opened:
        found = await opened.audit.entries(cell, since, until, by=by, subject=subject)
    table = Table()
    for column in ("at", "number", "who", "did", "what", "why"):
        table.add_column(column)
    for entry in found:
        table.add_row(
            f"{entry.at:%F %T}",
            "" if entry.seq is None else str(entry.seq),
            _some(sorted(set(entry.by))),
            entry.did,
            _some(entry.ids),
            entry.why or "",
        )
    console.print(table)
    if not found:
        click.echo("nothing was done then")


def _head(text: str) -> tuple[int, int, str]:
    cell, _, rest = text.partition(":")
    number, _, hashed = rest.partition(":")
    if not (cell.isdecimal() and number.isdecimal() and len(hashed) == HASH_DIGITS):
        raise click.UsageError(f"--head {text}: write CELL:NUMBER:HASH, as `vnum audit verify` prints it")
    return int(cell), int(number), hashed


def _shown(progress: Progress, cell: int) -> Callable[[int, int], None]:
    task = progress.add_task(f"cell {cell}", total=None)
    return lambda done, of: progress.update(task, completed=done, total=of)


def _line(verdict: Verdict) -> str:
    state = "whole" if verdict.broken_at is None else f"BROKEN at entry {verdict.broken_at}"
    head = f"; head {verdict.cell}:{verdict.last}:{verdict.head}" if verdict.head else ""
    return f"cell {verdict.cell}: {verdict.entries:,} entries, {state}{head}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
