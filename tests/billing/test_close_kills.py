"""A close that is killed with SIGKILL, or whose PostgreSQL is, at any of its steps, and then run again.

Afterwards every row is what an undisturbed close of the same usage makes of it: no gap in the numbers, nothing twice.
Where it is killed is thrown with dice of a printed seed (KILL_SEED sets another) out of the steps that an undisturbed
close took, so no speed of a machine matters; besides them, the steps around which something could be half done.
"""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from billing.invoice import Item
from billing.notes.issue import FreeLine
from vnum.servers import open_servers

from .conftest import open_world

CLOSER = Path(__file__).with_name("closer.py")
SCHEMA = "kills"
DURABLE = {"shared_buffers": "32MB"}  # the product's own settings else: what is committed is on the disk
MERCHANTS, CHUNK = 14, 4
PERIOD, FIRST_DAY, AT, LATER = "2026-11", "2026-11-01", "2026-12-01 03:00", "2026-12-01 09:00"
TABLES = (
    "periods", "closes", "invoices", "invoice_lines", "invoice_taxes", "invoice_adjustments", "notes", "note_lines",
    "note_serials", "note_carries", "invoice_serials",
)  # fmt: skip
# These may be done a different number of times each time.
WAITING = ("try_lock", "running", "prepared")
POINTS = 12
ALWAYS = (("mark", 1, "before"), ("mark", 1, "after"), ("COMMIT", 2, "during"), ("take_serials", 2, "after"),
          ("insert_carries", 2, "after"), ("insert_closes", 2, "after"),
          ("progress", 1 + CHUNK, "before"))  # fmt: skip


class Point(NamedTuple):
    step: str
    nth: int
    moment: str


async def fill(world: Any) -> None:
    """October closed; in November days, calls, free minutes, fees and taxes of most merchants, and late calls."""
    terms = {"first_s": 6, "next_s": 6, "setup_fee": Decimal("0.1"), "free_minutes": 2}
    tax = {"tax_mode": "added", "tax_rate": Decimal("0.06")}
    await world.tariff(1, "1970-01-01 08:00", "0.0049", "0.03", tariff="t", **terms, **tax)
    names = [f"m{n:02}" for n in range(MERCHANTS)]
    for n, merchant in enumerate(names):
        await world.account(merchant, opened="2026-10-01 00:00", tariff="t" if n % 2 else "default")
        await world.rental(merchant, "2026-10-05 12:00", "2026-11-20 12:00" if n % 5 else "2026-10-06 12:00")
    await world.close("2026-10", at="2026-11-01 03:00")
    for n, merchant in enumerate(names):
        if n % 5:
            await world.call(merchant, "2026-11-05 10:00:00", f"2026-11-05 10:0{n % 7}:11")
            await world.call(merchant, "2026-11-06 10:00:00", "2026-11-06 10:00:59")
        if n % 3 == 0 and n % 5:
            await world.call(merchant, "2026-10-20 10:00:00", "2026-10-20 10:01:01")
    await correct_some(world)


async def correct_some(world: Any) -> None:
    """Notes on October whose rests November's close takes: one, or two, of most merchants; of those without a
    November they stay."""
    for n, invoice in enumerate(await world.invoices("2026-10")):
        for cents in range(n % 3):
            amount = Decimal("-0.0001") if n % 2 else Decimal("0.0042") + cents
            line = FreeLine(item=Item.RENTAL, amount=amount, text="as agreed")
            await world.note(invoice.number, line, at=f"2026-11-{n + 2:02} 10:00")


async def reopen(world: Any) -> None:
    """The month as if nobody had ever begun to close it."""
    owner = world.owner
    async with owner.transaction():
        for table in ("invoice_lines", "invoice_taxes", "invoice_adjustments", "note_carries"):
            await owner.execute(
                f"DELETE FROM {table} USING invoices i WHERE i.invoice_number = {table}.invoice_number "
                "AND i.period = $1::text::date", FIRST_DAY
            )  # fmt: skip
        for table in ("invoices", "closes", "periods"):
            await owner.execute(f"DELETE FROM {table} WHERE period = $1::text::date", FIRST_DAY)
        await owner.execute("UPDATE invoice_serials SET last_serial = (SELECT count(*) FROM invoices)")


async def rows(world: Any) -> dict[str, list[str]]:
    """The whole ledger, but for the instants at which something was done."""
    found = {}
    for table in TABLES:
        query = f"SELECT (to_jsonb(t) - 'closed_at' - 'marked_at')::text AS row FROM {table} t ORDER BY 1"
        found[table] = [row["row"] for row in await world.owner.fetch(query)]
    return found


@asynccontextmanager
async def closing(endpoints: Any, point: Point) -> AsyncIterator[Any]:
    """The process, started; it is killed at the end if it still runs."""
    at = "2026-12-01T03:00:00+08:00"
    words = [endpoints.postgres_dsn, SCHEMA, PERIOD, at, str(CHUNK), point.step, str(point.nth), point.moment]
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, CLOSER, *words, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process: Any) -> str:
    async with asyncio.timeout(120):
        return (await process.stdout.readline()).decode().strip()


async def undisturbed(world: Any, endpoints: Any) -> tuple[dict[str, list[str]], list[str]]:
    """The ledger after a close that nobody disturbs, and its steps."""
    async with closing(endpoints, Point("none", 1, "before")) as process:
        steps = json.loads(await said(process))
    expected = await rows(world)
    assert len(expected["invoices"]) > MERCHANTS
    assert expected["invoice_adjustments"]
    assert 0 < len(expected["note_carries"]) < len(expected["notes"])
    await reopen(world)
    return expected, steps


