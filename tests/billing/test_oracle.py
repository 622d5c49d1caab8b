"""Four months of random usage, closed, against a naive recomputation in Fractions that shares no code with billing."""

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any
from uuid import UUID

import pytest

from billing.details import OfPeriod
from billing.export import export_csv
from billing.periods import Period

MONTHS = ["2026-11", "2026-12", "2027-01", "2027-02"]
EDGES = [datetime(2026, 10, 31, 16, tzinfo=UTC), datetime(2026, 11, 30, 16, tzinfo=UTC),
         datetime(2026, 12, 31, 16, tzinfo=UTC), datetime(2027, 1, 31, 16, tzinfo=UTC),
         datetime(2027, 2, 28, 16, tzinfo=UTC)]  # fmt: skip
# (from, a day, a minute), changing twice in mid-month
PRICES = [
    (datetime(1970, 1, 1, tzinfo=UTC), "0.00018", "0.02"),
    (datetime(2026, 12, 11, 5, 30, 0, 1, tzinfo=UTC), "0.000271", "0.0333"),
    (datetime(2027, 1, 20, 16, tzinfo=UTC), "0.0001", "0.07"),
]
MERCHANTS = 40
BINDINGS = 3000
CALLS = 6000


def price(instant: datetime, column: int) -> Fraction:
    return [Fraction(row[column]) for row in PRICES if row[0] <= instant][-1]


def month_of(instant: datetime) -> int:
    return sum(instant >= edge for edge in EDGES) - 1


class Oracle:
    """What each merchant owes each month: day by day, call by call."""

    def __init__(self) -> None:
        self.owed: dict[tuple[str, int], Fraction] = defaultdict(Fraction)
        self.units: dict[tuple[str, int, int], int] = defaultdict(int)
        self.used: set[tuple[str, int]] = set()

    def charge(self, merchant: str, month: int, item: int, units: int, amount: Fraction) -> None:
        self.owed[merchant, month] += amount
        self.units[merchant, month, item] += units
        self.used.add((merchant, month))

    def binding(self, merchant: str, bound: datetime, ended: datetime) -> None:
        day = bound
        while day < ended or day == bound:
            if day < EDGES[-1]:
                self.charge(merchant, month_of(day), 0, 1, price(day, 1))
            day += timedelta(hours=24)

    def call(self, merchant: str, answered: datetime, released: datetime, billed_in: int) -> int:
        seconds, minutes = (released - answered) // timedelta(seconds=1), 0
        while minutes * 60 < seconds:
            minutes += 1
        if minutes:
            self.charge(merchant, billed_in, 1, minutes, minutes * price(answered, 2))
        return minutes

    def invoices(self) -> dict[tuple[str, int], tuple[Fraction, Fraction, Fraction]]:
        """(total, due, carried out), for the months with usage only."""
        found, carried = {}, defaultdict[str, Fraction](Fraction)
        for merchant, month in sorted(self.used):
            total = self.owed[merchant, month]
            balance = carried[merchant] + total
            due = Fraction(floor(abs(balance) * 100 + Fraction(1, 2)), 100) * (1 if balance >= 0 else -1)
            carried[merchant] = balance - due
            found[merchant, month] = (total, due, balance - due)
        return found


def some_instant(dice: random.Random) -> datetime:
    """Anywhere in the four months, or right at an edge or a change of price."""
    if dice.random() < 0.2:
        corner = dice.choice(EDGES[:-1] + [row[0] for row in PRICES[1:]])
        return max(EDGES[0], corner + timedelta(microseconds=dice.choice([-1, 0, 1])))
    return EDGES[0] + dice.random() * (EDGES[-1] - EDGES[0] - timedelta(seconds=1))


def some_call(dice: random.Random, number: int) -> list[Any]:
    """Merchant, order, binding, call, answer, release: mostly short, with the corners of a minute."""
    answered = some_instant(dice)
    talked = dice.choice([dice.uniform(0, 400), dice.choice([0, 0.5, 1, 59, 60, 61, 119.999999, 120, 7416])])
    released = answered + timedelta(seconds=talked)
    merchant = f"m{dice.randrange(MERCHANTS):02}"
    return [merchant, f"o{number}", UUID(int=number), f"call{number}", answered, released]


