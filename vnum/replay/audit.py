"""The audit: recounts from the history of bindings and calls, by its own simple means, what the invoices say."""

import csv
import re
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from asyncpg import Record

from vnum.engine import Engine
from vnum.store import history

_ZONE = ZoneInfo("Asia/Shanghai")
_DAY = timedelta(hours=24)


class Audit(msgspec.Struct, kw_only=True):
    """Violations of the promises; all zero when they were kept.

    double_bindings: overlapping bindings of a slot. early_reuse: a slot bound before its quarantine was over.
    unbilled, billed_twice: rental days and calls missing from the invoices, or there more often than once.
    wrong_amount: detail rows whose cost is not duration x price. still_held: slots not free after the last quarantine.
    """

    double_bindings: int = 0
    early_reuse: int = 0
    unbilled: int = 0
    billed_twice: int = 0
    wrong_amount: int = 0
    still_held: int = 0

    @property
    def clean(self) -> bool:
        return not any(msgspec.structs.astuple(self))


RENTAL_DAY = Decimal("0.00018")
CALL_MINUTE = Decimal("0.02")


async def audit(engine: Engine, invoices: Path, now: datetime) -> Audit:
    """Compares the history in PostgreSQL with the exported files, row by row."""
    found = Audit()
    bindings = await history.bindings(engine.database)
    calls = await history.answered_calls(engine.database)
    quarantine = {host.host: host.quarantine_days for host in await engine.hosts.list()}
    _slots(found, bindings, quarantine)
    _bills(found, _owed(bindings, calls), invoices)
    found.still_held = sum(use.bound + use.quarantined for use in (await engine.occupancy.use()).hosts)
    return found


def _slots(found: Audit, bindings: list[Record], quarantine: dict[str, int | None]) -> None:
    """`bindings` come by slot and time."""
    for before, after in pairwise(bindings):
        if (before["host"], before["extension"]) != (after["host"], after["extension"]):
            continue
        found.double_bindings += after["bound_at"] < before["ended_at"]
        days = quarantine[before["host"]]
        found.early_reuse += days is None or after["bound_at"] < before["ended_at"] + days * _DAY


def _owed(bindings: list[Record], calls: list[Record]) -> dict[tuple[str, ...], tuple[int, Decimal]]:
    """(what) -> (duration, cost) of every day that began and every call that was answered."""
    owed: dict[tuple[str, ...], tuple[int, Decimal]] = {}
    for binding in bindings:
        day = binding["bound_at"]
        while True:
            date = day.astimezone(_ZONE).date().isoformat()
            owed["0", binding["merchant_id"], str(binding["binding_id"]), date] = (1, RENTAL_DAY)
            day += _DAY
            if day >= binding["ended_at"]:
                break
    for call in calls:
        talked = call["release_time"] - call["answer_time"]
        minutes = -(-(talked // timedelta(seconds=1)) // 60)
        if minutes:
            date = call["answer_time"].astimezone(_ZONE).date().isoformat()
            owed["1", call["merchant_id"], call["call_id"], date] = (minutes, minutes * CALL_MINUTE)
    return owed


def _bills(found: Audit, owed: dict[tuple[str, ...], tuple[int, Decimal]], invoices: Path) -> None:
    billed: Counter[tuple[str, ...]] = Counter()
    for path in sorted(invoices.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                named = _unquoted(row["call_id"]) if row["bill_item"] == "1" else row["binding_id"]
                what = (row["bill_item"], _unquoted(row["merchant_id"]), named, row["biz_date"])
                billed[what] += 1
                found.wrong_amount += owed.get(what) != (int(row["bill_duration"]), Decimal(row["cost"]))
    found.unbilled = sum(1 for what in owed if what not in billed)
    found.billed_twice = sum(times - 1 for times in billed.values()) + sum(1 for what in billed if what not in owed)


def _unquoted(text: str) -> str:
    """An export puts a quote before what a spreadsheet would take for a formula."""
    return text[1:] if re.match(r"'[=+\-@\t\r]", text) else text
