"""`vnum tariff`: price lists, and who pays which."""

from datetime import datetime
from getpass import getuser
from typing import BinaryIO
from zoneinfo import ZoneInfo

import click
import msgspec
from rich.table import Table
from rich.text import Text

from vnum.cli.session import command, console, engine
from vnum.finance import CalendarDay, Increments, Listed, plain
from vnum.service.tariffs import NewTariff

SHANGHAI = ZoneInfo("Asia/Shanghai")


class When(click.ParamType[datetime]):
    """An instant with its offset; a date alone is its first instant in Asia/Shanghai."""

    name = "instant"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no instant; write 2026-12-01 or 2026-12-01T08:00:00+08:00", param, ctx)
        if instant.tzinfo is None:
            if len(value) > len("2026-12-01"):
                self.fail(f"{value!r} has no offset; write 2026-12-01T08:00:00+08:00", param, ctx)
            return instant.replace(tzinfo=SHANGHAI)
        return instant


@click.group()
def tariff() -> None:
    """Price lists, and who pays which."""


@tariff.command("list")
@command
async def list_() -> None:
    """Every version of every tariff."""
    async with engine() as opened:
        found = await opened.tariffs.listing()
    table = Table()
    for column in ("tariff", "version", "from", "a day", "a minute", "increments", "free", "tax", "added"):
        table.add_column(column, overflow="fold")  # a price is never cut short
    for listed in found:
        table.add_row(*map(Text, _cells(listed)))  # a name such as [/red] is no markup
    console.print(table)


@tariff.command()
@click.argument("file", type=click.File("rb"))
@command
async def add(file: BinaryIO) -> None:
    """Add the version that a JSON file describes (`-` = standard input), in the shape of POST /v1/tariffs."""
    try:
        new = msgspec.json.decode(file.read(), type=NewTariff)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise click.ClickException(f"{file.name}: {problem}") from problem
    async with engine() as opened:
        made = await opened.tariffs.add(new, _author())
    click.echo(f"tariff {made.tariff_id} version {made.version} holds from {made.effective_from.isoformat()} on")


@tariff.command()
@click.argument("merchant_id")
@click.argument("tariff_id")
@click.option("--from", "effective_from", type=When(), help="From when on; else at once, or from the next midnight.")
@command
async def assign(merchant_id: str, tariff_id: str, effective_from: datetime | None) -> None:
    """Have a merchant pay a tariff."""
    async with engine() as opened:
        made = await opened.tariffs.assign(merchant_id, tariff_id, effective_from, _author())
    since = made.effective_from.astimezone(SHANGHAI)
    click.echo(f"merchant {merchant_id} pays {tariff_id} from {since:%F %T} (Asia/Shanghai) on")


def _author() -> str:
    return f"cli:{getuser()}"


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
        f"{version.effective_from.astimezone(SHANGHAI):%F %T}",
        plain(version.rental.rate) + count,
        plain(calls.minute),
        ", ".join(terms),
        f"{version.free_minutes} min" if version.free_minutes else "",
        f"{plain(version.tax.rate * 100)} % {version.tax.mode}" if version.tax.rate else "",
        f"{listed.added_at:%F} by {listed.added_by}" if listed.added_at else "",
    ]
