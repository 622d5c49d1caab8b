"""`vnum invoice note`, `notes`, `rerate`: put closed invoices right."""

from datetime import date
from decimal import Decimal, InvalidOperation
from uuid import UUID

import click
from rich.progress import Progress
from rich.table import Table

from vnum.cli.session import command, console, engine
from vnum.finance import Item, Note, NoteLine, Period, Rerated, plain, two_places
from vnum.service.notes import NewNoteLine, NewRerating

ITEMS = {"rental": Item.RENTAL, "call": Item.CALL}
MOST_PRINTED = 50


class Money(click.ParamType[Decimal]):
    """A plain decimal amount in CNY."""

    name = "amount"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            return Decimal(value)
        except InvalidOperation:
            self.fail(f"{value!r} is no amount; write -0.02", param, ctx)


class Rental(click.ParamType[tuple[UUID, date | None]]):
    """A binding's id, or ID@2026-10-05 for one day of it."""

    name = "binding"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[UUID, date | None]:
        name, _, day = value.partition("@")
        try:
            return UUID(name), date.fromisoformat(day) if day else None
        except ValueError:
            self.fail(f"{value!r} is no binding; write ID, or ID@2026-10-05 for one day of it", param, ctx)


@click.command()
@click.argument("number")
@click.option("--reason", required=True, help="Why; it stands on the note.")
@click.option("--author", required=True, help="Who; it stands on the note.")
@click.option("--call", "calls", multiple=True, help="Take back what was charged for this call id. May stand often.")
@click.option("--binding", "bindings", type=Rental(), multiple=True, help="The same for a binding, or ID@DATE, a day.")
@click.option("--amount", type=Money(), help="Below 0 in the merchant's favour. Of one call or binding: a part of it.")
@click.option("--item", type=click.Choice(list(ITEMS)), help="With --amount and --text: a free line.")
@click.option("--text", help="What the free line says.")
@command
async def note(
    number: str,
    reason: str,
    author: str,
    calls: tuple[str, ...],
    bindings: tuple[tuple[UUID, date | None], ...],
    amount: Decimal | None,
    item: str | None,
    text: str | None,
) -> None:
    """Issue a credit or debit note on the closed invoice NUMBER, as VN-2026-000001."""
    if (item is None) != (text is None) or (item is not None and amount is None):
        raise click.UsageError("a free line takes --amount, --item and --text")
    free = amount is not None and item is not None
    if amount is not None and not free and len(calls) + len(bindings) != 1:
        raise click.UsageError("--amount without --item is a part of one --call or one --binding")
    part = None if free else amount
    if not (calls or bindings or free):
        raise click.UsageError("say what for: --call, --binding, or --amount with --item and --text")
    lines = [NewNoteLine(call_id=call_id, amount=part) for call_id in calls]
    lines += [NewNoteLine(binding_id=binding, biz_date=day, amount=part) for binding, day in bindings]
    if free and item is not None:
        lines.append(NewNoteLine(bill_item=ITEMS[item], amount=amount, text=text))
    async with engine() as opened:
        made = await opened.notes.issue(number, lines, reason=reason, author=author)
    click.echo(
        f"{made.number}: {made.kind} of {plain(made.balance)} CNY on {number}, "
        f"{two_places(made.amount_due)} due, {plain(made.carried_out)} carried to the next invoice"
    )


@click.command()
@click.option("--number", help="Those of one invoice, as VN-2026-000001.")
@click.option("--period", help="Those of the invoices of a month, as in 2026-10.")
@click.option("--merchant", "merchant_id", help="Those of one merchant.")
@command
async def notes(number: str | None, period: str | None, merchant_id: str | None) -> None:
    """List credit and debit notes; of many the first 1,000. With --number each line of them as well."""
    if number is not None and (period is not None or merchant_id is not None):
        raise click.UsageError("give either --number, or --period and --merchant")
    async with engine() as opened:
        if number is None:
            found = await opened.notes.page(period=period, merchant_id=merchant_id)
        else:
            found = (await opened.notes.of_invoice(number))[1].notes
    console.print(_table(found))
    if number is not None and found:
        console.print(_lines(found))


