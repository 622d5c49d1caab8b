"""The leap guard and the highest instant, as tables."""

from datetime import UTC, datetime, timedelta

import pytest

from vnum.model.clock import Anchor, leapt, settle

NOW = datetime(2026, 10, 10, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("passed", "elapsed_s", "leap"),
    [
        (timedelta(0), 0, False),
        (HOUR, 0, False),
        (HOUR + TICK, 0, True),
        (2 * HOUR, 3_600, False),
        (2 * HOUR + TICK, 3_600, True),
        (-30 * HOUR, 10, False),
        (timedelta(days=30), 30 * 86_400, False),
        (timedelta(days=30, hours=1, seconds=1), 30 * 86_400, True),
    ],
)
def test_a_leap_is_more_than_an_hour_ahead_of_the_process(passed: timedelta, elapsed_s: float, leap: bool) -> None:
    assert leapt(Anchor(NOW, 1_000.0), NOW + passed, 1_000.0 + elapsed_s) is leap


def test_a_process_that_never_looked_knows_no_leap() -> None:
    assert not leapt(None, NOW + timedelta(days=4_000), 0)


@pytest.mark.parametrize(
    ("server", "highest", "settled"),
    [(NOW, None, NOW), (NOW, NOW - TICK, NOW), (NOW, NOW, NOW), (NOW, NOW + TICK, NOW + TICK)],
)
def test_time_never_runs_backwards(server: datetime, highest: datetime | None, settled: datetime) -> None:
    assert settle(server, highest) == settled
