"""Months of random usage under random price lists, closed, against the naive count of `oracle.py`.

Usage goes into the tables as a host's writers would leave it: calls rated, here by the oracle's own prices. Over all
seeds: 51,000 bindings and 51,000 calls.
"""

import csv
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from billing.details import OfPeriod
from billing.export import export_csv
from billing.invoice import Invoice
from billing.periods import Period

from .oracle import Due, Line, Oracle, Terms, decimal

MONTHS = ["2027-12", "2028-01", "2028-02", "2028-03"]
EDGES = [datetime(*at, 1, tzinfo=UTC) - timedelta(hours=8)
         for at in ((2027, 12), (2028, 1), (2028, 2), (2028, 3), (2028, 4))]  # fmt: skip
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
SECOND, MICRO = timedelta(seconds=1), timedelta(microseconds=1)
MERCHANTS, BINDINGS, CALLS = 60, 17_000, 17_000
TARIFFS = ("default", "a", "b", "c", "d", "e")


class Story:
    """Everything that happened, by the dice."""

    def __init__(self, seed: int, bindings: int = BINDINGS, calls: int = CALLS) -> None:
        self.dice = random.Random(seed)
        self.calls = calls
        self.corners = list(EDGES[:-1])
        self.opened = {f"m{n:02}": self._opening(n) for n in range(MERCHANTS)}
        self.versions = [version for tariff in TARIFFS for version in self._versions(tariff)]
        self.corners += [version.since for version in self.versions if version.since > EDGES[0]]
        self.assigned = sorted(
            {(merchant, at): (merchant, at, tariff) for merchant, at, tariff in self._given()}.values()
        )
        self.oracle = Oracle(EDGES, self.versions, self.assigned, self.opened)
        self.rentals = [self._rental(n) for n in range(bindings)]
        self.arriving: dict[int, list[tuple[object, ...]]] = defaultdict(list)
        for n in range(calls):
            self._call(n)

    def instant(self, since: datetime = EDGES[0]) -> datetime:
        """Anywhere, or right at a midnight, a month's edge or a change of prices."""
        throw = self.dice.random()
        if throw < 0.15:
            near = self.dice.choice(self.corners) + self.dice.choice([-MICRO, timedelta(0), MICRO])
        elif throw < 0.25:
            near = EDGES[0] + self.dice.randrange(120) * timedelta(days=1)
        else:
            near = EDGES[0] + self.dice.random() * (EDGES[-1] - EDGES[0] - SECOND)
        return near if near >= since else since

    def _opening(self, n: int) -> datetime:
        return EDGES[0] + self.dice.random() * timedelta(days=80) if n % 3 else EDGES[0]

    def _versions(self, tariff: str) -> list[Terms]:
        later = sorted({self.instant() for _ in range(self.dice.randrange(4))})
        first = Terms("default", 1, BEGINNING) if tariff == "default" else self._terms(tariff, 1, BEGINNING)
        return [first, *(self._terms(tariff, n, since) for n, since in enumerate(later, start=2))]

    def _terms(self, tariff: str, version: int, since: datetime) -> Terms:
        pick = self.dice.choice
        first, following = pick([(60, 60), (6, 6), (1, 1), (30, 6), (60, 1), (60, 60)])
        return Terms(
            tariff, version, since,
            calendar=pick([False, True]),
            day=pick(["0.00018", "0.000271", "0", "0.0049999", "1.5"]),
            minute=pick(["0.03", "0.0003", "0", "0.0333", "12.000009"]),
            first=first,
            next=following,
            minimum=pick([0, 0, 30, 61]),
            free=pick([0, 0, 5, 60]),
            setup=pick(["0", "0", "0.0007", "0.1"]),
            free_minutes=pick([0, 0, 3, 60, 500]),
            tax_mode=pick(["included", "added"]),
            tax_rate=pick(["0", "0.06", "0.13"]),
        )  # fmt: skip

    def _given(self) -> list[tuple[str, datetime, str]]:
        found = []
        for merchant in self.opened:
            for n in range(self.dice.randrange(5)):
                since = self.instant() if n or self.dice.random() < 0.3 else BEGINNING
                found.append((merchant, since, self.dice.choice(TARIFFS)))
        return found

    def _rental(self, n: int) -> tuple[object, ...]:
        merchant = self.dice.choice(list(self.opened))
        bound = self.instant(self.opened[merchant])
        pick = self.dice.choice
        life = pick([timedelta(0), timedelta(hours=1), pick([1, 2, 3]) * timedelta(days=1) + pick([-1, 0, 1]) * MICRO,
                     self.dice.random() * timedelta(days=7), pick([4, 7, 30]) * timedelta(days=1),
                     self.dice.random() ** 6 * timedelta(days=95)])  # fmt: skip
        ended = pick([bound + life, max(bound, self.instant(bound))]) if self.dice.random() < 0.05 else bound + life
        self.oracle.binding(n, merchant, bound, ended)
        return merchant, f"o{n}", UUID(int=n), bound, ended

    def _call(self, n: int) -> None:
        """One in ten arrives a month or two late, and some are dated before the merchant's first month."""
        merchant = self.dice.choice(list(self.opened))
        answered = self.instant(self.opened[merchant])
        first = self.oracle.month_of(self.opened[merchant])
        month, late_by = self.oracle.month_of(answered), self.dice.choice([1, 2]) * (self.dice.random() < 0.1)
        if self.dice.random() < 0.005:
            answered, month, late_by = EDGES[first] - self.dice.random() * SECOND, first, 0
        late = answered < EDGES[first] or (late_by > 0 and month + late_by < len(MONTHS))
        # Between the mark and the sums of a close that was interrupted: late, and on that very month's invoice.
        marked = not late and self.dice.random() < 0.01
        month += late_by if late else 0
        talked = self.dice.choice(
            [self.dice.uniform(0, 400), self.dice.choice([0, 0.5, 1, 5, 6, 7, 30, 59, 60, 61, 7416])]
        )
        released = answered + timedelta(seconds=talked)
        call_id = f"call{n * 7919 % self.calls}"
        late = late or marked
        priced = self.oracle.call(merchant, call_id, answered, released, month, late)
        if priced.units:
            terms = self.oracle.terms(merchant, answered)
            self.arriving[month].append(
                (merchant, f"o{n}", UUID(int=n), call_id, answered, released, priced.seconds, priced.minutes,
                 priced.units, priced.unit_s, decimal(priced.rate), decimal(priced.setup), decimal(priced.cost),
                 terms.tariff, terms.version, late)
            )  # fmt: skip

    async def happen(self, world: Any) -> None:
        """Fills the host's tables and closes month by month, three hours after its end."""
        copy = world.owner.copy_records_to_table
        await copy("usage_accounts", records=[(name, at, None, None) for name, at in self.opened.items()])
        columns = ["tariff_id", "version", "effective_from", "rental_count", "rental_day", "call_minute", "first_s",
                   "next_s", "minimum_s", "free_s", "setup_fee", "free_minutes", "tax_mode", "tax_rate"]  # fmt: skip
        rows = [
            (v.tariff, v.version, v.since, "calendar_day" if v.calendar else "started_day", Decimal(v.day),
             Decimal(v.minute), v.first, v.next, v.minimum, v.free, Decimal(v.setup), v.free_minutes, v.tax_mode,
             Decimal(v.tax_rate))
            for v in self.versions if (v.tariff, v.version) != ("default", 1)
        ]  # fmt: skip
        await copy("tariffs", records=rows, columns=columns)
        given = [(merchant, at, tariff, at, "test") for merchant, at, tariff in self.assigned]
        columns = ["merchant_id", "effective_from", "tariff_id", "assigned_at", "assigned_by"]
        await copy("tariff_assignments", records=given, columns=columns)
        await copy("usage_rentals", records=self.rentals)
        for month, name in enumerate(MONTHS):
            await copy("usage_calls", records=self.arriving[month])
            await world.close(name, at=f"{Period.parse(name).next.first_day} 03:00", chunk_merchants=7)


