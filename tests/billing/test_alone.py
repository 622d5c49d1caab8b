"""Billing alone: the same bills as a close in PostgreSQL, out of files, without any server."""

import json
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from billing.alone import sorting
from billing.calls import rate_call
from billing.details import OfPeriod
from billing.export import export_csv, invoice_head
from billing.periods import ZONE, Period, Span
from billing.tariff_ledger import assignments, load_book
from billing.tariffs import stretches

from .alone_files import BINDING, CALL, RENTAL, TARIFFS, bill, run, usage_file, write_csv

ROOT = Path(__file__).parents[2]
MONTHS = ["2026-11", "2026-12", "2027-01"]
BEGIN, END = datetime(2026, 10, 31, 16, tzinfo=UTC), datetime(2027, 1, 31, 16, tzinfo=UTC)

ASSIGNED = [
    ("m01", "1970-01-01T08:00:00+08:00", "default"),
    ("m02", "2026-11-01T00:00:00+08:00", "gold"),
    ("m03", "2026-12-20T10:00:00+08:00", "gold"),
    ("m04", "2026-11-05T00:00:00+08:00", "gold"),
    ("m04", "2026-11-25T00:00:00+08:00", "gold"),
    ("m04", "2027-01-10T00:00:00+08:00", "default"),
    ("m04", "2027-01-20T00:00:00+08:00", "gold"),
]


class Usage(NamedTuple):
    rentals: list[tuple[Any, ...]]
    calls: list[tuple[Any, ...]]


def some_instant(dice: random.Random) -> datetime:
    """Anywhere in the three months, or at a corner of them or of a price."""
    if dice.random() < 0.2:
        corners = [BEGIN, END] + [datetime.fromisoformat(version["effective_from"]) for version in TARIFFS[1:]]
        corner = dice.choice(corners) + timedelta(microseconds=dice.choice([-1, 0, 1]))
        return min(max(corner.astimezone(UTC), BEGIN), END - timedelta(seconds=1))
    return BEGIN + dice.random() * (END - BEGIN - timedelta(seconds=1))


def some_usage(seed: int) -> Usage:
    """Bindings of the months before as well, lasting none to 95 days; calls of every length."""
    dice = random.Random(seed)
    merchant = lambda: f"m{dice.randrange(7):02}"  # noqa: E731
    rentals, calls = [], []
    for n in range(400):
        bound = some_instant(dice) - dice.choice([timedelta(0), timedelta(days=20)])
        ended = bound + dice.choice([timedelta(0), timedelta(days=30), dice.random() * timedelta(days=95)])
        rentals.append((merchant(), f"o{n}", UUID(int=dice.getrandbits(128)), bound, ended))
    for n in range(900):
        answered = some_instant(dice)
        talked = dice.choice([dice.uniform(0, 400), dice.choice([0, 0.5, 1, 3, 59, 60, 61, 119.999999, 120, 2000])])
        released = answered + timedelta(seconds=talked)
        calls.append((merchant(), f"o{n}", UUID(int=n), f"call{n}", answered, released))
    return Usage(rentals, calls)


def shanghai(instant: str) -> str:
    """As the world of these tests writes instants."""
    return datetime.fromisoformat(instant).astimezone(ZONE).replace(tzinfo=None).isoformat(" ")


async def close_in_postgres(world: Any, usage: Usage) -> None:
    """The same terms and usage in the ledger, calls rated as a host does; each month closed at its end."""
    await world.owner.execute("DELETE FROM tariffs")
    numbers: dict[str, int] = {}
    for version in TARIFFS:
        tariff, calls, tax = version["tariff_id"], dict(version["calls"]), version.get("tax", {})
        numbers[tariff] = numbers.get(tariff, 0) + 1
        terms = {name: calls[name] for name in calls if name not in ("model", "minute", "setup_fee")}
        await world.tariff(
            numbers[tariff], shanghai(version["effective_from"]), str(version["rental"]["rate"]),
            str(calls["minute"]), tariff, rental_count=version["rental"]["model"],
            setup_fee=Decimal(calls.get("setup_fee", "0")),
            free_minutes=version.get("free_minutes", 0), tax_mode=tax.get("mode", "included"),
            tax_rate=Decimal(tax.get("rate", "0")), **terms,
        )  # fmt: skip
    for n in range(7):
        await world.account(f"m{n:02}", opened="2026-11-01 00:00")
    for merchant, since, tariff in ASSIGNED:
        await world.assign(merchant, tariff, shanghai(since))
    await world.owner.copy_records_to_table("usage_rentals", records=usage.rentals)
    book, window = await load_book(world.owner), Span(BEGIN, END)
    priced = {f"m{n:02}": stretches(book, await assignments(world.owner, [f"m{n:02}"]), window) for n in range(7)}
    for call in usage.calls:
        (version,) = [version for span, version in priced[call[0]] if span.starts_at <= call[4] < span.ends_at]
        rated = rate_call(call[4], call[5], version)
        working = [rated.seconds, rated.minutes, rated.units, rated.unit_s, rated.rate, rated.setup_fee, rated.cost]
        row = (*call, *working, rated.tariff_id, rated.tariff_version, False)
        if rated.units:
            await world.owner.copy_records_to_table("usage_calls", records=[row])
    for month in MONTHS:
        await world.close(month, at=f"{Period.parse(month).next.first_day} 00:00", chunk_merchants=3)


def write_terms(path: Path) -> Path:
    assigned = [dict(zip(("merchant_id", "effective_from", "tariff_id"), row, strict=True)) for row in ASSIGNED]
    accounts = [{"merchant_id": f"m{n:02}", "invoice_title": f"m{n:02} Ltd", "tax_no": "91330100MA2"} for n in range(7)]
    path.write_text(json.dumps({"tariffs": TARIFFS, "assignments": assigned, "accounts": accounts}))
    return path


