"""Tariff versions: found by instant, added only for the future and never into a closed month."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from billing.errors import TariffInvalid, TariffMissing
from billing.prices import Increments, StartedDay
from billing.tariff_ledger import FURTHEST, LEAD, add_version, load_book
from billing.tariffs import DEFAULT_TARIFF, TariffBook, TariffId, TariffVersion, problems

START = datetime(2026, 10, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def version(number: int, since: datetime, **prices: str) -> TariffVersion:
    return TariffVersion(
        tariff_id=DEFAULT_TARIFF,
        version=number,
        effective_from=since,
        rental=StartedDay(rate=Decimal(prices.get("day", "0.00018"))),
        calls=Increments(minute=Decimal(prices.get("minute", "0.02"))),
    )


async def test_the_seed_is_the_services_own_price(world: Any) -> None:
    seed = (await load_book(world.pool)).at(DEFAULT_TARIFF, START)
    assert (seed.version, seed.rental) == (1, StartedDay(rate=Decimal("0.00018")))
    assert seed.calls == Increments(minute=Decimal("0.02"))


def test_a_version_holds_until_the_next_one() -> None:
    book = TariffBook([version(2, START), version(1, START - timedelta(days=9)), version(3, START + TICK)])
    instants = [START - timedelta(days=9), START - TICK, START, START + TICK, START + timedelta(days=999)]
    assert [book.at(DEFAULT_TARIFF, instant).version for instant in instants] == [1, 1, 2, 3, 3]


@pytest.mark.parametrize(("tariff", "instant"), [("default", START - TICK), ("unknown", START)])
def test_no_price(tariff: str, instant: datetime) -> None:
    with pytest.raises(TariffMissing) as refused:
        TariffBook([version(1, START)]).at(TariffId(tariff), instant)
    assert refused.value.code == "tariff_missing"


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (version(2, START), []),
        (version(2, START, day="-1", minute="NaN"), ["rental.rate must be", "calls.minute must be"]),
        (version(2, START, day="Infinity"), ["rental.rate must be"]),
        (version(2, START, day="0.0000000000001"), ["at most 12 places"]),
    ],
)
def test_all_problems_of_the_terms_are_named(new: TariffVersion, words: list[str]) -> None:
    found = problems(new)
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


@pytest.mark.parametrize("minute", ["0.02", "0.1", "1", "100000", "0.000001", "0.00000000001", "0.000000000001"])
def test_the_price_close_by_can_be_taken(minute: str) -> None:
    def told(price: str) -> list[str]:
        calls = Increments(minute=Decimal(price), first_s=1, next_s=1)
        return problems(msgspec.structs.replace(version(1, START), calls=calls))

    (problem,) = told(minute)
    close_by = problem.rpartition(" ")[2]
    assert told(close_by) == []
    assert abs(Decimal(close_by) - Decimal(minute)) <= max(Decimal(minute) / 50, Decimal("2E-12"))


async def add(world: Any, new: TariffVersion) -> None:
    async with world.pool.acquire() as connection:
        await add_version(connection, new, now=START, author="someone")


async def test_a_version_is_added_and_found(world: Any) -> None:
    await add(world, version(2, START + LEAD, day="0.001"))
    book = await load_book(world.pool)
    assert book.at(DEFAULT_TARIFF, START + LEAD) == version(2, START + LEAD, day="0.001")
    other = msgspec.structs.replace(version(1, START - timedelta(days=99)), tariff_id=TariffId("vip"))
    await add(world, other)
    assert (await load_book(world.pool)).versions(TariffId("vip")) == (other,)


@pytest.mark.parametrize(
    ("number", "since", "words"),
    [
        (3, START + LEAD, "version must be 2"),
        (2, START + LEAD - TICK, "10 minutes"),
        (2, START - timedelta(days=40_000), "between 1970 and"),
        (2, START + FURTHEST + TICK, "three years"),
    ],
)
async def test_what_merchants_pay_changes_in_the_future_only(
    world: Any, number: int, since: datetime, words: str
) -> None:
    with pytest.raises(TariffInvalid, match=words) as refused:
        await add(world, version(number, since))
    assert refused.value.code == "tariff_invalid"


async def test_the_insert_itself_keeps_out_of_closed_months(world: Any) -> None:
    """The checks ran before the mark; the statement that adds the version tests it once more."""
    await world.account("m", opened="2026-10-01 00:00")
    await world.close("2026-10")
    with pytest.raises(TariffInvalid, match="just now"):
        await add(world, version(2, START + LEAD))
