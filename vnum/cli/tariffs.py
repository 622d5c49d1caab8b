"""`vnum tariff`: price lists, and who pays which."""

from datetime import datetime
from getpass import getuser
from typing import BinaryIO

import click
import msgspec
from rich.table import Table
from rich.text import Text

from vnum.cli.options import When
from vnum.cli.session import command, console, engine
from vnum.finance import BEGINNING, DEFAULT_TARIFF, ZONE, Assignment, CalendarDay, Increments, Listed, plain
from vnum.service.tariffs import NewTariff


@click.group()
def tariff() -> None:
    """Price lists, and who pays which."""


@tariff.command("list")
@click.option("--merchant", "merchant_id", help="Which tariffs this merchant pays, and from when on.")
@command
async def list_(merchant_id: str | None) -> None:
    """Every version of every tariff, or who pays which."""
    async with engine() as opened:
        if merchant_id is not None:
            console.print(_assigned(merchant_id, await opened.tariffs.of_merchant(merchant_id)))
            return
        found = await opened.tariffs.listing()
    table = Table(title="CNY, times in Asia/Shanghai")
    for column in ("tariff", "version", "from", "a day", "a minute", "increments", "free", "tax", "added"):
        table.add_column(column, overflow="fold")  # a price is never cut short
    for listed in found:
        table.add_row(*map(Text, _cells(listed)))  # a name such as [/red] is no markup
    console.print(table)


@tariff.command()
@click.argument("file", type=click.File("rb"))
@command
async def add(file: BinaryIO) -> None:
    """Add the version that a JSON file describes (`-` = standard input).

    What the file looks like: "Price lists" in docs/billing.md. A price list that is there already gets a next version.
    """
    try:
        new = msgspec.json.decode(file.read(), type=NewTariff)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise click.ClickException(f'{file.name}: {problem}; an example: "Price lists" in docs/billing.md') from problem
    async with engine() as opened:
        made = await opened.tariffs.add(new, _author())
    since = made.effective_from.astimezone(ZONE)
    click.echo(f"tariff {made.tariff_id} version {made.version} holds from {since:%F %T} (Asia/Shanghai) on")


@tariff.command()
@click.argument("merchant_id")
@click.argument("tariff_id")
@click.option(
    "--from",
    "effective_from",
    type=When(),
    help="From when on, as 2026-12-01; else this month, or from the next midnight once there is usage.",
)
@command
async def assign(merchant_id: str, tariff_id: str, effective_from: datetime | None) -> None:
    """Have a merchant pay a tariff."""
    async with engine() as opened:
        made = await opened.tariffs.assign(merchant_id, tariff_id, effective_from, _author())
    since = made.effective_from.astimezone(ZONE)
    click.echo(f"merchant {merchant_id} pays {tariff_id} from {since:%F %T} (Asia/Shanghai) on")


def _author() -> str:
    return f"cli:{getuser()}"


def _assigned(merchant_id: str, found: list[Assignment]) -> Table:
    """Nobody is without a tariff: until his first assignment a merchant pays the default."""
    table = Table(title=f"{merchant_id}, times in Asia/Shanghai")
    table.add_column("pays")
    table.add_column("from")
    if not found or found[0].effective_from > BEGINNING:
        table.add_row(DEFAULT_TARIFF, "the beginning")
    for one in found:
        since = f"{one.effective_from.astimezone(ZONE):%F %T}"
        table.add_row(one.tariff_id, since if one.effective_from > BEGINNING else "the beginning")
    return table


def _cells(listed: Listed) -> list[str]:
    version = listed.version
    calls: Increments = version.calls
    count = " (by date)" if isinstance(version.rental, CalendarDay) else ""
    terms = [f"{calls.first_s}/{calls.next_s}"]
    terms += [f"at least {calls.minimum_s} s"] if calls.minimum_s else []
    terms += [f"{calls.free_s} s free"] if calls.free_s else []
    terms += [f"set-up {plain(calls.setup_fee)}"] if calls.setup_fee else []
    return [
        version.tariff_id,
        str(version.version),
        f"{version.effective_from.astimezone(ZONE):%F %T}",
        plain(version.rental.rate) + count,
        plain(calls.minute),
        ", ".join(terms),
        f"{version.free_minutes} min" if version.free_minutes else "",
        f"{plain(version.tax.rate * 100)} % {version.tax.mode}" if version.tax.rate else "",
        f"{listed.added_at:%F} by {listed.added_by}" if listed.added_at else "",
    ]
