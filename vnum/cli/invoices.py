"""`vnum invoice`: look at the running month, close it, list and export what was closed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import click
from rich.console import JustifyMethod
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from vnum.cli.options import choice
from vnum.cli.session import command, console, engine, replacing
from vnum.finance import RENTAL_KINDS, ZONE, Draft, Invoice, Kind, OneInvoice, Period, plain, two_places
from vnum.service.invoices import PAGE, Format
from vnum.service.notes import NoteFormat


@click.group()
def invoice() -> None:
    """Invoices: the running month, closing it, its files, and putting a closed one right."""


@invoice.command("close")
@click.option("--period", required=True, help="The month, as in 2026-10.")
@click.option("--merchant", "merchant_id", help="One merchant; without it, all.")
@command
async def close_(period: str, merchant_id: str | None) -> None:
    """Close a month that is over: number the invoices of its merchants. Doing it again changes nothing."""
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
    """What the invoices of a month that is not closed would say now.

    calls = charged calls answered in the month, late = calls of months that are closed already. The lines stand in
    GET /v1/invoices/draft.
    """
    Period.parse(period)
    async with engine() as opened:
        with console.status("summing"):
            found = await opened.invoices.drafts(period, merchant_id=merchant_id)
    if found:
        console.print(_drafts(found))
    else:
        click.echo(f"{period}: nothing to be billed yet, or closed already (`vnum invoice list --period {period}`)")


def _drafts(found: list[Draft]) -> Table:
    table = Table(title=f"{found[0].period}, not closed, as of {found[0].as_of.astimezone(ZONE):%F %T} (Asia/Shanghai)")
    names = ("merchant", "rental days", "calls", "late", "exact", "tax added", "carried in", "due if closed now")
    for column in names:
        table.add_column(column, justify="left" if column == "merchant" else "right", overflow="fold")
    for one in found:
        days = sum(line.quantity for line in one.lines if line.kind in RENTAL_KINDS)
        calls = sum(line.count for line in one.lines if line.kind is Kind.CALL)
        counts = (f"{days:,}", f"{calls:,}", f"{len(one.late):,}")
        table.add_row(*map(Text, (one.buyer.merchant_id, *counts, *_money(one))))
    return table


@invoice.command("list")
@click.option("--period", help="A closed month, as in 2026-10; without it, all.")
@click.option("--merchant", "merchant_id", help="One merchant; without it, all.")
@click.option("--after", help="The number of the last invoice of the page before.")
@command
async def list_(period: str | None, merchant_id: str | None, after: str | None) -> None:
    """List closed invoices with their numbers, by month and merchant; of many 1,000 at a time."""
    async with engine() as opened:
        found = await opened.invoices.page(period=period, merchant_id=merchant_id, after=after)
    table = Table(title=f"{len(found)} closed invoices, CNY, without notes", box=None, padding=(0, 1, 0, 0))
    names = ("invoice", "period", "merchant", "exact", "tax added", "carried in", "due", "carried out")
    for column in names:
        justify: JustifyMethod = "left" if column in names[:3] else "right"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column == names[0])
    for one in found:
        cells = (one.number, str(one.period), one.buyer.merchant_id, *_money(one), plain(one.carried_out))
        table.add_row(*map(Text, cells))
    console.print(table)
    if len(found) == PAGE:
        click.echo(f"there are more: --after {found[-1].number}")


def _money(one: Draft | Invoice) -> tuple[str, ...]:
    return (*map(plain, (one.total_exact, one.tax_exact, one.carried_in)), two_places(one.amount_due))


@invoice.command()
@click.option("--period", help="All invoices of a closed month, as in 2026-10.")
@click.option("--number", help="One invoice, as VN-2026-000001 (`vnum invoice list`).")
@click.option("--note", "note_number", help="One credit or debit note, as pdf or json (`vnum invoice notes`).")
@choice("--format", "form", among=Format, default=Format.CSV.value, help="What for: see above.")
@click.option("--bom", is_flag=True, help="Begin a CSV with a byte order mark, by which spreadsheets know it is UTF-8.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write.")
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
