"""Laws of a close, for any usage: however it is cut into months, merchants or chunks, it comes to the same, exactly.

What it must come to is priced here once, as a whole, by `oracle.price` and plain loops over days.
"""

import asyncio
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.close import close
from billing.details import OfPeriod, stream_billed
from billing.invoice import Invoice, problems
from billing.invoices import list_invoices
from billing.periods import Period

from .conftest import WRITE_CALL, World, open_world
from .oracle import Terms, decimal, price

FIRST, LAST = Period.parse("2027-12"), Period.parse("2028-04")
BEGIN = FIRST.starts_at
DAY = timedelta(days=1)
LISTS = {
    "default": Terms("default", 1, BEGIN),
    "fine": Terms("fine", 1, BEGIN, day="0.0000007", minute="0.0003", first=1, next=1, setup="0.004"),
    "taxed": Terms("taxed", 1, BEGIN, day="0.0049", calendar=True, minute="0.03", first=30, next=6, tax_mode="added",
                   tax_rate="0.06"),
}  # fmt: skip
MERCHANTS = {"a": "default", "b": "fine", "c": "taxed", "d": "fine"}


class Rental(NamedTuple):
    merchant: str
    bound: datetime
    ended: datetime


class Call(NamedTuple):
    merchant: str
    answered: datetime
    seconds: int
    late_by: int
    """Months after its own in which it arrives."""


# Instants up to the fourth month's end; lives end before the fifth's, so that all is billed when that is closed.
INSTANTS = st.one_of(
    st.timedeltas(timedelta(0), 120 * DAY),
    st.builds(
        lambda n, micros: max(timedelta(0), n * DAY + timedelta(microseconds=micros)),
        st.sampled_from([0, 31, 62, 91]),
        st.sampled_from([-1, 0, 1]),
    ),
).map(lambda since: BEGIN + since)
LIVES = st.one_of(st.timedeltas(timedelta(0), 30 * DAY), st.sampled_from([timedelta(0), DAY, 30 * DAY]))
RENTALS = st.builds(
    lambda merchant, bound, life: Rental(merchant, bound, bound + life), st.sampled_from("abcd"), INSTANTS, LIVES
)
CALLS = st.builds(Call, st.sampled_from("abcd"), INSTANTS, st.integers(1, 400), st.sampled_from([0, 0, 0, 1, 2]))
USAGE = st.tuples(st.lists(RENTALS, max_size=8), st.lists(CALLS, max_size=8))


class Ledger:
    """A world for many examples, with its own loop."""

    def __init__(self, runner: asyncio.Runner, world: World) -> None:
        self._runner = runner
        self._world = world

    def run(self, usage: tuple[list[Rental], list[Call]], how: str, dice: random.Random) -> list[Invoice]:
        """All invoices of a usage whose months were closed in one way or another; each checked against its details."""
        return self._runner.run(self._run(*usage, how, dice))

    async def _run(self, rentals: list[Rental], calls: list[Call], how: str, dice: random.Random) -> list[Invoice]:
        owner, world = self._world.owner, self._world
        for table in ("usage_rentals", "usage_calls", "periods", "closes", "invoices", "invoice_lines", "invoice_taxes",
                      "invoice_adjustments", "invoice_serials"):  # fmt: skip
            await owner.execute(f"DELETE FROM {table}")
        await owner.copy_records_to_table(
            "usage_rentals", records=[(r.merchant, "o", UUID(int=n), *r[1:]) for n, r in enumerate(rentals)]
        )
        period = FIRST
        while period <= LAST:
            for n, call in enumerate(calls):
                if arrives(call) == period:
                    await owner.execute(WRITE_CALL, *call_row(n, call))
            await close_month(world, period, how, dice)
            async for billed in stream_billed(world.pool, OfPeriod(period=period)):
                rows = [row async for row in billed.details]
                assert sum(Fraction(row.cost) for row in rows) == Fraction(billed.invoice.total_exact)
            period = period.next
        found = await list_invoices(owner)
        assert all(problems(invoice) == [] for invoice in found)
        return found


def arrives(call: Call) -> Period:
    period = Period.of(call.answered)
    for _ in range(call.late_by):
        period = min(LAST, period.next)
    return period


async def close_month(world: World, period: Period, how: str, dice: random.Random) -> None:
    now = period.ends_at + timedelta(hours=3)
    if how == "one by one":
        for merchant in dice.sample(sorted(MERCHANTS), len(MERCHANTS)):
            await close(world.pool, period, now=now, merchant_id=merchant)
    elif how == "some first":
        await close(world.pool, period, now=now, merchant_id=dice.choice(sorted(MERCHANTS)))
        await close(world.pool, period, now=now)
    else:
        await close(world.pool, period, now=now, chunk_merchants=1 if how == "in chunks" else 1000)
        await close(world.pool, period, now=now)


