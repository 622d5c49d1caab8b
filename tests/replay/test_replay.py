"""The main job, end to end: every start gives the same totals, and the audit finds nothing (and can find something)."""

import csv
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from rich.console import Console

from vnum.replay.audit import Audit, _bills, _slots
from vnum.replay.files import SHANGHAI
from vnum.replay.run import read_input, replay
from vnum.replay.sample import write_sample
from vnum.replay.summary import Summary
from vnum.servers import Endpoints
from vnum.vault import KeyPlace

SHARED = Path(__file__).parents[3] / "shared" / "data"
QUIET = Console(quiet=True)
Run = Callable[..., "Summary"]


async def run(endpoints: Endpoints, parcels: Path, calls: Path, start: date, out: Path) -> Summary:
    given = read_input(parcels, calls)
    return await replay(given, start, out, endpoints, KeyPlace(file=out / "master.key"), keep=False, console=QUIET)


@pytest.mark.parametrize("start", [date(2024, 1, 31), date(2023, 1, 31), date(2026, 12, 31)])
async def test_a_sample_comes_to_the_same_whatever_months_it_crosses(
    endpoints: Endpoints, tmp_path: Path, start: date
) -> None:
    parcels, calls = write_sample(tmp_path, parcels=40, calls=120, seed=7)
    summary = await run(endpoints, parcels, calls, start, tmp_path / "out")
    assert summary.audit.clean, summary.audit
    assert (summary.bindings, summary.labels, summary.rental_days) == (40, 40, 1200)
    assert summary.rental_cost == Decimal("0.216")
    minutes = _started_minutes(calls)
    assert (summary.call_minutes, summary.call_cost) == (minutes, minutes * Decimal("0.02"))
    assert summary.total_exact == summary.rental_cost + summary.call_cost
    assert summary.calls_answered + summary.calls_unanswered == 120
    _check_files(tmp_path / "out", summary)


async def test_with_statements_each_month_is_a_workbook_and_a_pdf_too(endpoints: Endpoints, tmp_path: Path) -> None:
    given = read_input(*write_sample(tmp_path, parcels=5, calls=5))
    out = tmp_path / "out"
    key = out / "master.key"
    await replay(
        given, date(2026, 1, 20), out, endpoints, KeyPlace(file=key), keep=False, console=QUIET, statements=True
    )
    months = ["2026-01", "2026-02"]
    assert sorted(path.name for path in (out / "invoices").iterdir()) == sorted(
        f"{month}.{suffix}" for month in months for suffix in ("csv", "pdf", "xlsx")
    )
    for month in months:
        assert (out / "invoices" / f"{month}.pdf").read_bytes().startswith(b"%PDF")
        assert (out / "invoices" / f"{month}.xlsx").read_bytes().startswith(b"PK")


async def test_nothing_of_a_replay_is_left_behind(endpoints: Endpoints, tmp_path: Path) -> None:
    parcels, calls = write_sample(tmp_path, parcels=5, calls=5)
    await run(endpoints, parcels, calls, date(2026, 1, 1), tmp_path / "out")
    connection = await asyncpg.connect(endpoints.postgres_admin_dsn)
    schemas = await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'replay%'")
    await connection.close()
    assert schemas == 0


