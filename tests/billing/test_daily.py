"""Daily bills and usage by date: every date of a month, whatever it was priced by, adds up to the month's invoice."""

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.daily import Charge, Chosen, DailyPage, daily_page, stream_daily
from billing.daily_csv import COLUMNS, daily_csv
from billing.draft import draft
from billing.errors import DateInvalid
from billing.invoice import Item, Kind
from billing.periods import TICK, Period
from billing.usage import Dates, first_day_prices, spent, sum_of, usage_by_date

from .test_oracle import MONTHS, Story

LATER = "2030-01-01 00:00"


def dates_of(period: str) -> list[date]:
    first = Period.parse(period).first_day
    return [first + timedelta(days=n) for n in range((Period.parse(period).next.first_day - first).days)]


async def rows_of(world: Any, day: date, *, now: str = LATER, merchants: list[str] | None = None) -> list[Charge]:
    chosen = Chosen(biz_date=day, now=world.at(now), merchant_ids=merchants)
    return [row async for row in stream_daily(world.pool, chosen)]


async def page_of(world: Any, day: str, page_no: int = 1, page_size: int = 100, **chosen: Any) -> DailyPage:
    given = {"now": world.at(LATER)} | chosen
    async with world.pool.acquire() as connection:
        return await daily_page(
            connection, Chosen(biz_date=date.fromisoformat(day), **given), page_no=page_no, page_size=page_size
        )


async def costs(world: Any, day: str, **chosen: Any) -> list[tuple[int, int, str]]:
    """(item, duration, cost) of each row."""
    page = await page_of(world, day, page_size=1000, **chosen)
    return [(int(row.bill_item), row.bill_duration, format(row.cost.normalize(), "f")) for row in page.rows]


@pytest.mark.parametrize("seed", [3])
async def test_the_dates_of_random_months_are_the_invoices(world: Any, seed: int) -> None:
    """The lines of each month, and its late calls wherever they were billed: to the last digit."""
    await world.owner.execute("CREATE INDEX ON usage_rentals (merchant_id, bound_at)")
    story = Story(seed, bindings=1500, calls=1500)
    await story.happen(world)
    owed: Counter[tuple[str, str]] = Counter()
    for invoice in await world.invoices():
        owed[invoice.buyer.merchant_id, str(invoice.period)] += invoice.total_exact - invoice.late_total
    for row in await world.owner.fetch("SELECT merchant_id, biz_date, amount FROM invoice_adjustments"):
        owed[row["merchant_id"], f"{row['biz_date']:%Y-%m}"] += row["amount"]
    found: Counter[tuple[str, str]] = Counter()
    names = list(story.opened)
    before = str(Period.parse(MONTHS[0]).previous)  # a slow clock may date a call before the first month
    for period in [before, *MONTHS]:
        month = dates_of(period)
        used = await usage_by_date(
            world.owner, names, Dates(since=month[0], until=month[-1] + timedelta(days=1), now=world.at(LATER))
        )
        by_date = {(day.merchant_id, day.biz_date): day for day in used}
        for day in month:
            rows = await rows_of(world, day)
            for row in rows:
                found[row.merchant_id, period] += row.cost
            for name in names:
                own = [row for row in rows if row.merchant_id == name]
                counted = by_date[name, day]
                assert counted.cost == sum(row.cost for row in own)
                assert counted.calls == sum(row.bill_item is Item.CALL for row in own)
                assert counted.rental_days == sum(row.bill_duration for row in own if row.bill_item is Item.RENTAL)
    assert {key: amount for key, amount in found.items() if amount} == {
        key: amount for key, amount in owed.items() if amount
    }


# What one row costs


async def test_a_day_is_on_the_date_on_which_it_starts(world: Any) -> None:
    await world.account("m")
    await world.rental("m", "2026-10-03 23:59", "2026-10-05 23:59")
    assert await costs(world, "2026-10-02") == []
    assert await costs(world, "2026-10-03") == [(0, 1, "0.00018")]
    assert await costs(world, "2026-10-04") == [(0, 1, "0.00018")]
    assert await costs(world, "2026-10-05") == []


async def test_calendar_days_start_at_midnight(world: Any) -> None:
    await world.account("m", tariff="dates")
    await world.tariff(1, "2026-01-01 00:00", "0.001", "0.02", tariff="dates", rental_count="calendar_day")
    await world.rental("m", "2026-10-03 23:59", "2026-10-05 00:01")
    for day, rows in (("2026-10-03", 1), ("2026-10-04", 1), ("2026-10-05", 1), ("2026-10-06", 0)):
        assert await costs(world, day) == [(0, 1, "0.001")] * rows, day


