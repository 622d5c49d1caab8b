"""Laws of the pure parts: windows that meet add up, increments never fall, a split loses no cent; SQL counts alike."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import migrate
from billing.money import half_up
from billing.periods import Period, Span
from billing.prices import CalendarDay, Increments, StartedDay
from billing.tariffs import DEFAULT_TARIFF, Assignment, TariffBook, TariffId, TariffVersion, stretches
from billing.tax import NO_TAX, Tax, TaxShare, share, split

from .oracle import Terms, price
from .test_rental import INSTANTS, SPANS

COUNTS = st.sampled_from([StartedDay, CalendarDay])
CENT = Decimal("0.01")
HOURS = timedelta(hours=8)

# Increments with a price of a minute that has an exact sixtieth, as every tariff's.
INCREMENTS = st.builds(
    Increments,
    minute=st.integers(0, 10_000).map(lambda n: n * Decimal("0.000003")),
    first_s=st.sampled_from([1, 6, 30, 60, 90]),
    next_s=st.sampled_from([1, 6, 7, 30, 60]),
    minimum_s=st.sampled_from([0, 1, 30, 61]),
    free_s=st.sampled_from([0, 1, 5, 60]),
    setup_fee=st.sampled_from([Decimal(0), Decimal("0.0007")]),
)
EARLY = datetime.fromisoformat("2027-01-01T00:00:00+00:00")


@given(COUNTS, INSTANTS, SPANS, st.lists(INSTANTS, max_size=8))
def test_windows_that_meet_add_up(count: Any, bound: datetime, span: timedelta, cuts: list[datetime]) -> None:
    """However a life is cut, its days are those of the whole; each has its one start, in order."""
    rental = Span(bound, bound + span)
    whole = Span(min([bound, *cuts]), max([rental.ends_at, *cuts]) + timedelta(days=1))
    edges = sorted({*cuts, *whole})
    starts = [day.starts_at for a, b in pairwise(edges) for day in count.spans(rental, Span(a, b))]
    assert sum(count.days(rental, Span(a, b)) for a, b in pairwise(edges)) == count.days(rental, whole)
    assert starts == [day.starts_at for day in count.spans(rental, whole)] == sorted(set(starts))
    assert starts[0] == bound


@given(INSTANTS, SPANS)
def test_a_date_is_touched_or_not(bound: datetime, span: timedelta) -> None:
    """The calendar count is that of the dates from the first to that of the last instant, one by one."""
    ended = bound + span
    days = CalendarDay.spans(Span(bound, ended), Span(bound, ended + timedelta(days=2)))
    last = max(bound, ended - timedelta(microseconds=1))
    expected = (last + HOURS).date() - (bound + HOURS).date()
    assert len(list(days)) == expected.days + 1


@given(INSTANTS, SPANS, INSTANTS)
def test_what_is_released_earlier_never_costs_more(bound: datetime, span: timedelta, at: datetime) -> None:
    window = Span(bound, bound + timedelta(days=400))
    sooner = Span(bound, min(bound + span, max(at, bound)))
    for count in (StartedDay, CalendarDay):
        assert 1 <= count.days(sooner, window) <= count.days(Span(bound, bound + span), window)
    started, dates = (count.days(Span(bound, bound + span), window) for count in (StartedDay, CalendarDay))
    assert started <= dates <= started + 1


@pytest.mark.parametrize("session_zone", ["UTC", "America/New_York"])
def test_the_database_counts_the_same(endpoints: Any, schema: str, session_zone: str) -> None:
    """`calendar_days` and `charged_days` against Python; the session's zone, with its summer time, changes nothing."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(endpoints.postgres_admin_dsn))
        runner.run(migrate.apply(connection, schema, migrate.load("billing", "billing")))
        runner.run(connection.execute(f"SET timezone = '{session_zone}'"))
        many = st.lists(st.tuples(INSTANTS, SPANS, INSTANTS, INSTANTS), min_size=1, max_size=60)
        query = """SELECT calendar_days(b, e, s, u), charged_days('calendar_day', b, e, s, u),
            charged_days('started_day', b, e, s, u) FROM unnest($1::timestamptz[], $2::timestamptz[],
            $3::timestamptz[], $4::timestamptz[]) WITH ORDINALITY AS t(b, e, s, u, n) ORDER BY n"""

        @settings(max_examples=30, deadline=None)
        @given(many)
        def check(cases: list[tuple[datetime, timedelta, datetime, datetime]]) -> None:
            rows = [(Span(bound, bound + span), Span(min(a, b), max(a, b))) for bound, span, a, b in cases]
            found = runner.run(connection.fetch(query, *map(list, zip(*((*r, *w) for r, w in rows), strict=True))))
            dates, periods = ([count.days(*row) for row in rows] for count in (CalendarDay, StartedDay))
            assert [tuple(row) for row in found] == list(zip(dates, dates, periods, strict=True))

        check()
        runner.run(connection.close())


