"""The day on which a slot may be free again: never too early, at most a day late, never a wrong "never"."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnum.model.instants import EPOCH, FOREVER, NEVER_DAY, day_of, free_day

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
MIDNIGHT = EPOCH + 20_000 * DAY


@pytest.mark.parametrize(
    ("held_until", "day"),
    [
        (MIDNIGHT, 20_000),
        (MIDNIGHT + TICK, 20_001),
        (MIDNIGHT + DAY - TICK, 20_001),
        (MIDNIGHT + DAY, 20_001),
        (MIDNIGHT - TICK, 20_000),
        (EPOCH, 0),
        (FOREVER, NEVER_DAY),
        (datetime(9999, 1, 1, tzinfo=UTC), NEVER_DAY),
        (datetime(9998, 12, 31, tzinfo=UTC), NEVER_DAY - 1),
        (EPOCH + 65_534 * DAY, 65_534),
        (EPOCH + 70_000 * DAY, 65_534),
    ],
)
def test_free_day(held_until: datetime, day: int) -> None:
    assert free_day(held_until) == day


@given(st.timedeltas(timedelta(0), timedelta(days=65_000)).map(lambda span: EPOCH + span))
def test_a_slot_is_never_offered_before_its_time_nor_a_day_after(held_until: datetime) -> None:
    begins = EPOCH + free_day(held_until) * DAY
    assert held_until <= begins < held_until + DAY


@given(st.timedeltas(timedelta(0), timedelta(days=84_000)).map(lambda span: EPOCH + span))
def test_an_instant_lies_in_its_day(instant: datetime) -> None:
    assert EPOCH + day_of(instant) * DAY <= instant < EPOCH + (day_of(instant) + 1) * DAY
