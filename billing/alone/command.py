"""`python -m billing`: usage files in, invoices and detail rows out."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Final, get_args

import click
from rich.console import Console

from billing.alone.job import Job
from billing.alone.reading import UsageUnusable
from billing.alone.writing import Format
from billing.details import By
from billing.errors import BillingRefusal
from billing.invoice import DEFAULT_ISSUER
from billing.periods import Period

SOME_REJECTED: Final = 3

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER: Final = click.Path(file_okay=False, path_type=Path)


class _Month(click.ParamType[Period]):
    name = "YYYY-MM"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Period:
        try:
            return Period.parse(str(value))
        except BillingRefusal as refusal:
            self.fail(refusal.message, param, ctx)


class _Instant(click.ParamType[datetime]):
    name = "INSTANT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no instant such as 2026-04-01T03:00:00+08:00", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value!r} has no offset; write +08:00 or Z behind it", param, ctx)
        return instant


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--usage", multiple=True, required=True, type=_FILE, help="A usage file; several may follow.")
@click.argument("more", nargs=-1, type=_FILE, metavar="[FILE]...")
@click.option("--out", type=_FOLDER, required=True, help="The folder for the results; made if missing.")
@click.option(
    "--tariffs", type=_FILE, help="JSON: tariffs, assignments, accounts. Without: 0.00018 a day, 0.02 a minute."
)
@click.option("--from", "first", type=_Month(), help="The first month; without it, the first with usage.")
@click.option("--until", "last", type=_Month(), help="The last month, included; without it, the last with usage.")
@click.option("--issuer", default=DEFAULT_ISSUER, show_default=True, help="Begins the invoices' numbers.")
@click.option("--first-serial", type=click.IntRange(1), default=1, show_default=True, help="Of the first invoice.")
@click.option("--closed-at", type=_Instant(), help="When the months are closed; without it, each at its own end.")
@click.option("--format", "form", type=click.Choice(get_args(Format)), default="json", help="Of the invoices' file.")
@click.option(
    "--by", type=click.Choice(get_args(By)), default="day", help="A detail row for each day, or each binding."
)
def main(
    usage: tuple[Path, ...],
    more: tuple[Path, ...],
    out: Path,
    tariffs: Path | None,
    first: Period | None,
    last: Period | None,
    issuer: str,
    first_serial: int,
    closed_at: datetime | None,
    form: Format,
    by: By,
) -> None:
    """Rate usage files and make invoices of them, month by month, without any server.

    \b
    A usage file is CSV with a header, or JSON lines (the first character is "{"):
      bindings  merchant_id, order_id, binding_id, bound_at, ended_at
      calls     merchant_id, order_id, binding_id, call_id, answered_at, released_at
    Both may stand in one file with a field `kind` (rental or call); without it a row's kind is told by its fields.
    Instants bear their offset: 2026-01-20T10:30:00+08:00. Empty answered_at: not answered, free.

    Written to the folder: invoices.json (or .csv), details-YYYY-MM.csv with the columns of an export, and rejected.csv
    with file, line and reason of each row that is not billed. A row that stands twice counts once.

    \b
    Exit codes: 0 all is billed; 1 nothing is, the message says why; 2 wrong options; 3 all but the rejected rows.
    """
    if first and last and last < first:
        raise click.UsageError(f"--from {first} is after --until {last}")
    job = Job(
        usage=(*usage, *more),
        out=out,
        tariffs=tariffs,
        first=first,
        last=last,
        issuer=issuer,
        first_serial=first_serial,
        closed_at=closed_at,
        form=form,
        by=by,
    )
    try:
        overview = job.run(Console(stderr=True))
    except (BillingRefusal, UsageUnusable) as trouble:
        raise click.ClickException(str(trouble)) from trouble
    except OSError as trouble:
        where = f"{trouble.filename}: " if trouble.filename else ""
        raise click.ClickException(f"{where}{trouble.strerror or trouble}") from trouble
    overview.show(out)
    if overview.rejected:
        sys.exit(SOME_REJECTED)
