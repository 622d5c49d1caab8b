"""Carriers' files into charged calls: as a switch would have reported them, and a month of real ones."""

import csv
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.engines import DAY, START, World
from vnum.carrier import CallFile
from vnum.model.bindings import Binding
from vnum.service.imports import import_calls
from vnum.service.reconcile import Terms
from vnum.service.records import CallRecord, Status

SHARED = Path(__file__).parents[3] / "shared" / "data" / "calls.csv"
SECOND = timedelta(seconds=1)
BEIJING = ZoneInfo("Asia/Shanghai")
HEAD = "call_id,secret_no,extension,peer_no,call_type,call_time,start_time,release_time,release_dir,release_cause\n"


async def of(text: Iterator[str]) -> AsyncIterator[bytes]:
    for line in text:
        yield line.encode()


async def imported(world: World, lines: Iterator[str]) -> tuple[Counter[str], int, Decimal]:
    """(rows by status, minutes, CNY) of a file."""
    rows: Counter[str] = Counter()
    minutes, cost = 0, Decimal(0)
    async for batch in import_calls(world.engine.records, CallFile(), of(lines)):
        for one in batch:
            rows[one.reported.status] += 1
            minutes += one.reported.minutes or 0
            cost += one.reported.cost or 0
    return rows, minutes, cost


def row(binding: Binding, call_id: str, n: int, wait_s: int, talk_s: int | None) -> str:
    """As Alibaba writes it: Beijing time, the answer equal to the release when nobody answered."""
    dialled = (START + n * timedelta(minutes=1) + SECOND).astimezone(BEIJING)
    answered = dialled + wait_s * SECOND
    times = (dialled, answered, answered + (talk_s or 0) * SECOND)
    written = ",".join(f"{at:%F %T}" for at in times)
    return f"{call_id},{binding.host},{binding.extension},13800000000,1,{written},1,16\n"


async def test_a_file_and_the_switchs_own_report_are_the_same_call(world: World) -> None:
    binding = await world.bind("a")
    world.pass_time(DAY)
    dialled = START + SECOND
    switch = CallRecord(
        call_id="c",
        host=binding.host,
        extension=binding.extension,
        caller="+8613800000000",
        call_time=dialled,
        answer_time=dialled + 9 * SECOND,
        release_time=dialled + 70 * SECOND,
    )
    (first,) = await world.engine.records.report([switch])
    assert first.status is Status.RATED
    rows, _, cost = await imported(world, iter([HEAD, row(binding, "c", 0, 9, 61)]))
    assert rows == {Status.DUPLICATE: 1}
    assert cost == first.cost
    assert await world.count("calls") == 1


async def test_a_file_in_the_wrong_zone_is_a_conflict_and_not_a_second_charge(world: World) -> None:
    binding = await world.bind("a")
    world.pass_time(DAY)
    await imported(world, iter([HEAD, row(binding, "c", 0, 9, 61)]))
    shifted = row(binding, "c", 480, 9, 61)
    rows, _, _ = await imported(world, iter([HEAD, shifted]))
    assert rows == {Status.CONFLICT: 1}
    assert await world.count("calls") == 1


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data files are not beside this checkout")
async def test_a_month_of_real_calls_is_charged_and_reconciled_to_the_last_minute(world: World) -> None:
    """The durations of a real call centre: the known answers, the same again, and every change to the file found."""
    binding = await world.bind("a")
    world.pass_time(29 * DAY)
    with SHARED.open(newline="") as file:
        calls = [call for call in csv.DictReader(file) if call["outcome"] != "phantom"]
    lines = [
        row(
            binding,
            call["call_id"],
            n,
            int(call["wait_seconds"]),
            int(call["talk_seconds"]) if call["outcome"] == "answered" else None,
        )
        for n, call in enumerate(calls)
    ]
    assert await imported(world, iter([HEAD, *lines])) == ({"rated": len(calls)}, 108_285, Decimal("2165.70"))
    assert (await imported(world, iter([HEAD, *lines[:2_500]])))[0] == {"duplicate": 2_500}
    assert await world.count("calls") == len(calls)

    kept = [line for n, line in enumerate(lines) if n % 1_000 != 7]
    async with world.engine.reconciler.run(CallFile(), of(iter([HEAD, *kept])), Terms()) as found:
        report = found.report
        missing = [difference.call_id async for difference in found.differences()]
    dropped = [call["call_id"] for n, call in enumerate(calls) if n % 1_000 == 7]
    assert missing == dropped
    assert report.counts["missing_there"] == len(dropped)
    assert (report.ours.seconds, report.ours.minutes, report.ours.charged) == (5_558_279, 108_285, Decimal("2165.70"))
    assert report.theirs.at_our_rates < report.ours.charged
