"""What a measurement is, and measuring two things in turn."""

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from rich.console import Console
from rich.table import Table

RUNS = 5


class Row(msgspec.Struct, kw_only=True):
    """One measured thing beside its peer. `aim` is said of `ratio`, or of `ours` where there is no peer."""

    name: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str = ""
    ratio: float | None = None
    aim: str = ""
    reached: bool | None = None
    runs: int = RUNS
    detail: dict[str, list[float]] = {}


Work = Callable[[], Awaitable[int]]


async def rate(work: Work) -> float:
    started = time.perf_counter()
    count = await work()
    return count / (time.perf_counter() - started)


async def in_turn(ours: Callable[[], Work], peer: Callable[[], Work]) -> tuple[list[float], list[float]]:
    """One warm-up of each, then A B A B ...: a machine that slows down slows both."""
    await ours()()
    await peer()()
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        rates[0].append(await rate(ours()))
        rates[1].append(await rate(peer()))
    return rates


def compared(name: str, rates: tuple[list[float], list[float]], peer_name: str, at_least: float) -> Row:
    ratio = statistics.median(a / b for a, b in zip(*rates, strict=True))
    return Row(
        name=name,
        ours=statistics.median(rates[0]),
        unit="bindings/s",
        peer=statistics.median(rates[1]),
        peer_name=peer_name,
        ratio=ratio,
        aim=f">= {at_least} x",
        reached=ratio >= at_least,
        detail={"ours": rates[0], "peer": rates[1]},
    )


def show(rows: Sequence[Row]) -> None:
    table = Table(title=f"medians of {RUNS} runs")
    for column in ("what", "vnum", "peer", "ratio", "aim", ""):
        table.add_column(column)
    for row in rows:
        peer = "" if row.peer is None else f"{row.peer:,.2f} ({row.peer_name})"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        reached = {None: "", True: "[green]reached[/]", False: "[red]short[/]"}[row.reached]
        table.add_row(row.name, f"{row.ours:,.2f} {row.unit}", peer, ratio, row.aim, reached)
    Console().print(table)
