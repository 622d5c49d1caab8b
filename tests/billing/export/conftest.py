"""Two months of four merchants that between them have every kind of line, closed."""

import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

LONG = "杭州市余杭区仓前街道某某某某某某某某某某某某某某某某某某某某某某某某网络科技股份有限公司" * 2
SHARP = "#panic() *x* $y$ @z \\u{41} <r>&</r> " + "W" * 90

Collect = Callable[[AsyncIterator[bytes]], Any]


async def whole(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


@pytest.fixture
def collect() -> Collect:
    """Reads an export to its end."""
    return whole


@pytest.fixture(autouse=True)
def leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """How many temporary files and folders there are now. At its end no test leaves any, nor a thread or a process."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = set(psutil.Process().children())
    yield lambda: len(list(folder.iterdir()))
    assert list(folder.iterdir()) == []
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("vnum-export")] == []
    assert {child for child in psutil.Process().children() if "typesetting" in " ".join(child.cmdline())} <= before


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    """Where pictures of what was made go, to be looked at: ARTEFACTS, or a folder that pytest removes."""
    folder = Path(os.environ.get("ARTEFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
async def story(world: Any) -> Any:
    """plain: the default tariff, a late call, a long title. plus: tax added, free minutes, a set-up fee, calendar days,
    a tariff change. odd: texts that want to be markup or formulas. untitled: neither title nor tax number."""
    await world.tariff(
        1, "2026-01-01 00:00", "0.001", "0.06", tariff="plus",
        rental_count="calendar_day", first_s=30, next_s=6, setup_fee=Decimal("0.01"), free_minutes=3,
        tax_mode="added", tax_rate=Decimal("0.06"),
    )  # fmt: skip
    await world.tariff(
        2, "2026-10-16 00:00", "0.0015", "0.06", tariff="plus",
        tax_mode="included", tax_rate=Decimal("0.13"),
    )  # fmt: skip
    for merchant, tariff in (("plain", "default"), ("plus", "plus"), ("=odd", "default"), ("untitled", "default")):
        await world.account(merchant, opened="2026-10-01 00:00", tariff=tariff)
    titles = [("plain", LONG, "91330100MA2AAAAA1X"), ("=odd", SHARP, "=1+1"), ("untitled", None, None)]
    for merchant, title, tax_no in titles:
        await world.owner.execute(
            "UPDATE usage_accounts SET invoice_title = $2, tax_no = $3 WHERE merchant_id = $1", merchant, title, tax_no
        )
    for n in range(40):
        await world.rental("plain", f"2026-10-{n % 28 + 1:02} 08:00", "2026-11-20 08:00", order=f"p-{n}")
    await world.rental("plus", "2026-10-10 23:30", "2026-10-20 00:30", order="plus-1")
    await world.rental("=odd", "2026-10-01 00:00", "2026-10-29 18:40", order='+"odd", 单号\nsecond')
    await world.rental("untitled", "2026-10-03 00:00", "2026-12-01 00:00", order="u-1")
    for merchant, day in (("plain", 5), ("plus", 12), ("plus", 17), ("=odd", 9)):
        for n in range(5):
            start, end = f"2026-10-{day:02} 10:0{n}:00", f"2026-10-{day:02} 10:0{n + 1}:01"
            await world.call(merchant, start, end, call=f"-{merchant}-{day}-{n}")
    await world.close("2026-10", at="2026-11-01 03:00")
    for n in range(7):
        await world.call("plain", f"2026-10-30 23:5{n}", f"2026-10-30 23:5{n}:59", call=f"late-{n}")
    await world.call("plus", "2026-10-31 12:00", "2026-10-31 12:02", call="late-plus")
    await world.close("2026-11", at="2026-12-01 03:00")
    return world
