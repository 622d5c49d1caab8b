"""Usage files for the tests of billing alone, and what a run of them came to."""

import csv
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from billing.alone.command import main

RENTAL = ("merchant_id", "order_id", "binding_id", "bound_at", "ended_at")
CALL = ("merchant_id", "order_id", "binding_id", "call_id", "answered_at", "released_at")
BINDING = "019bd93c-d040-7000-b85f-ab117e4c212a"

# Every price model, taxes, free minutes, a change in mid-month, merchants who move between tariffs.
TARIFFS: list[dict[str, Any]] = [
    {"tariff_id": "default", "effective_from": "1970-01-01T00:00:00Z",
     "rental": {"model": "started_day", "rate": "0.00018"}, "calls": {"model": "increments", "minute": "0.02"}},
    {"tariff_id": "default", "effective_from": "2026-12-10T05:30:00.000001Z",
     "rental": {"model": "started_day", "rate": "0.000271"}, "calls": {"model": "increments", "minute": "0.0333"},
     "free_minutes": 5},
    {"tariff_id": "gold", "effective_from": "2026-11-01T00:00:00+08:00",
     "rental": {"model": "calendar_day", "rate": 0.00015},
     "calls": {"model": "increments", "minute": 0.018, "first_s": 30, "next_s": 6, "minimum_s": 12, "free_s": 3,
               "setup_fee": "0.001"}, "free_minutes": 20, "tax": {"mode": "added", "rate": "0.06"}},
    {"tariff_id": "gold", "effective_from": "2027-01-15T12:00:00+08:00",
     "rental": {"model": "started_day", "rate": "0.0001"},
     "calls": {"model": "increments", "minute": "0.6", "first_s": 1, "next_s": 1}, "free_minutes": 3,
     "tax": {"mode": "included", "rate": "0.06"}},
]  # fmt: skip


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([cell.isoformat() if isinstance(cell, datetime) else cell for cell in row] for row in rows)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def usage_file(tmp_path: Path) -> Path:
    path = tmp_path / "usage.csv"
    columns = ("kind", *RENTAL, *CALL[3:])
    rental = ("rental", "shop-1", "A1", BINDING, "2026-01-20T10:30:00+08:00", "2026-02-19T10:30:00+08:00", "", "", "")
    call = ("call", "shop-1", "A1", BINDING, "", "", "c-1", "2026-01-21T02:30:09Z", "2026-01-21T02:31:10Z")
    return write_csv(path, columns, [rental, call])


def bill(out: Path) -> list[tuple[str, ...]]:
    heads = json.loads((out / "invoices.json").read_text())["invoices"]
    return [(h["number"], h["period"], h["total_exact"], h["carried_in"], h["amount_due"]) for h in heads]
