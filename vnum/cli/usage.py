"""`vnum usage`: what a merchant used, date by date, to look at."""

from datetime import datetime

import click
from rich.bar import Bar
from rich.table import Table

from vnum.cli.bills import DATE
from vnum.cli.session import command, console, engine
from vnum.finance import ZERO, Used, plain
from vnum.service.spend import Spend
from vnum.service.usage import Usage

BAR_WIDTH = 12
FULL = 1_000


@click.command()
@click.option("--merchant", "merchant_id", required=True, help="Whose usage.")
@click.option("--from", "since", type=DATE, help="The first date (Asia/Shanghai); without it, 30 dates up to --to.")
@click.option("--to", "until", type=DATE, help="The first date that is not shown; without it, tomorrow.")
@command
async def usage(merchant_id: str, since: datetime | None, until: datetime | None) -> None:
    """Show what a merchant used and what it costs, date by date, 92 dates at most.

    live = numbers at the end of the date, new = of them begun on it, days = rental days that start on it, calls =
    charged calls answered on it, minutes = started minutes. Last: what the running month has cost, its alert and cap.
    """
    async with engine() as opened:
        found = await opened.usages.by_date(merchant_id, since and since.date(), until and until.date())
        spend = await opened.spending.of(merchant_id)
    console.print(_table(found))
    console.print(_line(spend))


def _table(found: Usage) -> Table:
    table = Table(
        title=f"{found.merchant_id}, dates from {found.since}", show_footer=True, box=None, padding=(0, 1, 0, 0)
    )
    sums = ("", *_cells(found.sums))
    names = ("live", "new", "days", "CNY days", "calls", "minutes", "CNY calls", "CNY")
    table.add_column("date", footer="all", no_wrap=True)
    for name, footer in zip(names, sums, strict=True):
        table.add_column(name, footer=footer, justify="right", no_wrap=True)
    table.add_column("", max_width=BAR_WIDTH)
    most = max(day.cost for day in found.days)
    for day in found.days:
        bar = Bar(FULL, 0, int(day.cost * FULL / most)) if most > ZERO else ""
        table.add_row(str(day.biz_date), f"{day.live_numbers:,}", *_cells(day), bar)
    return table


def _cells(used: Used) -> tuple[str, ...]:
    return (
        f"{used.new:,}",
        f"{used.rental_days:,}",
        plain(used.rental_cost),
        f"{used.calls:,}",
        f"{used.minutes:,}",
        plain(used.call_cost),
        plain(used.cost),
    )


def _line(spend: Spend) -> str:
    limits = [
        f"{name} {plain(limit)}"
        for name, limit in (("alert", spend.limits.spend_alert), ("cap", spend.limits.spend_cap))
        if limit is not None
    ]
    return f"{spend.period}: {plain(spend.spent)} CNY spent ({', '.join([spend.state, *limits])})"