@pytest.mark.parametrize(("seed", "run_rows"), [(1, 50_000), (20_261_122, 50)])
async def test_the_same_bills_as_postgres(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, run_rows: int
) -> None:
    """Invoices and detail rows are the same to the byte, whether sorted in memory or in many runs on disk."""
    usage = some_usage(seed)
    await close_in_postgres(world, usage)
    monkeypatch.setattr(sorting, "RUN_ROWS", run_rows)
    monkeypatch.setattr(sorting, "FAN_IN", 4)
    rentals = write_csv(tmp_path / "rentals.csv", RENTAL, usage.rentals)
    calls = write_csv(tmp_path / "calls.csv", CALL, usage.calls)
    out = tmp_path / "out"
    done = run("--usage", rentals, calls, "--tariffs", write_terms(tmp_path / "tariffs.json"), "--out", out,
               "--from", MONTHS[0], "--until", MONTHS[-1])  # fmt: skip
    assert (done.exit_code, done.exception) == (0, None), done.output
    assert json.loads((out / "invoices.json").read_text())["invoices"] == [
        json.loads(json.dumps(invoice_head(invoice))) for invoice in await world.invoices()
    ]
    for month in MONTHS:
        pieces = [piece async for piece in export_csv(world.pool, OfPeriod(period=Period.parse(month)))]
        assert (out / f"details-{month}.csv").read_bytes() == b"".join(pieces)
    kinds = {line.kind for invoice in await world.invoices() for line in invoice.lines}
    assert len(kinds) == 5, "every kind of line came up"


def test_the_example_of_the_readme(tmp_path: Path) -> None:
    done = run("--usage", usage_file(tmp_path), "--out", tmp_path / "out")
    assert done.exit_code == 0
    assert bill(tmp_path / "out") == [
        ("VNUM-2026-000001", "2026-01", "0.04216", "0", "0.04"),
        ("VNUM-2026-000002", "2026-02", "0.00324", "0.00216", "0.01"),
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "details-2026-01.csv", "details-2026-02.csv", "invoices.json", "rejected.csv",
    ]  # fmt: skip
    assert "0.0454" in done.output


def test_a_run_goes_on_where_another_ended(tmp_path: Path) -> None:
    """Two runs, a month each, come to the same as one over both."""
    usage, terms = usage_file(tmp_path), tmp_path / "terms.json"
    run("--usage", usage, "--out", tmp_path / "first", "--until", "2026-01")
    carried = json.loads((tmp_path / "first/invoices.json").read_text())["invoices"][0]["carried_out"]
    account = {"merchant_id": "shop-1", "carried_in": carried}
    terms.write_text(json.dumps({"tariffs": TARIFFS[:1], "accounts": [account]}))
    done = run("--usage", usage, "--out", tmp_path / "second", "--from", "2026-02", "--tariffs", terms,
               "--first-serial", 2)  # fmt: skip
    assert "1 outside" in done.output
    assert bill(tmp_path / "second") == [("VNUM-2026-000002", "2026-02", "0.00324", "0.00216", "0.01")]


def test_numbers_begin_anew_with_the_year(tmp_path: Path) -> None:
    rows = [("m", "o", BINDING, "2026-11-20T00:00:00+08:00", "2027-01-02T00:00:00+08:00")]
    run(
        "--usage",
        write_csv(tmp_path / "u.csv", RENTAL, rows),
        "--out",
        tmp_path,
        "--issuer",
        "ACME",
        "--first-serial",
        8,
    )
    assert [row[0] for row in bill(tmp_path)] == ["ACME-2026-000008", "ACME-2027-000001", "ACME-2027-000002"]
    run("--usage", tmp_path / "u.csv", "--out", tmp_path, "--closed-at", "2027-01-05T00:00:00+08:00")
    assert [row[:2] for row in bill(tmp_path)] == [("VNUM-2027-000001", "2026-11"), ("VNUM-2027-000002", "2026-12")]


def test_the_same_run_writes_the_same_bytes(tmp_path: Path) -> None:
    """Also with the rows in another order, and as JSON lines."""
    usage = some_usage(3)
    dice = random.Random(4)
    files = [
        write_csv(tmp_path / "rentals.csv", RENTAL, usage.rentals),
        write_csv(tmp_path / "c.csv", CALL, usage.calls),
    ]
    rows = [dict(zip(RENTAL, map(str, row), strict=True)) for row in usage.rentals]
    rows += [dict(zip(CALL, map(str, row), strict=True)) for row in usage.calls]
    dice.shuffle(rows)
    lines = tmp_path / "usage.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, given in (("one", files), ("two", [lines])):
        assert run("--usage", *given, "--out", tmp_path / name, "--format", "csv").exit_code == 0
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert first == second
    assert "invoices.csv" in first


BARRED = """
import sys, runpy
class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("vnum", "asyncpg", "redis", "aiohttp"):
            raise ImportError(f"{name} is barred")
sys.meta_path.insert(0, Barred())
def no_socket(event, arguments):
    if event in ("socket.connect", "socket.bind"):
        raise OSError("no sockets here")
sys.addaudithook(no_socket)
sys.argv[0] = "billing"
runpy.run_module("billing", run_name="__main__")
"""


def test_it_runs_without_vnum_and_without_any_server(tmp_path: Path) -> None:
    arguments = ["--usage", str(usage_file(tmp_path)), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", BARRED, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(bill(tmp_path / "out")) == 2
