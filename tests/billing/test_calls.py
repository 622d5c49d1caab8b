"""Rating a call (billing rule 6.4), as a table."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.calls import CallRater, rate_call
from billing.errors import TariffMissing
from billing.prices import Increments, StartedDay
from billing.prices.increments import seconds
from billing.tariffs import TariffBook, TariffId, TariffVersion

ANSWER = datetime(2026, 10, 3, 4, 5, 6, tzinfo=UTC)
TARIFF = TariffVersion(
    tariff_id=TariffId("default"),
    version=1,
    effective_from=datetime(1970, 1, 1, tzinfo=UTC),
    rental=StartedDay(rate=Decimal("0.00018")),
    calls=Increments(minute=Decimal("0.02")),
)


@pytest.mark.parametrize(
    ("talked", "whole_seconds", "started_minutes", "cost"),
    [
        (0, 0, 0, "0"),
        (0.999999, 0, 0, "0"),
        (1, 1, 1, "0.02"),
        (1.5, 1, 1, "0.02"),
        (59, 59, 1, "0.02"),
        (60, 60, 1, "0.02"),
        (60.999, 60, 1, "0.02"),
        (61, 61, 2, "0.04"),
        (7416, 7416, 124, "2.48"),
        (3 * 86_400, 259_200, 4320, "86.4"),
    ],
)
def test_started_minutes(talked: float, whole_seconds: int, started_minutes: int, cost: str) -> None:
    rated = rate_call(ANSWER, ANSWER + timedelta(seconds=talked), TARIFF)
    assert (rated.seconds, rated.minutes, rated.cost) == (whole_seconds, started_minutes, Decimal(cost))
    assert rated.cost == rated.minutes * rated.rate
    assert (rated.rate, rated.tariff_id, rated.tariff_version) == (Decimal("0.02"), "default", 1)


def test_not_answered_is_free() -> None:
    rated = rate_call(None, ANSWER, TARIFF)
    assert (rated.seconds, rated.minutes, rated.cost) == (0, 0, 0)


def test_released_before_answered_is_not_a_call() -> None:
    with pytest.raises(ValueError, match="released"):
        seconds(ANSWER, ANSWER - timedelta(microseconds=1))


@given(st.integers(0, 10**6))
def test_minutes_are_the_least_that_hold_the_seconds(whole_seconds: int) -> None:
    charged = rate_call(ANSWER, ANSWER + timedelta(seconds=whole_seconds), TARIFF).minutes
    assert charged * 60 >= whole_seconds > (charged - 1) * 60 or charged == whole_seconds == 0


@pytest.mark.parametrize(
    ("answered", "rate"),
    [("2026-10-14T15:59:59.999999", "0.02"), ("2026-10-14T16:00:00", "0.03"), ("2026-10-15T12:00:00", "0.03")],
)
def test_the_tariff_in_force_at_the_answer_prices_the_whole_call(answered: str, rate: str) -> None:
    later = TariffVersion(
        tariff_id=TARIFF.tariff_id,
        version=2,
        effective_from=datetime(2026, 10, 14, 16, tzinfo=UTC),
        rental=TARIFF.rental,
        calls=Increments(minute=Decimal("0.03")),
    )
    answer = datetime.fromisoformat(answered).replace(tzinfo=UTC)
    version = TariffBook([later, TARIFF]).at(TARIFF.tariff_id, answer)
    assert rate_call(answer, answer + timedelta(minutes=10), version).cost == 10 * Decimal(rate)


OTHER = TariffVersion(
    tariff_id=TariffId("other"),
    version=1,
    effective_from=ANSWER,
    rental=TARIFF.rental,
    calls=Increments(minute=Decimal("0.03"), first_s=6, next_s=6, free_s=2, setup_fee=Decimal("0.01")),
)
DEARER = msgspec.structs.replace(
    OTHER, version=2, effective_from=ANSWER + timedelta(hours=1), calls=Increments(minute=Decimal("0.05"))
)
BOOK = TariffBook([TARIFF, OTHER, DEARER])
offsets = st.integers(0, 7_200_000).map(lambda milliseconds: timedelta(milliseconds=milliseconds))


@given(st.lists(st.tuples(st.sampled_from(["default", "other"]), offsets, st.none() | offsets), max_size=40))
def test_calls_rated_together_cost_what_each_does_alone(calls: list[tuple[str, timedelta, timedelta | None]]) -> None:
    rater = CallRater(BOOK)
    for tariff, begun, talked in calls * 2:
        at = ANSWER + begun
        answered, released = (None, at) if talked is None else (at, at + talked)
        alone = rate_call(answered, released, BOOK.at(TariffId(tariff), at))
        assert rater.rate(TariffId(tariff), at, answered, released) == alone


def test_calls_of_one_price_share_it() -> None:
    rater = CallRater(BOOK)
    first, second = (rater.rate(TARIFF.tariff_id, at, at, at + timedelta(seconds=61)) for at in (ANSWER, ANSWER))
    assert first is second


def test_a_call_before_the_tariff_has_no_price() -> None:
    with pytest.raises(TariffMissing):
        CallRater(BOOK).rate(OTHER.tariff_id, ANSWER - timedelta(seconds=1), None, ANSWER)
