"""The billing calendar is that of Asia/Shanghai, wherever the machine stands."""

from datetime import UTC, date, datetime, timedelta

import pytest

from billing.errors import PeriodInvalid
from billing.periods import Period, biz_date


@pytest.mark.parametrize(
    ("text", "starts", "ends"),
    [
        ("2026-10", "2026-09-30T16:00", "2026-10-31T16:00"),
        ("2026-12", "2026-11-30T16:00", "2026-12-31T16:00"),
        ("2027-01", "2026-12-31T16:00", "2027-01-31T16:00"),
        ("2028-02", "2028-01-31T16:00", "2028-02-29T16:00"),
        ("1986-05", "1986-04-30T16:00", "1986-05-31T15:00"),  # Shanghai kept summer time then
    ],
)
def test_a_period_is_a_month_in_shanghai(text: str, starts: str, ends: str) -> None:
    period = Period.parse(text)
    assert str(period) == text
    assert period.starts_at == datetime.fromisoformat(starts).replace(tzinfo=UTC)
    assert period.ends_at == datetime.fromisoformat(ends).replace(tzinfo=UTC)
    assert Period.of(period.starts_at) == period
    assert Period.of(period.ends_at) == period.next
    assert Period.of(period.starts_at - timedelta(microseconds=1)) == period.previous
    assert period.next.previous == period == Period.starting(period.first_day)


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-00", "2026-1", "26-10", "2026-10-01", " 2026-10",
                                  "0000-01", "2026-10\n", "２０２６-10"])  # fmt: skip
def test_not_a_period(text: str) -> None:
    with pytest.raises(PeriodInvalid):
        Period.parse(text)


def test_periods_are_in_order() -> None:
    assert Period.parse("2026-12") < Period.parse("2027-01")


@pytest.mark.parametrize(
    ("instant", "day"),
    [("2026-10-31T15:59:59.999999", date(2026, 10, 31)), ("2026-10-31T16:00:00", date(2026, 11, 1))],
)
def test_biz_date(instant: str, day: date) -> None:
    assert biz_date(datetime.fromisoformat(instant).replace(tzinfo=UTC)) == day


def test_an_instant_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        biz_date(datetime(2026, 10, 1))  # noqa: DTZ001 (what is refused)
