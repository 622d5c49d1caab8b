"""Rental days (billing rule 6.2): each 24 hours that a binding starts, in the window in which they start."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import migrate
from billing.periods import Period, Span
from billing.prices.started_day import DAY, StartedDay

SPANS = st.one_of(
    st.timedeltas(timedelta(0), timedelta(days=180)),
    st.integers(0, 180).map(lambda days: days * DAY),
    st.builds(
        lambda days, off: max(timedelta(0), days * DAY + off),
        st.integers(0, 180),
        st.sampled_from([timedelta(microseconds=-1), timedelta(microseconds=1)]),
    ),
)
# From before a leap day until after a year's end, with the corners: month starts and a microsecond beside them.
CORNERS = [Period(year=y, month=m).starts_at for y in (2027, 2028) for m in range(1, 13)]
INSTANTS = st.one_of(
    st.datetimes(datetime(2027, 1, 1), datetime(2028, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.builds(
        lambda corner, micros: corner + timedelta(microseconds=micros),
        st.sampled_from(CORNERS),
        st.sampled_from([-1, 0, 1]),
    ),
)


def naive(bound: datetime, ended: datetime, start: datetime, end: datetime) -> list[datetime]:
    """Day by day, as one would count on a calendar."""
    days = [bound]
    while days[-1] + DAY < ended:
        days.append(days[-1] + DAY)
    return [day for day in days if start <= day < end]


@given(INSTANTS, SPANS, INSTANTS, INSTANTS)
def test_closed_form_is_the_naive_listing(bound: datetime, span: timedelta, a: datetime, b: datetime) -> None:
    rental, window = Span(bound, bound + span), Span(min(a, b), max(a, b))
    expected = naive(*rental, *window)
    assert [day.starts_at for day in StartedDay.spans(rental, window)] == expected
    assert StartedDay.days(rental, window) == len(expected)


@given(INSTANTS, SPANS, st.lists(INSTANTS, max_size=8))
def test_any_cut_adds_up_to_the_whole(bound: datetime, span: timedelta, cuts: list[datetime]) -> None:
    ended = bound + span
    edges = sorted([*cuts, bound - DAY, max([ended, bound, *cuts]) + DAY])
    edges[0] = min(edges[0], bound)
    parts = [StartedDay.days(Span(bound, ended), Span(a, b)) for a, b in pairwise(edges)]
    assert sum(parts) == max(1, -(-(ended - bound) // DAY))


@given(INSTANTS, st.integers(1, 90))
def test_months_add_up(bound: datetime, days: int) -> None:
    period, ended, charged = Period.of(bound), bound + days * DAY, 0
    while period.starts_at < ended:
        charged += StartedDay.days(Span(bound, ended), period.span)
        period = period.next
    assert charged == days


@pytest.mark.parametrize(
    ("bound", "ended", "days"),
    [
        ("2026-10-01T00:00:00", "2026-10-31T00:00:00", 30),  # 30 days exactly: 30, not 31
        ("2026-10-01T00:00:00", "2026-10-01T00:00:00", 1),  # at least one
        ("2026-10-01T00:00:00", "2026-10-01T00:00:00.000001", 1),
        ("2026-10-01T00:00:00", "2026-10-02T00:00:00", 1),
        ("2026-10-01T00:00:00", "2026-10-02T00:00:00.000001", 2),  # started
        ("2028-02-01T00:00:00", "2028-03-01T00:00:00", 29),  # leap day
    ],
)
def test_days_charged(bound: str, ended: str, days: int) -> None:
    start, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (bound, ended))
    assert StartedDay.days(Span(start, end), Span(start, end + DAY)) == days


@pytest.mark.parametrize("session_zone", ["UTC", "Asia/Shanghai", "America/New_York"])
def test_the_database_counts_the_same(endpoints, schema: str, session_zone: str) -> None:
    """`rental_days` against Python on random bindings; the session's zone (with summer time) changes nothing."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(endpoints.postgres_admin_dsn))
        runner.run(migrate.apply(connection, schema, migrate.load("billing", "billing")))
        runner.run(connection.execute(f"SET timezone = '{session_zone}'"))
        many = st.lists(st.tuples(INSTANTS, SPANS, INSTANTS, INSTANTS), min_size=1, max_size=60)

        @settings(max_examples=30, deadline=None)
        @given(many)
        def check(cases: list[tuple[datetime, timedelta, datetime, datetime]]) -> None:
            rows = [(bound, bound + span, min(a, b), max(a, b)) for bound, span, a, b in cases]
            query = """SELECT rental_days(b, e, s, u) FROM unnest($1::timestamptz[], $2::timestamptz[],
                $3::timestamptz[], $4::timestamptz[]) WITH ORDINALITY AS t(b, e, s, u, n) ORDER BY n"""
            found = runner.run(connection.fetch(query, *map(list, zip(*rows, strict=True))))
            assert [row[0] for row in found] == [StartedDay.days(Span(*row[:2]), Span(*row[2:])) for row in rows]

        check()
        runner.run(connection.close())