def call_row(n: int, call: Call) -> list[object]:
    terms, released = LISTS[MERCHANTS[call.merchant]], call.answered + timedelta(seconds=call.seconds)
    priced = price(terms, call.answered, released)
    return [
        call.merchant, "o", UUID(int=n), f"call-{n}", call.answered, released, priced.seconds, priced.minutes,
        priced.units, priced.unit_s, decimal(priced.rate), decimal(priced.setup), decimal(priced.cost), terms.tariff, 1,
    ]  # fmt: skip


def whole(merchant: str, rentals: list[Rental], calls: list[Call]) -> Fraction:
    """What all of a merchant's usage costs with its tax, as if there were no months."""
    terms, total = LISTS[MERCHANTS[merchant]], Fraction()
    for rental in rentals:
        if rental.merchant == merchant:
            total += days(rental, calendar=terms.calendar) * Fraction(terms.day)
    for call in calls:
        if call.merchant == merchant:
            total += price(terms, call.answered, call.answered + timedelta(seconds=call.seconds)).cost
    return total * (1 + Fraction(terms.tax_rate)) if terms.tax_mode == "added" else total


def days(rental: Rental, *, calendar: bool) -> int:
    if not calendar:
        return max(1, -((rental.bound - rental.ended) // DAY))
    last = max(rental.bound, rental.ended - timedelta(microseconds=1))
    return ((last + timedelta(hours=8)).date() - (rental.bound + timedelta(hours=8)).date()).days + 1


@pytest.fixture
def ledger(endpoints: Any, schema: str) -> Iterator[Ledger]:
    with asyncio.Runner() as runner:
        opened = open_world(endpoints, schema)
        world = runner.run(opened.__aenter__())
        runner.run(furnish(world))
        yield Ledger(runner, world)
        runner.run(opened.__aexit__(None, None, None))


async def furnish(world: World) -> None:
    for terms in LISTS.values():
        if terms.tariff != "default":
            await world.tariff(
                1, "1970-01-01 08:00", terms.day, terms.minute, tariff=terms.tariff,
                rental_count="calendar_day" if terms.calendar else "started_day", first_s=terms.first,
                next_s=terms.next, setup_fee=Decimal(terms.setup), tax_mode=terms.tax_mode,
                tax_rate=Decimal(terms.tax_rate),
            )  # fmt: skip
    for merchant, tariff in MERCHANTS.items():
        await world.account(merchant, opened="2027-12-01 00:00", tariff=tariff)


MANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_months_add_up_to_the_whole_and_are_rounded_once(ledger: Ledger) -> None:
    @MANY
    @given(USAGE)
    def check(usage: tuple[list[Rental], list[Call]]) -> None:
        invoices = ledger.run(usage, "at once", random.Random(0))
        for merchant in MERCHANTS:
            own = [invoice for invoice in invoices if invoice.buyer.merchant_id == merchant]
            exact = sum((Fraction(i.total_exact) + Fraction(i.tax_exact) for i in own), Fraction())
            assert exact == whole(merchant, *usage)
            carried = Fraction(own[-1].carried_out) if own else Fraction()
            assert sum((Fraction(i.amount_due) for i in own), Fraction()) + carried == exact
            assert abs(carried) <= Fraction(1, 200)
            assert all(earlier.carried_out == later.carried_in for earlier, later in pairwise(own))

    check()


def test_it_does_not_matter_how_a_month_is_closed(ledger: Ledger) -> None:
    @MANY
    @given(USAGE, st.sampled_from(["one by one", "some first", "in chunks"]), st.randoms(use_true_random=False))
    def check(usage: tuple[list[Rental], list[Call]], how: str, dice: random.Random) -> None:
        expected, found = (ledger.run(usage, way, dice) for way in ("at once", how))
        assert [but_the_number(one) for one in found] == [but_the_number(one) for one in expected]
        for year in {one.serial.year for one in found}:
            serials = sorted(one.serial.serial for one in found if one.serial.year == year)
            assert serials == list(range(1, len(serials) + 1))

    check()


def but_the_number(invoice: Invoice) -> tuple[object, ...]:
    return (invoice.buyer, invoice.period, invoice.lines, invoice.late, invoice.taxes, invoice.balance,
            invoice.amount_due, invoice.carried_in, invoice.carried_out, invoice.closed_at)  # fmt: skip
