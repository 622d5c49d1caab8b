"""A month close against everything that writes usage at the month's end: each day and each call is charged once.

The months are Asia/Shanghai's: October 2026 ends at 16:00 UTC.
"""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.engines import DAY, World, request
from tests.faults import Hold
from vnum import finance
from vnum.finance import Period
from vnum.model.bindings import Binding
from vnum.model.refusals import Code, Refused
from vnum.service.batch import Bound
from vnum.service.records import CallRecord, Status
from vnum.store import bindings as stored
from vnum.store import calls as stored_calls
from vnum.store.clock import ensure_months

MONTH_END = datetime(2026, 10, 31, 16, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OCTOBER = Period.parse("2026-10")
MERCHANTS = ("m", "m1", "m2")
DAY_RATE, MINUTE_RATE = Decimal("0.00018"), Decimal("0.02")


@pytest.fixture
async def eve(workers: list[World]) -> list[World]:
    """Three merchants that were there all month, a host of 9,999 slots, and the clock a second before its end."""
    first = workers[0]
    for merchant in MERCHANTS[1:]:
        await first.merchant(merchant)
    await first.host(ext_digits=4)
    set_clock(first, MONTH_END - SECOND)
    return workers


def set_clock(world: World, instant: datetime) -> None:
    assert world.clock is not None
    world.clock.instant = instant


async def close(world: World, period: Period) -> None:
    await finance.close(world.engine.database, period, now=world.now)


async def close_until_all_is_over(world: World) -> None:
    """The following months, one by one, each at its end, until nothing is live."""
    period = OCTOBER
    for _ in range(6):
        set_clock(world, max(world.now, period.ends_at + timedelta(hours=3)))
        await ensure_months(world.engine.database, world.now)
        await close(world, period)
        period = period.next
    assert await world.count("bindings WHERE ended_at > $1", world.now - 40 * DAY) == 0


async def audit(world: World) -> None:
    """Every invoice of every month together, against a count made here from bindings and calls."""
    bindings = await world.owner.fetch("SELECT merchant_id, bound_at, ended_at FROM bindings")
    calls = await world.owner.fetch("SELECT merchant_id, answer_time, release_time FROM calls")
    for merchant in MERCHANTS:
        days = sum(max(1, -(-(row["ended_at"] - row["bound_at"]) // DAY)) for row in of(bindings, merchant))
        minutes = sum(
            -(-((row["release_time"] - row["answer_time"]) // SECOND) // 60)
            for row in of(calls, merchant)
            if row["answer_time"] is not None
        )
        assert await billed(world, merchant) == (days, minutes, days * DAY_RATE + minutes * MINUTE_RATE)


def of(rows: list[Any], merchant: str) -> list[Any]:
    return [row for row in rows if row["merchant_id"] == merchant]


async def billed(world: World, merchant: str) -> tuple[int, int, Decimal]:
    """(days, minutes, exact total) over all invoices of a merchant."""
    row = await world.owner.fetchrow(
        """SELECT coalesce(sum(l.quantity) FILTER (WHERE l.item = 0), 0)::bigint AS days,
                  coalesce(sum(l.quantity) FILTER (WHERE l.item = 1), 0)::bigint AS minutes
           FROM invoices i JOIN invoice_lines l USING (invoice_number) WHERE i.merchant_id = $1""",
        merchant,
    )
    late = await world.owner.fetchval(
        "SELECT coalesce(sum(minutes), 0) FROM invoice_adjustments WHERE merchant_id = $1", merchant
    )
    total = await world.owner.fetchval(
        "SELECT coalesce(sum(total_exact), 0) FROM invoices WHERE merchant_id = $1", merchant
    )
    return row["days"], row["minutes"] + late, total


def record(binding: Binding, call_id: str, answered: datetime, seconds: int = 61) -> CallRecord:
    return CallRecord(
        call_id=call_id,
        binding_id=binding.binding_id,
        host=binding.host,
        extension=binding.extension,
        caller="13800000000",
        call_time=answered - 5 * SECOND,
        answer_time=answered,
        release_time=answered + seconds * SECOND,
    )


async def closing(world: World) -> "asyncio.Task[None]":
    """A close of October that has marked the month and waits for who began before."""
    task = asyncio.create_task(close(world, OCTOBER))
    async with asyncio.timeout(60):
        while not await world.count("periods"):  # noqa: ASYNC110 (it happens in the database)
            await asyncio.sleep(0)
    return task


# What was under way when the month was marked


@pytest.mark.parametrize("act", ["bind", "extend", "release"])
async def test_a_close_waits_for_what_was_under_way(eve: list[World], hold: Hold, act: str) -> None:
    """A statement with an instant in October, not yet committed when the month is closed: it counts for October."""
    closer, writer = eve[:2]
    binding = await writer.bind("before")
    under_way = hold(stored, act)
    acts = {
        "bind": lambda: writer.bind("late", 2),
        "extend": lambda: writer.engine.lifetime.extend(binding.binding_id, 7),
        "release": lambda: writer.engine.lifetime.release(binding.binding_id, "done"),
    }
    writing = asyncio.create_task(acts[act]())
    await under_way.reached.wait()
    set_clock(closer, MONTH_END + timedelta(hours=3))
    close_task = await closing(closer)
    assert await closer.count("closes") == 0, "it waits"
    under_way.go_on.set()
    await writing
    await close_task
    await close_until_all_is_over(closer)
    await audit(closer)


async def test_a_close_waits_for_a_call_record_under_way(eve: list[World], hold: Hold) -> None:
    closer, writer = eve[:2]
    binding = await writer.bind("a")
    under_way = hold(stored_calls, "file")
    call = record(binding, "call", MONTH_END - SECOND, seconds=60)
    writing = asyncio.create_task(writer.engine.records.report([call]))
    await under_way.reached.wait()
    set_clock(closer, MONTH_END + timedelta(hours=3))
    close_task = await closing(closer)
    assert await closer.count("closes") == 0
    under_way.go_on.set()
    assert [one.status for one in await writing] == [Status.RATED]
    await close_task
    assert await closer.count("calls WHERE late") == 0
    await close_until_all_is_over(closer)
    await audit(closer)


# What began with an October instant, and writes after the mark


async def test_a_bind_that_slept_over_the_close_is_stamped_anew(eve: list[World], hold: Hold) -> None:
    closer, writer = eve[:2]
    slept = hold(stored, "bind", before=True)
    binding = asyncio.create_task(writer.bind("a", ttl_days=3))
    await slept.reached.wait()
    set_clock(closer, MONTH_END + timedelta(hours=3))
    await close(closer, OCTOBER)
    slept.go_on.set()
    assert (await binding).bound_at == MONTH_END + timedelta(hours=3)
    await close_until_all_is_over(closer)
    await audit(closer)


@pytest.mark.parametrize("act", ["bind", "extend", "release"])
async def test_nothing_enters_a_closed_month_by_a_clock_that_stands_still(eve: list[World], act: str) -> None:
    """A worker that goes on in October after its close: refused, and nothing is changed."""
    closer, late = eve[:2]
    binding = await late.bind("before")
    await finance.close(closer.engine.database, OCTOBER, now=MONTH_END + timedelta(hours=3))
    acts = {
        "bind": lambda: late.refusal("late", 2),
        "extend": lambda: _code(late.engine.lifetime.extend(binding.binding_id, 7)),
        "release": lambda: _code(late.engine.lifetime.release(binding.binding_id, "done")),
    }
    answer = await acts[act]()
    assert getattr(answer, "code", answer) is Code.STORE_UNAVAILABLE
    assert await closer.count("bindings") == 1
    row = await closer.owner.fetchrow("SELECT ended_at, release_reason FROM bindings")
    assert tuple(row) == (binding.ended_at, None)


async def test_a_call_of_a_closed_month_goes_on_the_next_invoice(eve: list[World]) -> None:
    world = eve[0]
    binding = await world.bind("a")
    set_clock(world, MONTH_END + timedelta(hours=3))
    await close(world, OCTOBER)
    call = record(binding, "late", MONTH_END - SECOND)
    assert [one.status for one in await world.engine.records.report([call])] == [Status.RATED]
    assert await world.count("calls WHERE late") == 1
    await close_until_all_is_over(world)
    (number, biz_date) = await world.owner.fetchrow("SELECT period::text, biz_date::text FROM invoice_adjustments a "
                                                    "JOIN invoices USING (invoice_number)")  # fmt: skip
    assert (number, biz_date) == ("2026-11-01", "2026-10-31")
    await audit(world)


# All together


@pytest.mark.parametrize("seed", range(4))
async def test_every_day_and_every_call_is_charged_once(eve: list[World], seed: int) -> None:
    """Four workers bind, extend, release and report while the clock passes the month's end and October is closed."""
    throw = random.Random(seed)
    closer, *workers = eve
    owned = [
        outcome.binding
        for outcome in await closer.engine.binder.bind(
            [request(f"first-{n}", n, merchant=MERCHANTS[n % 3], ttl_days=throw.choice([1, 3, 30])) for n in range(40)]
        )
        if isinstance(outcome, Bound)
    ]
    told: list[Any] = []

    async def one(n: int) -> None:
        world = throw.choice(workers)
        binding = throw.choice(owned)
        match throw.choice(["bind", "bind", "extend", "release", "call", "call", "call"]):
            case "bind":
                wanted = request(f"o-{n}", 100 + n, merchant=throw.choice(MERCHANTS), ttl_days=throw.choice([1, 2, 30]))
                told.extend(await world.engine.binder.bind([wanted]))
            case "extend":
                told.append(await _code(world.engine.lifetime.extend(binding.binding_id, throw.choice([7, 15]))))
            case "release":
                told.append(await _code(world.engine.lifetime.release(binding.binding_id, "done")))
            case "call":
                answered = MONTH_END - throw.randint(0, 5) * SECOND
                call = record(binding, f"call-{throw.randint(0, 30)}", answered, throw.randint(0, 200))
                told.extend(await world.engine.records.report([call, call]))

    async def month_end() -> None:
        await asyncio.sleep(0)
        set_clock(closer, MONTH_END + timedelta(hours=3))
        await close(closer, OCTOBER)

    await asyncio.gather(*(one(n) for n in range(30)), month_end(), *(one(n) for n in range(30, 60)))
    codes = {getattr(answer, "code", answer) for answer in told}
    allowed = {Code.BINDING_EXPIRED, Code.BINDING_RELEASED, Code.RECORD_CONFLICT, Code.STORE_UNAVAILABLE, None}
    assert {code for code in codes if isinstance(code, Code | None)} <= allowed | {Code.EXTEND_LIMIT}
    await close_until_all_is_over(closer)
    await audit(closer)


async def _code(acting: Any) -> Code | None:
    try:
        await acting
    except Refused as refused:
        return refused.refusal.code
    return None
