"""What a replay came to, for people: tables, a picture of the pool, and which files to open."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import plotext
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vnum.finance import plain
from vnum.replay.files import SHANGHAI
from vnum.replay.summary import Summary

PoolDay = tuple[datetime, int, int]


def show(console: Console, summary: Summary, days: Sequence[PoolDay], out: Path, *, statements: bool = False) -> None:
    """Prints the whole report; the picture goes to `pool.txt` too."""
    console.print(_counts(summary), _money(summary), _audit(summary), sep="\n")
    picture = pool_picture(days, width=min(console.width, 100))
    (out / "pool.txt").write_text(plotext.uncolorize(picture) + "\n", encoding="utf-8")
    console.print(Text.from_ansi(picture))
    console.print(_files(summary, out, statements), soft_wrap=True)  # a path stays whole, to be copied


def pool_picture(days: Sequence[PoolDay], *, width: int) -> str:
    """Bound and quarantined slots over the days, as characters."""
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, 18)
    plotext.title("slots of the pool, day by day")
    numbers = list(range(len(days)))
    plotext.plot(numbers, [bound for _, bound, _ in days], label="bound", marker="●", color="green")
    plotext.plot(numbers, [resting for _, _, resting in days], label="in quarantine", marker="x", color="orange")
    step = max(1, len(days) // 8)
    plotext.xticks(numbers[::step], [f"{day.astimezone(SHANGHAI):%m-%d}" for day, _, _ in days[::step]])
    top = max((bound + resting for _, bound, resting in days), default=1)
    plotext.ylim(0, 1.3 * top)  # room for the legend
    ticks = sorted({top * part // 4 for part in range(5)})
    plotext.yticks(ticks, [f"{tick:,}" for tick in ticks])
    return str(plotext.build())


def _counts(summary: Summary) -> Table:
    table = Table(title="What happened", show_header=False)
    for name, value in (
        ("merchants, hosts", f"{summary.merchants:,}, {summary.hosts:,}"),
        ("numbers bound", f"{summary.bindings:,}"),
        ("labels fetched", f"{summary.labels:,}"),
        ("calls answered", f"{summary.calls_answered:,}"),
        ("calls not answered", f"{summary.calls_unanswered:,}"),
        ("rows rejected", f"{summary.rejected_rows:,}"),
    ):
        table.add_row(name, value)
    return table


def _money(summary: Summary) -> Table:
    table = Table(title=f"What is owed ({summary.invoices:,} invoices)")
    for column in ("item", "quantity", "CNY, exact"):
        table.add_column(column, justify="left" if column == "item" else "right")
    table.add_row("number rental", f"{summary.rental_days:,} days", plain(summary.rental_cost))
    table.add_row("calls", f"{summary.call_minutes:,} minutes", plain(summary.call_cost))
    table.add_section()
    table.add_row("total", "", plain(summary.total_exact), style="bold")
    table.add_row("due now, the rest carried over", "", plain(summary.amount_due))
    return table


def _audit(summary: Summary) -> Table:
    table = Table(title="Audit: all must be 0", show_header=False)
    for name, value in msgspec.structs.asdict(summary.audit).items():
        table.add_row(name, str(value), style="red" if value else "green")
    return table


def _files(summary: Summary, out: Path, statements: bool) -> Text:
    lines = [
        f" {out / 'summary.json'}: these figures, for programs",
        f"     {out / 'invoices'}/*.csv: every charged day and call, a file a month",
        f"     {out / 'pool.txt'}: the picture above",
    ]
    if statements:
        lines.append(f"     {out / 'invoices'}/*.xlsx, *.pdf: the same months as workbooks, and as statements to print")
    if summary.rejected_rows:
        lines.append(f"     {out / 'rejected.csv'}: {summary.rejected_rows:,} rows that were not used, and why")
    return Text("Open", style="bold").append("\n".join(lines), style="not bold")