async def test_malformed_rows_are_skipped_and_told_and_the_rest_is_billed(endpoints: Endpoints, tmp_path: Path) -> None:
    parcels, calls = write_sample(tmp_path, parcels=10, calls=10)
    with parcels.open("a") as file:
        file.write("bad,Jilin,1,9,not a time,\n")
    with calls.open("a") as file:
        file.write("bad,2022-09-01T10:00:00,answered,1,,long,A\n")
    summary = await run(endpoints, parcels, calls, date(2026, 1, 1), tmp_path / "out")
    assert (summary.bindings, summary.rejected_rows) == (10, 2)
    assert summary.audit.clean
    with (tmp_path / "out" / "rejected.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["line"]) for row in rows] == [("parcels.csv", "12"), ("calls.csv", "12")]


@pytest.mark.skipif(not (SHARED / "parcels.csv").exists(), reason="the shared data files are not beside this checkout")
@pytest.mark.parametrize("start", [date(2022, 4, 26), date(2024, 1, 30)])
async def test_the_real_month_comes_to_its_known_answers(endpoints: Endpoints, tmp_path: Path, start: date) -> None:
    summary = await run(endpoints, SHARED / "parcels.csv", SHARED / "calls.csv", start, tmp_path)
    assert (summary.bindings, summary.labels, summary.rejected_rows) == (6_190, 6_190, 0)
    assert (summary.calls_answered, summary.call_minutes) == (30_861, 108_285)
    assert summary.call_cost == Decimal("2165.70")
    assert summary.rental_days == 185_700
    assert summary.rental_cost == Decimal("33.426")
    assert summary.total_exact == Decimal("2199.126")
    assert summary.audit.clean, summary.audit
    _check_files(tmp_path, summary)


def _started_minutes(calls: Path) -> int:
    with calls.open(newline="") as file:
        talks = [int(row["talk_seconds"]) for row in csv.DictReader(file) if row["outcome"] == "answered"]
    return sum((talk + 59) // 60 for talk in talks)


def _check_files(out: Path, summary: Summary) -> None:
    """summary.json has the promised fields, and the detail rows add up to it."""
    written = json.loads((out / "summary.json").read_text())
    assert written["total_exact"] == format(summary.total_exact.normalize(), "f")
    assert set(written["audit"]) >= {"double_bindings", "early_reuse", "unbilled", "billed_twice"}
    sums: defaultdict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for path in (out / "invoices").glob("*.csv"):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                sums[row["bill_item"]][0] += int(row["bill_duration"])
                sums[row["bill_item"]][1] += Decimal(row["cost"])
    assert sums["0"] == [summary.rental_days, summary.rental_cost]
    assert sums["1"] == [summary.call_minutes, summary.call_cost]


def _binding(start: int, end: int) -> dict[str, object]:
    from datetime import datetime

    month = lambda n: datetime(2026, n, 1, tzinfo=SHANGHAI)  # noqa: E731
    return {"host": "18400000000", "extension": "0001", "bound_at": month(start), "ended_at": month(end)}


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (_binding(3, 4), Audit(double_bindings=1, early_reuse=1)),
        (_binding(5, 6), Audit(early_reuse=1)),
        (_binding(9, 10), Audit()),
    ],
)
def test_the_audit_sees_a_slot_bound_twice_or_too_early(second: dict[str, object], expected: Audit) -> None:
    found = Audit()
    _slots(found, [_binding(1, 5), second], {"18400000000": 90})  # type: ignore[list-item]
    assert found == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["m,2026-01-01,0,1,0.00018,o,b,"], Audit()),
        ([], Audit(unbilled=1)),
        (["m,2026-01-01,0,1,0.00018,o,b,"] * 2, Audit(billed_twice=1)),
        (["m,2026-01-01,0,1,0.00019,o,b,"], Audit(wrong_amount=1)),
        (["m,2026-01-02,0,1,0.00018,o,b,"], Audit(unbilled=1, billed_twice=1, wrong_amount=1)),
    ],
)
def test_the_audit_sees_what_is_missing_doubled_or_wrong(tmp_path: Path, rows: list[str], expected: Audit) -> None:
    header = "merchant_id,biz_date,bill_item,bill_duration,cost,order_id,binding_id,call_id"
    (tmp_path / "2026-01.csv").write_text("\n".join([header, *rows]) + "\n")
    found = Audit()
    _bills(found, {("0", "m", "b", "2026-01-01"): (1, Decimal("0.00018"))}, tmp_path)
    assert found == expected


async def test_a_call_that_outlasts_the_close_of_its_month_is_counted_all_the_same(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text("order_id,city,region_id,accepted_at\no1,@Jilin,1,2026-01-30 08:00:00\n")
    (tmp_path / "c.csv").write_text(
        "call_id,called_at,outcome,wait_seconds,talk_seconds\n-c1,2026-01-01T23:30:00,answered,5,16000\n"
    )
    summary = await run(endpoints, tmp_path / "p.csv", tmp_path / "c.csv", date(2026, 1, 30), tmp_path / "out")
    assert summary.audit.clean, summary.audit
    assert (summary.calls_answered, summary.call_minutes, summary.call_cost) == (1, 267, Decimal("5.34"))
    assert summary.total_exact == summary.rental_cost + summary.call_cost