async def test_a_day_is_priced_by_the_tariff_in_force_when_it_starts(world: Any) -> None:
    await world.account("m")
    await world.tariff(2, "2026-10-04 12:00", "0.5", "1")
    await world.rental("m", "2026-10-03 11:00", "2026-10-09 11:00", order="early")
    await world.rental("m", "2026-10-03 13:00", "2026-10-09 13:00", order="late")
    page = await page_of(world, "2026-10-04")
    assert [(row.order_id, row.cost) for row in page.rows] == [("early", Decimal("0.00018")), ("late", Decimal("0.5"))]


async def test_an_assignment_holds_from_its_instant_on(world: Any) -> None:
    await world.account("m")
    await world.tariff(1, "2026-01-01 00:00", "3", "4", tariff="vip")
    await world.assign("m", "vip", "2026-10-05 00:00")
    await world.rental("m", "2026-10-03 00:00", "2026-10-07 00:00")
    assert [await costs(world, f"2026-10-0{n}") for n in (4, 5)] == [[(0, 1, "0.00018")], [(0, 1, "3")]]


async def test_free_minutes_are_taken_over_the_month_in_order_of_answer(world: Any) -> None:
    await world.tariff(
        1,
        "2026-01-01 00:00",
        "0",
        "0.6",
        tariff="plan",
        free_minutes=5,
        setup_fee=Decimal("0.1"),
        first_s=30,
        next_s=30,
    )
    await world.account("m", opened="2026-10-01 00:00", tariff="plan")
    await world.call("m", "2026-10-02 10:00", "2026-10-02 10:03", "b")  # 3 minutes free
    await world.call("m", "2026-10-03 10:00", "2026-10-03 10:01:30", "c")  # 1.5 minutes free
    await world.call("m", "2026-10-03 11:00", "2026-10-03 11:02", "d")  # half a minute free
    await world.call("m", "2026-11-01 00:00", "2026-11-01 00:01", "e")  # the next month begins anew
    assert await costs(world, "2026-10-02") == [(1, 3, "0.1")]
    assert await costs(world, "2026-10-03") == [(1, 2, "0.1"), (1, 2, "1")]
    assert await costs(world, "2026-11-01") == [(1, 1, "0.1")]
    await world.close("2026-10")
    await world.call(
        "m", "2026-10-02 09:00", "2026-10-02 09:01", "late"
    )  # first by its answer, but takes no free minute
    assert await costs(world, "2026-10-02") == [(1, 1, "0.7"), (1, 3, "0.1")]
    assert await costs(world, "2026-10-03") == [(1, 2, "0.1"), (1, 2, "1")]


async def test_of_today_only_what_has_started(world: Any) -> None:
    await world.account("m")
    await world.rental("m", "2026-10-03 18:00", "2026-11-02 18:00")
    at = {"now": world.at("2026-10-05 17:59")}
    assert await costs(world, "2026-10-04", **at) == [(0, 1, "0.00018")]
    assert await costs(world, "2026-10-05", **at) == []
    assert await costs(world, "2026-10-05", now=world.at("2026-10-05 18:00")) == [(0, 1, "0.00018")]


@pytest.mark.parametrize("day", ["2026-10-06", "2027-01-01", "9999-12-31", "1969-12-31", "0001-01-01"])
async def test_a_date_that_has_no_bill(world: Any, day: str) -> None:
    with pytest.raises(DateInvalid):
        await page_of(world, day, now=world.at("2026-10-05 23:59"))


# Pages


async def test_pages_follow_one_another(world: Any) -> None:
    await world.account("m")
    await world.account("a")
    for n in range(7):
        await world.rental("m" if n % 2 else "a", f"2026-10-03 0{n}:00", "2026-10-09 11:00", order=f"o{n}")
    await world.call("a", "2026-10-03 00:30", "2026-10-03 00:31", "c")
    whole = await page_of(world, "2026-10-03")
    assert (whole.total, whole.cost) == (8, 7 * Decimal("0.00018") + Decimal("0.02"))
    assert [(row.merchant_id, row.order_id) for row in whole.rows] == [
        *(("a", f"o{n}") for n in (0, 2, 4, 6)), ("a", "order-c"), *(("m", f"o{n}") for n in (1, 3, 5)),
    ]  # fmt: skip
    pages = [await page_of(world, "2026-10-03", n, 3) for n in (1, 2, 3, 4)]
    assert [len(page.rows) for page in pages] == [3, 3, 2, 0]
    assert tuple(row for page in pages for row in page.rows) == whole.rows
    assert {(page.total, page.cost) for page in pages} == {(whole.total, whole.cost)}
    own = await page_of(world, "2026-10-03", merchant_ids=["m", "nobody"])
    assert (own.total, {row.merchant_id for row in own.rows}) == (3, {"m"})
    assert (await page_of(world, "2026-10-03", merchant_ids=[])).total == 0
    assert tuple(await rows_of(world, date(2026, 10, 3))) == whole.rows