def some_points(steps: list[str], seed: int, many: int) -> list[Point]:
    counts = Counter(step for step in steps if step not in WAITING)
    all_points = [Point(step, nth, "x") for step, count in counts.items() for nth in range(1, count + 1)]
    dice = random.Random(seed)
    thrown = [
        point._replace(moment=dice.choice(["before", "during", "after"])) for point in dice.sample(all_points, many)
    ]
    print(f"KILL_SEED={seed}", *thrown, sep="\n")
    named = [Point(*point) for point in ALWAYS]
    assert {(p.step, p.nth) for p in named} <= {(p.step, p.nth) for p in all_points}, counts
    return named + thrown


async def check_half_done(world: Any, expected: dict[str, list[str]], point: Point) -> tuple[int, int]:
    """What was committed is whole and right, and marked are all or nobody. Returns November's (marks, invoices)."""
    found = await rows(world)
    for table in TABLES[:-1]:
        assert set(found[table]) <= set(expected[table]), (point, table)
    for table in ("notes", "note_lines", "note_serials"):
        assert found[table] == expected[table], (point, table)
    taken = "SELECT count(*) FROM note_carries WHERE invoice_number NOT IN (SELECT invoice_number FROM invoices)"
    assert await world.owner.fetchval(taken) == 0, (point, "a rest went nowhere")
    marks = len(found["periods"]) - MERCHANTS  # October's
    assert marks in (0, MERCHANTS), point
    closes = await world.owner.fetch("SELECT invoice_number FROM closes WHERE invoice_number IS NOT NULL ORDER BY 1")
    heads = await world.owner.fetch("SELECT invoice_number FROM invoices ORDER BY 1")
    assert closes == heads, point
    assert marks or len(heads) == MERCHANTS, point
    last = await world.owner.fetchval("SELECT last_serial FROM invoice_serials")
    assert last == len(heads), (point, "a number was lost")
    return marks, len(heads) - MERCHANTS


async def close_again(world: Any, expected: dict[str, list[str]], point: Point) -> None:
    marked = await world.owner.fetch("SELECT * FROM periods ORDER BY merchant_id, period")
    report = await world.close(PERIOD, at=LATER, chunk_merchants=CHUNK)
    assert report.merchants == MERCHANTS
    assert await rows(world) == expected, point
    again = await world.owner.fetch("SELECT * FROM periods ORDER BY merchant_id, period")
    assert [row for row in again if row in marked] == marked, (point, "a mark was moved")
    assert (await world.close(PERIOD, at=LATER)).invoices_made == 0


@pytest.mark.timeout(600)
async def test_a_close_that_is_killed_is_run_again(endpoints: Any) -> None:
    async with open_world(endpoints, SCHEMA) as world:
        try:
            await fill(world)
            expected, steps = await undisturbed(world, endpoints)
            seen = set()
            for point in some_points(steps, int(os.environ.get("KILL_SEED", "20261122")), POINTS):
                async with closing(endpoints, point) as process:
                    assert await said(process) == "here", point
                    process.kill()
                await until_alone(world)
                seen.add(await check_half_done(world, expected, point))
                await close_again(world, expected, point)
                await reopen(world)
            check_variety(seen)
        finally:
            await world.owner.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


async def until_alone(world: Any) -> None:
    """Until the server, too, knows that the process is gone: what was on its way may still have been committed."""
    async with asyncio.timeout(60):
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'closer'"
        while await world.owner.fetchval(query):  # noqa: ASYNC110 (it happens in the database)
            await asyncio.sleep(0)


@pytest.mark.timeout(900)
async def test_a_close_whose_postgres_is_killed_is_run_again(tmp_path: Path) -> None:
    async with AsyncExitStack() as servers:
        endpoints = await servers.enter_async_context(open_servers(tmp_path, postgres_settings=DURABLE))
        async with open_world(endpoints, SCHEMA) as world:
            assert await world.owner.fetchval("SHOW fsync") == "on"
            await fill(world)
            expected, steps = await undisturbed(world, endpoints)
        seen = set()
        for point in some_points(steps, int(os.environ.get("KILL_SEED", "20261123")), POINTS // 2):
            number = await postmaster_of(endpoints)
            async with closing(endpoints, point) as process:
                assert await said(process) == "here", point
                kill_all(number)
            await servers.aclose()
            endpoints = await servers.enter_async_context(open_servers(tmp_path, postgres_settings=DURABLE))
            async with open_world(endpoints, SCHEMA, empty=False) as world:
                seen.add(await check_half_done(world, expected, point))
                await close_again(world, expected, point)
                await reopen(world)
    check_variety(seen)


def check_variety(seen: set[tuple[int, int]]) -> None:
    """The canary: closes were really caught before the mark, before the first invoice, and with some of them made."""
    invoices = [made for marks, made in seen if marks]
    assert (0, 0) in seen
    assert min(invoices) == 0
    assert len(set(invoices)) > 2, seen


async def postmaster_of(endpoints: Any) -> int:
    async with open_world(endpoints, SCHEMA, empty=False) as world:
        number: int = await world.owner.fetchval("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int")
        return number


def kill_all(number: int) -> None:
    """A postmaster and every process of it, the first before it can do anything for the others."""
    postmaster = psutil.Process(number)
    for process in [postmaster, *postmaster.children(recursive=True)]:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
