"""`vnum invoice`: close a month, export what was closed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import click
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from vnum.cli.session import command, console, engine, replacing
from vnum.finance import RENTAL_KINDS, Kind, OneInvoice, Period, plain, two_places
from vnum.service.invoices import Format
from vnum.service.notes import NoteFormat

DAYS = RENTAL_KINDS
TALK = frozenset({Kind.CALL, Kind.FREE_MINUTES})


@click.group()
def invoice() -> None:
    """Invoices."""


@invoice.command("close")
@click.option("--period", required=True, help="The month, as in 2026-10.")
@click.option("--merchant", "merchant_id", help="One merchant; without it, all.")
@command
async def close_(period: str, merchant_id: str | None) -> None:
    """Close a month: number the invoices of its merchants. Doing it again changes nothing."""
    Period.parse(period)  # before any server is started for it
    async with engine() as opened:
        with Progress(console=console) as progress:
            task = progress.add_task("merchants", total=None)
            report = await opened.invoices.close(
                period, merchant_id, lambda done, of: progress.update(task, completed=done, total=of)
            )
    click.echo(
        f"{report.period}: {report.invoices} invoices of {report.merchants} merchants, "
        f"{report.invoices_made} made now: {plain(report.total_exact)} CNY exact, {plain(report.amount_due)} CNY due"
    )


@invoice.command()
@click.option("--period", required=True, help="The month, as in 2026-11.")
@click.option("--merchant", "merchant_id", help="One merchant; without it, the first 1,000.")
@command
async def draft(period: str, merchant_id: str | None) -> None:
    """What the invoices of a month that is not closed would say now."""
    Period.parse(period)
    async with engine() as opened:
        with console.status("summing"):
            found = await opened.invoices.drafts(period, merchant_id=merchant_id)
    table = Table(title=f"{period}, not closed")
    for column in ("merchant", "rental days", "call units", "exact", "tax added", "carried in", "due if closed now"):
        table.add_column(column, justify="left" if column == "merchant" else "right", overflow="fold")
    for one in found:
        days, units = (sum(line.quantity for line in one.lines if line.kind in kinds) for kinds in (DAYS, TALK))
        money = (one.total_exact, one.tax_exact, one.carried_in)
        cells = (one.buyer.merchant_id, f"{days:,}", f"{units:,}", *map(plain, money), two_places(one.amount_due))
        table.add_row(*map(Text, cells))
    console.print(table)


@invoice.command()
@click.option("--period", help="All invoices of a month.")
@click.option("--number", help="One invoice.")
@click.option("--note", "note_number", help="One credit or debit note, as pdf or json.")
@click.option("--format", "form", type=click.Choice([form.value for form in Format]), default=Format.CSV.value)
@click.option("--bom", is_flag=True, help="Begin a CSV with a byte order mark, by which spreadsheets know it is UTF-8.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@command
async def export(
    period: str | None, number: str | None, note_number: str | None, form: str, bom: bool, out: Path
) -> None:
    """Write one invoice, all of a month, or one note to a file.

    csv and json have every charged day and call, xlsx a summary, the notes and the details, pdf a statement of account
    for each invoice, fapiao what the issuer of the tax invoices needs.
    """
    if sum(chosen is not None for chosen in (period, number, note_number)) != 1:
        raise click.UsageError("give either --period or --number, or --note")
    if note_number is not None and (form not in list(NoteFormat) or bom):
        raise click.UsageError("a note is written with --format pdf or --format json")
    async with engine() as opened:
        if note_number is not None:
            await _write(opened.notes.export(await opened.notes.get(note_number), NoteFormat(form)), out)
            click.echo(f"{out} written")
            return
        selection = OneInvoice(number=number) if number else await opened.invoices.of_period(period or "")
        with Progress(console=console) as progress:
            task = progress.add_task("invoices", total=None)

            def tell(done: int, of: int) -> None:
                progress.update(task, completed=done, total=of)

            await _write(opened.invoices.export(selection, Format(form), bom=bom, progress=tell), out)
    click.echo(f"{out} written")


async def _write(pieces: AsyncGenerator[bytes, None], out: Path) -> None:
    async with aclosing(pieces):
        with replacing(out) as file:
            async for piece in pieces:
                file.write(piece)
