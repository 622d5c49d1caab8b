"""Tariff versions: found by instant, added only for the future and never into a closed month."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from billing.errors import TariffInvalid, TariffMissing
from billing.tariffs import (
    DEFAULT_TARIFF,
    TariffBook,
    TariffId,
    TariffVersion,
    add_version,
    load_book,
    problems,
)

START = datetime(2026, 10, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def version(number: int, since: datetime, **prices: str) -> TariffVersion:
    return TariffVersion(
        tariff_id=DEFAULT_TARIFF,
        version=number,
        effective_from=since,
        rental_day=Decimal(prices.get("day", "0.00018")),
        call_minute=Decimal(prices.get("minute", "0.02")),
    )


async def test_the_seed_is_the_services_own_price(world: Any) -> None:
    seed = (await load_book(world.pool)).at(DEFAULT_TARIFF, START)
    assert (seed.version, seed.rental_day, seed.call_minute) == (1, Decimal("0.00018"), Decimal("0.02"))


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
        (version(3, START), ["version must be 2"]),
        (version(2, START - timedelta(days=40)), ["after that of version 1", "in the past", "closed period"]),
        (version(2, START - TICK), ["in the past"]),
        (version(2, START, day="-1", minute="NaN"), ["rental_day must be", "call_minute must be"]),
        (version(2, START, day="Infinity"), ["rental_day must be"]),
    ],
)
def test_all_problems_are_named(new: TariffVersion, words: list[str]) -> None:
    book = TariffBook([version(1, START - timedelta(days=35))])
    found = problems(new, book, now=START, closed_until=START - timedelta(days=30))
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


async def test_a_version_is_added_and_found(world: Any) -> None:
    await add_version(world.owner, version(2, START, day="0.001"), now=START)
    book = await load_book(world.pool)
    assert book.at(DEFAULT_TARIFF, START) == version(2, START, day="0.001")
    other = msgspec.structs.replace(version(1, START), tariff_id=TariffId("vip"))
    await add_version(world.owner, other, now=START)
    assert (await load_book(world.pool)).versions(TariffId("vip")) == (other,)


async def test_a_version_never_begins_in_a_closed_month(world: Any) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    await world.close("2026-10", at="2026-11-01 03:00")
    end = world.at("2026-11-01 00:00")
    with pytest.raises(TariffInvalid, match="closed period") as refused:
        await add_version(world.owner, version(2, end - TICK), now=end - TICK)
    assert refused.value.code == "tariff_invalid"
    await add_version(world.owner, version(2, end), now=end)


async def test_a_mark_made_meanwhile_is_seen_by_the_insert_itself(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks ran before the mark; the statement that adds the version tests it once more."""
    await world.account("m", opened="2026-10-01 00:00")
    await world.close("2026-10")
    monkeypatch.setattr("billing.tariffs.problems", lambda *_, **__: [])
    with pytest.raises(TariffInvalid, match="closed just now"):
        await add_version(world.owner, version(2, START), now=START)