def as_due(invoice: Invoice) -> Due:
    """An invoice in the oracle's words."""
    lines = {
        Line(str(i.kind), i.tariff_id, i.tariff_version, Fraction(i.rate), i.unit_s, (i.tax.mode, Fraction(i.tax.rate)),
             i.starts_at): (i.count, i.quantity)
        for i in invoice.lines
    }  # fmt: skip
    assert len(lines) == len(invoice.lines)
    assert all(Fraction(line.amount) == line.quantity * Fraction(line.rate) for line in invoice.lines)
    return Due(
        lines,
        {(late.tax.mode, Fraction(late.tax.rate)): (late.count, Fraction(late.amount)) for late in invoice.late},
        {(of.tax.mode, Fraction(of.tax.rate)): Fraction(of.base) for of in invoice.taxes},
        *(Fraction(value) for value in (invoice.total_exact, invoice.tax_exact, invoice.carried_in)),
        *(Fraction(value) for value in (invoice.amount_due, invoice.carried_out)),
    )


@pytest.mark.parametrize("seed", [1, 7, 20_261_122])
async def test_the_oracle_agrees_on_every_invoice_and_every_date(world: Any, seed: int) -> None:
    story = Story(seed)
    await story.happen(world)
    expected = story.oracle.invoices()
    invoices = await all_invoices(world)
    assert set(invoices) == set(expected)
    wrong = [
        (key, as_due(invoice), expected[key]) for key, invoice in invoices.items() if as_due(invoice) != expected[key]
    ]
    assert not wrong, f"{len(wrong)} invoices differ, first {wrong[0]}"
    kinds = Counter(line.kind for due in expected.values() for line in due.lines)
    assert set(kinds) == {"rental_day", "calendar_day", "call", "call_setup", "free_minutes"}, "the dice left one out"
    assert sum(invoice.late_count for invoice in invoices.values()) > CALLS / 40
    assert any(invoice.tax_exact for invoice in invoices.values())
    check_numbers(list(invoices.values()))
    await check_dates(world, story.oracle)