@given(INCREMENTS, st.integers(0, 4_000), st.integers(0, 999_999))
def test_a_longer_call_never_costs_less(increments: Increments, seconds: int, micros: int) -> None:
    assert increments.problems() == []
    shorter, longer = (
        increments.rate(EARLY, EARLY + timedelta(seconds=n, microseconds=micros)) for n in (seconds, seconds + 1)
    )
    assert shorter.cost <= longer.cost
    assert shorter.charged_s <= longer.charged_s
    assert shorter.cost == shorter.setup_fee + shorter.units * shorter.rate
    assert shorter.units * shorter.unit_s == shorter.charged_s >= shorter.billed_s or not shorter.billed_s
    assert (shorter.charged_s == 0) == (seconds <= increments.free_s)
    beyond = increments.next_s + max(increments.first_s, increments.minimum_s, shorter.billed_s)
    assert shorter.charged_s < beyond, "less than a whole increment too much"


@given(INCREMENTS, st.integers(0, 4_000))
def test_a_call_costs_what_counting_by_hand_says(increments: Increments, seconds: int) -> None:
    terms = Terms("t", 1, EARLY, minute=str(increments.minute), first=increments.first_s, next=increments.next_s,
                  minimum=increments.minimum_s, free=increments.free_s, setup=str(increments.setup_fee))  # fmt: skip
    released = EARLY + timedelta(seconds=seconds)
    found, expected = increments.rate(EARLY, released), price(terms, EARLY, released)
    assert (found.units, found.unit_s, found.minutes) == (expected.units, expected.unit_s, expected.minutes)
    assert (Fraction(found.rate), Fraction(found.cost)) == (expected.rate, expected.cost)


AMOUNTS = st.decimals(Decimal(-5), Decimal(5_000), places=6)
SHARES = st.lists(
    st.builds(
        lambda mode, rate, base: share(Tax(mode=mode, rate=Decimal(rate)), [base]),
        st.sampled_from(["included", "added"]), st.sampled_from(["0", "0.01", "0.06", "0.13"]), AMOUNTS,
    ),
    min_size=1, max_size=5,
)  # fmt: skip


@given(SHARES, st.decimals(Decimal("-0.005"), Decimal("0.005"), places=6))
def test_a_split_loses_no_cent(shares: list[TaxShare], carried: Decimal) -> None:
    parts = split(shares, carried)
    due = half_up(carried + sum((one.base + one.added for one in shares), Decimal(0)))
    assert sum(part.gross for part in parts) == due
    for part, of in zip(parts, shares, strict=True):
        assert part.gross == part.net + part.tax_amount
        assert part.tax == of.tax
        assert all(amount == amount.quantize(CENT) for amount in (part.gross, part.net, part.tax_amount))
        assert abs(part.net * (1 + part.tax.rate) - part.gross) <= CENT / 2 * (1 + part.tax.rate)
        assert abs(part.gross - of.base - of.added) <= CENT + Decimal("0.005"), "no share pays for another"


VERSIONS = st.lists(st.tuples(st.sampled_from("ab"), INSTANTS), max_size=6)
GIVEN = st.lists(st.tuples(st.sampled_from("abd"), INSTANTS), max_size=5, unique_by=lambda pair: pair[1])


@given(VERSIONS, GIVEN, st.lists(INSTANTS, max_size=12))
def test_each_instant_has_one_version(
    versions: list[tuple[str, datetime]], given_: list[tuple[str, datetime]], asked: list[datetime]
) -> None:
    """The stretches of a month cover it without a gap or overlap, each with the version that a plain look-up finds."""
    month = Period.parse("2027-11").span
    beginning = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    known = {(tariff, beginning) for tariff in ("default", "a", "b")} | set(versions)
    book = TariffBook(
        TariffVersion(tariff_id=TariffId(tariff), version=n, effective_from=since, tax=NO_TAX,
                      rental=StartedDay(rate=Decimal(1)), calls=Increments(minute=Decimal("0.02")))
        for n, (tariff, since) in enumerate(sorted(known), start=1)
    )  # fmt: skip
    names = {"a": "a", "b": "b", "d": str(DEFAULT_TARIFF)}
    assigned = [Assignment(merchant_id="m", effective_from=at, tariff_id=TariffId(names[who])) for who, at in given_]
    found = stretches(book, assigned, month)
    assert [found[0].span.starts_at, found[-1].span.ends_at] == list(month)
    assert all(one.span.ends_at == two.span.starts_at for one, two in pairwise(found))
    assert all(one.version != two.version for one, two in pairwise(found))
    for at in [month.starts_at, *(at for at in asked if month.starts_at <= at < month.ends_at)]:
        tariff = "default"
        for one in sorted(assigned, key=lambda a: a.effective_from):
            tariff = one.tariff_id if one.effective_from <= at else tariff
        since = max(since for name, since in known if name == tariff and since <= at)
        (version,) = (one.version for one in found if one.span.starts_at <= at < one.span.ends_at)
        assert (version.tariff_id, version.effective_from) == (tariff, since)
