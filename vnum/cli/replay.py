"""`vnum replay` and `vnum sample`: the main job on real input."""

import sys
from datetime import datetime
from pathlib import Path

import click

from vnum.cli.session import command, console, servers
from vnum.replay.run import read_input
from vnum.replay.run import replay as run_replay
from vnum.replay.sample import SEED, write_sample

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--parcels", type=_FILE, required=True, help="CSV: order_id, city, region_id, accepted_at.")
@click.option(
    "--calls", type=_FILE, required=True, help="CSV: call_id, called_at, outcome, wait_seconds, talk_seconds."
)
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The day of the first parcel.")
@click.option("--out", type=_FOLDER, required=True, help="Where summary.json and invoices/ go.")
@click.option("--keep", is_flag=True, help="Keep what was made, to look at it: `VNUM_SCHEMA=... vnum invoice list`.")
@click.option("--statements", is_flag=True, help="Write each month as a workbook and as printed statements as well.")
@command
async def replay(parcels: Path, calls: Path, start: datetime, out: Path, *, keep: bool, statements: bool) -> None:
    """Run parcels and calls through the engine in simulated time: bind, print, call, expire, bill, audit.

    Exit code 1 if the audit finds anything.
    """
    if not 1990 <= start.year <= 2100:
        raise click.UsageError("--start must lie in the years 1990 to 2100")
    given = read_input(parcels, calls)
    for row in given.rejected[:20]:
        click.echo(f"{row.file}:{row.line}: {row.reason}", err=True)
    if len(given.rejected) > 20:
        click.echo(f"and {len(given.rejected) - 20} more rows, all in {out / 'rejected.csv'}", err=True)
    async with servers() as (settings, endpoints):
        summary = await run_replay(
            given,
            start.date(),
            out,
            endpoints,
            settings.key_place,
            keep=keep,
            console=console,
            statements=statements,
        )
    if not summary.audit.clean:
        sys.exit(1)


@click.command()
@click.option("--out", type=_FOLDER, required=True, help="Where parcels.csv and calls.csv go.")
@click.option("--parcels", type=click.IntRange(1, 99_999), default=400, show_default=True, help="How many.")
@click.option("--calls", type=click.IntRange(0, 999_999), default=2_000, show_default=True, help="How many.")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Another seed, another sample.")
def sample(out: Path, parcels: int, calls: int, seed: int) -> None:
    """Write a sample for `vnum replay`: made up, seeded, with realistic hours."""
    for path in write_sample(out, parcels=parcels, calls=calls, seed=seed):
        click.echo(path)
