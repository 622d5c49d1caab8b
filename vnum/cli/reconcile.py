"""`vnum reconcile`: a carrier's call file against our calls."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table

from vnum.cli.call_files import call_file, file_options, pieces
from vnum.cli.options import When
from vnum.cli.session import console, engine, judging_command, replacing
from vnum.finance import plain
from vnum.service.differences import Report, csv_pieces
from vnum.service.reconcile import Reconciliation, Terms

DIFFERENT = 1


@click.command()
@file_options
@click.option("--period", help="The month, as in 2026-10; without it, what the file reaches over.")
@click.option("--from", "from_at", type=When(), help="A date, or an instant as in 2026-10-05T08:00:00+08:00.")
@click.option("--to", "to_at", type=When(), help="The first date or instant that is not compared.")
@click.option(
    "--tolerance-s", type=click.IntRange(0, 3_600), default=0, show_default=True, help="Seconds that may differ."
)
@click.option("--carrier", help="Whose hosts the file is about; without it, the carriers of the hosts in the file.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Every difference, as CSV.")
@judging_command
async def reconcile(
    file: Path,
    form: str | None,
    zone: str | None,
    encoding: str,
    period: str | None,
    from_at: datetime | None,
    to_at: datetime | None,
    tolerance_s: int,
    carrier: str | None,
    out: Path | None,
) -> None:
    """Compare a carrier's call file with the calls that were charged here; nothing is changed.

    Exit code 0 if all calls agree, 1 if there are differences, 2 if the file or an option will not do.
    """
    terms = Terms.of(
        period=period,
        from_at=from_at,
        to_at=to_at,
        tolerance_s=tolerance_s,
        carrier=carrier,
    )
    calls = call_file(form, zone, encoding)
    _check_other(out, file)
    async with engine() as opened, opened.reconciler.run(calls, pieces(file), terms) as found:
        if out is not None:
            await _write(found, out)
        report = found.report
    console.print(_counts(report, file.name), _totals(report), sep="\n")
    if out is not None:
        click.echo(f"{out} written")
    if not report.agrees:
        sys.exit(DIFFERENT)


def _check_other(out: Path | None, file: Path) -> None:
    """Raises BadParameter."""
    if out is not None and out.exists() and out.samefile(file):
        raise click.BadParameter("that is FILE itself", param_hint="--out")


async def _write(found: Reconciliation, out: Path) -> None:
    with replacing(out) as file, console.status("writing the differences"):
        async for piece in csv_pieces(found.differences()):
            file.write(piece)


def _counts(report: Report, name: str) -> Table:
    table = Table(title=f"{name}: {report.rows:,} rows ({report.form})", show_header=False)
    table.add_row("from (inclusive)", f"{report.from_at.astimezone(UTC):%F %T} UTC")
    table.add_row("to (exclusive)", f"{report.to_at.astimezone(UTC):%F %T} UTC")
    table.add_section()
    table.add_row("matched", f"{report.matched:,}", style="green")
    for kind, calls in report.counts.items():
        table.add_row(kind, f"{calls:,}", style="red" if calls else None)
    table.add_section()
    table.add_row("rows outside of the window", f"{report.outside:,}")
    table.add_row("callers not compared", f"{report.callers_not_compared:,}")
    return table


def _totals(report: Report) -> Table:
    ours, theirs = report.ours, report.theirs
    fee = "not stated" if theirs.fee is None else plain(theirs.fee)
    table = Table(title="Both sides")
    for column in ("", "ours", "the carrier's"):
        table.add_column(column, justify="right" if column else "left")
    for name, one, other in (
        ("calls", ours.calls, theirs.calls),
        ("answered", ours.answered, theirs.answered),
        ("seconds", ours.seconds, theirs.seconds),
        ("started minutes", ours.minutes, theirs.minutes),
    ):
        table.add_row(name, f"{one:,}", f"{other:,}", style=None if one == other else "red")
    table.add_section()
    table.add_row("CNY at our rates", plain(ours.charged), plain(theirs.at_our_rates))
    table.add_row(f"CNY, the carrier's own fee ({theirs.fees:,} calls)", "", fee)
    return table