def call_record(call: list[Any], minutes: int, late: bool) -> tuple[object, ...]:
    """The row that the host keeps of a rated call; rated here by the oracle's own prices."""
    version = sum(row[0] <= call[4] for row in PRICES)
    rate = Decimal(PRICES[version - 1][2])
    seconds = (call[5] - call[4]) // timedelta(seconds=1)
    return (*call, seconds, minutes, minutes, 60, rate, Decimal(0), rate * minutes, "default", version, late)


async def closed_world(world: Any, dice: random.Random) -> Oracle:
    """Fill the host's tables month by month, one call in ten arriving one or two months late, and close each month."""
    oracle = Oracle()
    for n in range(MERCHANTS):
        await world.account(f"m{n:02}", opened="2026-11-01 00:00")
    for number, (since, day, minute) in enumerate(PRICES[1:], start=2):
        await world.owner.execute(
            "INSERT INTO tariffs (tariff_id, version, effective_from, rental_day, call_minute) "
            "VALUES ('default', $1, $2, $3, $4)",
            number,
            since,
            Decimal(day),
            Decimal(minute),
        )
    rentals = []
    for n in range(BINDINGS):
        bound = some_instant(dice)
        ended = bound + dice.choice([timedelta(0), timedelta(days=30), dice.random() * timedelta(days=95)])
        rentals.append((f"m{dice.randrange(MERCHANTS):02}", f"o{n}", UUID(int=n), bound, ended))
        oracle.binding(rentals[-1][0], bound, ended)
    await world.owner.copy_records_to_table("usage_rentals", records=rentals)
    arriving: dict[int, list[tuple[object, ...]]] = defaultdict(list)
    for n in range(CALLS):
        call = some_call(dice, n)
        month = month_of(call[4])
        billed_in = min(month + (dice.random() < 0.1) * dice.choice([1, 2]), len(MONTHS) - 1)
        minutes = oracle.call(call[0], call[4], call[5], billed_in)
        if minutes:
            arriving[billed_in].append(call_record(call, minutes, late=billed_in > month))
    for month, name in enumerate(MONTHS):
        await world.owner.copy_records_to_table("usage_calls", records=arriving[month])
        await world.close(name, at=f"{Period.parse(name).next.first_day} 03:00", chunk_merchants=7)
    return oracle


@pytest.mark.parametrize("seed", [1, 20_261_122])
async def test_four_months_of_random_usage(world: Any, seed: int) -> None:
    oracle = await closed_world(world, random.Random(seed))
    invoices = await world.invoices()
    found = {
        (i.buyer.merchant_id, MONTHS.index(str(i.period))): tuple(
            Fraction(value) for value in (i.total_exact, i.amount_due, i.carried_out)
        )
        for i in invoices
    }
    assert found == oracle.invoices()
    assert sum(i.late_count for i in invoices) > CALLS / 20
    serials = sorted((i.serial.year, i.serial.serial) for i in invoices)
    for year in {year for year, _ in serials}:
        numbers = [serial for of, serial in serials if of == year]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_the_export_has_every_day_and_minute_of_the_oracle(world: Any) -> None:
    oracle = await closed_world(world, random.Random(7))
    units: dict[tuple[str, int, int], int] = defaultdict(int)
    owed: dict[tuple[str, int], Fraction] = defaultdict(Fraction)
    for month, name in enumerate(MONTHS):
        pieces = [piece async for piece in export_csv(world.pool, OfPeriod(period=Period.parse(name)))]
        for row in b"".join(pieces).decode().splitlines()[1:]:
            merchant, _, item, duration, cost = row.split(",")[:5]
            units[merchant, month, int(item)] += int(duration)
            owed[merchant, month] += Fraction(cost)
    assert units == oracle.units
    assert owed == oracle.owed