async def test_the_file_has_every_row_and_no_formula(world: Any) -> None:
    await world.account("m")
    for n in range(3000):
        await world.rental("m", "2026-10-03 08:00", "2026-10-03 09:00", order=f"=o{n}")
    chosen = Chosen(biz_date=date(2026, 10, 3), now=world.at(LATER))
    pieces = [piece async for piece in daily_csv(world.pool, chosen)]
    lines = b"".join(pieces).decode().splitlines()
    assert len(pieces) > 1
    assert (
        lines[0] == ",".join(COLUMNS) == "merchant_id,biz_date,bill_item,bill_duration,cost,order_id,binding_id,call_id"
    )
    assert len(lines) == 3001
    assert all(line.startswith("m,2026-10-03,0,1,0.00018,'=o") for line in lines[1:])


# Usage


async def test_how_many_numbers_live(world: Any) -> None:
    await world.account("m")
    await world.rental("m", "2026-10-03 12:00", "2026-10-05 12:00")
    await world.rental("m", "2026-10-04 00:00", "2026-10-05 00:00")
    await world.rental("m", "2026-10-04 06:00", "2026-10-04 07:00")
    now = world.at("2026-10-05 10:00")
    used = await usage_by_date(world.owner, ["m"], Dates(since=date(2026, 10, 2), until=date(2026, 10, 6), now=now))
    assert [(day.biz_date.day, day.new, day.live_numbers) for day in used] == [
        (2, 0, 0),
        (3, 1, 1),
        (4, 2, 2),
        (5, 0, 1),
    ]
    assert sum_of(used).new == 3


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-10-05", "2026-10-05"),
        ("2026-10-05", "2026-10-04"),
        ("2026-10-05", "2026-10-07"),
        ("2026-07-05", "2026-10-06"),
        ("1969-12-31", "1970-01-02"),
        ("2026-10-05", "9999-12-31"),
        ("0001-01-01", "0001-01-02"),
    ],
)
async def test_dates_that_can_not_be_shown(world: Any, since: str, until: str) -> None:
    dates = Dates(since=date.fromisoformat(since), until=date.fromisoformat(until), now=world.at("2026-10-05 12:00"))
    with pytest.raises(DateInvalid):
        await usage_by_date(world.owner, ["m"], dates)


async def test_what_was_spent_has_added_tax_and_no_free_minutes(world: Any) -> None:
    terms = {"free_minutes": 2, "tax_mode": "added", "tax_rate": Decimal("0.06")}
    await world.tariff(1, "2026-01-01 00:00", "0.1", "0.5", tariff="plan", **terms)
    await world.account("m", tariff="plan")
    await world.account("other")
    await world.rental("m", "2026-09-29 12:00", "2026-10-29 12:00")
    await world.call("m", "2026-10-02 10:00", "2026-10-02 10:03")
    now = world.at("2026-10-03 11:59")
    assert await spent(world.owner, ["m", "other"], now) == {
        "m": Decimal("0.742"),
        "other": 0,
    }  # 1.06 x (2 x 0.1 + 0.5)
    assert await spent(world.owner, ["m"], world.at("2026-10-01 00:00")) == {"m": Decimal("0.53")}  # the call is known
    assert await first_day_prices(world.owner, ["m", "other"], now) == {
        "m": Decimal("0.106"),
        "other": Decimal("0.00018"),
    }


# Any tariff