async def all_invoices(world: Any) -> dict[tuple[str, int], Invoice]:
    return {
        (invoice.buyer.merchant_id, month): invoice
        for month, name in enumerate(MONTHS)
        for invoice in await world.invoices(name)
    }


def check_numbers(invoices: list[Invoice]) -> None:
    """Gapless in each year of the close."""
    for year in (2027, 2028):
        serials = sorted(i.serial.serial for i in invoices if i.serial.year == year)
        assert serials == list(range(1, len(serials) + 1))


async def check_dates(world: Any, oracle: Oracle) -> None:
    """What the exported rows come to, for each merchant, date and item."""
    owed: dict[tuple[int, str, object, int], Fraction] = defaultdict(Fraction)
    for (month, merchant, day, item, rate), units in oracle.dates.items():
        owed[month, merchant, day.isoformat(), item] += rate * units
    found: dict[tuple[int, str, object, int], Decimal] = defaultdict(Decimal)
    durations: Counter[tuple[int, str, object, int]] = Counter()
    for month, name in enumerate(MONTHS):
        pieces = [piece async for piece in export_csv(world.pool, OfPeriod(period=Period.parse(name)))]
        for row in csv.reader(b"".join(pieces).decode().splitlines()[1:]):
            merchant, day, item, duration, cost = row[:5]
            found[month, merchant, day, int(item)] += Decimal(cost)
            durations[month, merchant, day, int(item)] += int(duration)
    assert {key: Fraction(amount) for key, amount in found.items()} == owed
    assert durations == {(m, who, day.isoformat(), item): n for (m, who, day, item), n in oracle.durations.items()}


def test_another_price_is_seen() -> None:
    """The canary: the oracle's own answers differ when a rule does."""
    at = BEGINNING
    oracle = Oracle([at, at + timedelta(days=31)], [Terms("default", 1, at)], [], {"m": at})
    oracle.binding(1, "m", at, at + timedelta(days=2))
    oracle.call("m", "c", at, at + timedelta(seconds=61), 0, late=False)
    assert oracle.invoices()["m", 0].total == 2 * Fraction("0.00018") + 2 * Fraction("0.02")