@click.command()
@click.option("--period", required=True, help="The closed month, as in 2026-10.")
@click.option("--tariff", "tariff_id", help="By this tariff; without it, by what each merchant is assigned to now.")
@click.option("--reason", required=True, help="Why; it stands on the notes.")
@click.option("--author", required=True, help="Who; it stands on the notes.")
@click.option("--merchant", "merchant_id", help="One merchant; without it, all.")
@click.option("--dry-run", is_flag=True, help="Report the differences, and write nothing.")
@command
async def rerate(
    period: str, tariff_id: str | None, reason: str, author: str, merchant_id: str | None, dry_run: bool
) -> None:
    """Rate a closed month anew and note the differences. Doing it again changes nothing."""
    Period.parse(period)  # before any server is started for it
    new = NewRerating(period=period, reason=reason, merchant_id=merchant_id, tariff_id=tariff_id, dry_run=dry_run)
    async with engine() as opened:
        with Progress(console=console) as progress:
            task = progress.add_task("invoices", total=None)
            done = await opened.notes.rerate(
                new, author, lambda now, of: progress.update(task, completed=now, total=of)
            )
    report = done.report
    for one in done.found[:MOST_PRINTED]:
        click.echo(_told(one))
    more = report.notes + report.refused - MOST_PRINTED
    if more > 0:
        click.echo(f"... and {more} more")
    click.echo(
        f"{report.period}: {report.invoices} invoices rated anew, {report.notes} "
        f"{'would get' if dry_run else 'got'} a note, {report.refused} refused: {plain(report.debits)} CNY debit, "
        f"{plain(report.credits)} CNY credit, {two_places(report.amount_due)} CNY due"
    )


def _told(one: Rerated) -> str:
    name = f"{one.invoice_number} of {one.merchant_id}"
    if one.refused is not None:
        return f"{name}: {one.refused}: {one.detail}"
    return f"{name}: charged {plain(one.charged)}, difference {plain(one.difference)}  {one.note_number or ''}".rstrip()


def _lines(found: list[Note]) -> Table:
    """What each note changes, line by line: correct - charged = difference."""
    table = Table(title="their lines, CNY")
    for column in ("note", "what", "charged", "correct", "difference"):
        table.add_column(column, overflow="fold", justify="left" if column in ("note", "what") else "right")
    for one in found:
        for line in one.lines:
            known = [] if line.charged is None or line.correct is None else [plain(line.charged), plain(line.correct)]
            table.add_row(one.number, _what(line), *(known or ("", "")), plain(line.amount))
        if one.tax_exact:
            table.add_row(one.number, "added tax", "", "", plain(one.tax_exact))
    return table


def _what(line: NoteLine) -> str:
    words = [str(line.kind)]
    words += [f"call {line.call_id}"] if line.call_id else [f"binding {line.binding_id}"] if line.binding_id else []
    words += [str(line.biz_date)] if line.biz_date else []
    words += [f"{line.tariff_id} v{line.tariff_version} at {plain(line.rate)}"] if line.rate is not None else []
    words += [f"{line.charged_quantity} -> {line.correct_quantity}"] if line.correct_quantity is not None else []
    return ", ".join(words + ([line.text] if line.text else []))


def _table(found: list[Note]) -> Table:
    table = Table()
    for column in ("note", "invoice"):
        table.add_column(column, no_wrap=True)
    table.add_column("merchant", overflow="fold")
    for column in ("exact", "due"):
        table.add_column(column, no_wrap=True, justify="right")
    table.add_column("why and by whom", overflow="fold")
    for one in found:
        money = (plain(one.balance), two_places(one.amount_due))
        table.add_row(one.number, one.invoice_number, one.merchant_id, *money, f"{one.reason} ({one.author})")
    return table