MINUTES_OF_A_MONTH = 30 * 1440
PRICE = st.sampled_from(["0", "0.00018", "0.0333", "0.6", "3", "12.000003"])
TERMS = st.fixed_dictionaries(
    {
        "rental_count": st.sampled_from(["started_day", "calendar_day"]),
        "first_s": st.sampled_from([60, 30, 6, 1]),
        "next_s": st.sampled_from([60, 6, 1]),
        "minimum_s": st.sampled_from([0, 45]),
        "free_s": st.sampled_from([0, 5]),
        "setup_fee": st.sampled_from([Decimal(0), Decimal("0.05")]),
        "free_minutes": st.sampled_from([0, 0, 3, 50]),
        "tax_mode": st.sampled_from(["included", "added"]),
        "tax_rate": st.sampled_from([Decimal(0), Decimal("0.06")]),
    }
)
MINUTE = st.integers(-5 * 1440, MINUTES_OF_A_MONTH - 1)
RENTALS = st.lists(st.tuples(MINUTE, st.integers(0, 40 * 1440)), max_size=6)
CALLS = st.lists(st.tuples(MINUTE, st.integers(0, 400), st.booleans()), max_size=10)
CHANGES = st.lists(
    st.tuples(st.integers(0, MINUTES_OF_A_MONTH), PRICE, st.sampled_from(["0.6", "0.0333", "3"]), TERMS), max_size=3
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=TERMS, changes=CHANGES, rentals=RENTALS, calls=CALLS, since=st.integers(0, MINUTES_OF_A_MONTH))
async def test_whatever_the_tariff_the_dates_are_the_lines(
    world: Any, first: Any, changes: Any, rentals: Any, calls: Any, since: int
) -> None:
    """A merchant of a tariff of his own, from some instant of November on, which changes up to three times in it."""
    number = world.next_id()
    merchant, tariff = f"any-{number}", f"terms-{number}"
    start = world.at("2026-11-01 00:00")

    def at(minute: int) -> str:
        return f"{start + timedelta(hours=8, minutes=minute):%Y-%m-%d %H:%M}"

    await world.account(merchant, opened="2026-10-01 00:00")
    await world.tariff(1, "2026-01-01 00:00", "0.0101", "0.6", tariff=tariff, **first)
    edges = dict.fromkeys(minute for minute, *_ in changes)
    for version, edge in enumerate(sorted(edges), 2):
        _, day, price, terms = next(change for change in changes if change[0] == edge)
        await world.tariff(version, at(edge), day, price, tariff=tariff, **terms)
    await world.assign(merchant, tariff, at(since) if since % 3 else "2026-10-01 00:00")
    for bound, length in rentals:
        await world.rental(merchant, at(bound), at(bound + length))
    for answered, seconds, late in calls:
        if not late:
            await call(world, merchant, start + timedelta(minutes=answered), seconds)
    await world.close("2026-10", merchant_id=merchant)
    await the_draft_is_what_was_spent(world, merchant)
    await world.close("2026-11", merchant_id=merchant)
    for answered, seconds, late in calls:
        if late:
            await call(world, merchant, start + timedelta(minutes=answered), seconds)
    await agree(world, merchant)


async def call(world: Any, merchant: str, answered: Any, seconds: int) -> None:
    texts = [
        f"{instant + timedelta(hours=8):%Y-%m-%d %H:%M:%S}"
        for instant in (answered, answered + timedelta(seconds=seconds))
    ]
    row = await world.call_row(merchant, *texts, f"call-{world.next_id():05}")
    if row[8]:  # charged ones only are in usage_calls
        await world.call(merchant, *texts, row[3])


async def the_draft_is_what_was_spent(world: Any, merchant: str) -> None:
    """At the month's last instant; what a draft takes of months before is no spending of this one."""
    now = world.at("2026-12-01 00:00") - TICK
    drafts = await draft(world.pool, Period.parse("2026-11"), now=now, merchant_ids=[merchant])
    owed = sum(one.total_exact + one.tax_exact for one in drafts)
    assert await spent(world.owner, [merchant], now) == {merchant: owed}
    assert await spent(world.owner, [merchant], now, timedelta(days=400)) == {merchant: owed}


async def agree(world: Any, merchant: str) -> None:
    rows = [row for day in dates_of("2026-11") for row in await rows_of(world, day, merchants=[merchant])]
    invoices = [i for i in await world.invoices("2026-11") if i.buyer.merchant_id == merchant]
    late = Decimal(0) + sum(
        row["cost"]
        for row in await world.owner.fetch("SELECT * FROM usage_calls WHERE merchant_id = $1 AND late", merchant)
        if Period.of(row["answered_at"]) == Period.parse("2026-11")
    )
    lines = [line for invoice in invoices for line in invoice.lines]
    assert sum(row.cost for row in rows) == sum(line.amount for line in lines) + late
    days = sum(line.quantity for line in lines if line.item is Item.RENTAL)
    assert sum(row.bill_duration for row in rows if row.bill_item is Item.RENTAL) == days
    in_time = sum(line.count for line in lines if line.kind is Kind.CALL)
    assert sum(row.bill_item is Item.CALL for row in rows) >= in_time
    used = await usage_by_date(
        world.owner, [merchant], Dates(since=date(2026, 11, 1), until=date(2026, 12, 1), now=world.at(LATER))
    )
    by_date = Counter[date]()
    for row in rows:
        by_date[row.biz_date] += row.cost  # type: ignore[assignment]
    assert {day.biz_date: day.cost for day in used if day.cost} == {day: cost for day, cost in by_date.items() if cost}
    tax = sum(share.added for invoice in invoices for share in invoice.taxes)
    if not late:
        total = (await spent(world.owner, [merchant], world.at("2026-11-30 23:59:59")))[merchant]
        assert total == sum(line.amount for line in lines) + tax
