"""Usage by date, and daily bills, out of a real engine."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.engines import DAY, START, World, the
from vnum.finance import BillingRefusal
from vnum.model.refusals import Code, Refused
from vnum.service.usage import USUAL_DAYS

from .test_caps import MINUTE, call

TODAY = date(2026, 10, 10)


async def test_a_week_of_use(world: World) -> None:
    """Bound at 17:30 in Shanghai on the 10th; a call on the 11th; one released on the 12th."""
    kept = await world.bind("a", 1)
    given_back = await world.bind("b", 2)
    world.pass_time(DAY + timedelta(hours=1))
    await call(world, kept, "c1", minutes=2)
    world.pass_time(DAY)
    await world.engine.lifetime.release(given_back.binding_id, "returned")
    world.pass_time(DAY)
    usage = await world.engine.usages.by_date("m", TODAY - timedelta(days=1))
    rows = [
        (day.biz_date.day, day.live_numbers, day.new, day.rental_days, day.calls, day.minutes, day.cost)
        for day in usage.days
    ]
    rent = Decimal("0.00018")
    assert rows == [
        (9, 0, 0, 0, 0, 0, 0),
        (10, 2, 2, 2, 0, 0, 2 * rent),
        (11, 2, 0, 2, 1, 2, 2 * rent + Decimal("0.04")),
        (12, 1, 0, 2, 0, 0, 2 * rent),
        (13, 1, 0, 1, 0, 0, rent),
    ]
    assert (usage.sums.new, usage.sums.rental_days, usage.sums.minutes) == (2, 7, 2)
    assert usage.sums.cost == 7 * rent + Decimal("0.04")
    for day in usage.days:
        page = await world.engine.bills.page(day.biz_date, "m")
        assert (page.total, page.cost) == (day.rental_days + day.calls, day.cost)


async def test_without_dates_the_last_thirty_with_today(world: World) -> None:
    usage = await world.engine.usages.by_date("m")
    assert (len(usage.days), usage.days[-1].biz_date) == (USUAL_DAYS, TODAY)
    world.pass_time(START.replace(hour=16, minute=0) - START)  # midnight in Shanghai
    assert (await world.engine.usages.by_date("m")).days[-1].biz_date == TODAY + timedelta(days=1)


@pytest.mark.parametrize(
    ("since", "until"),
    [(TODAY, TODAY), (TODAY, date(2026, 10, 12)), (date(2026, 7, 10), None), (None, date(1, 1, 1)), (date.max, None)],
)
async def test_dates_that_can_not_be_shown(world: World, since: date | None, until: date | None) -> None:
    with pytest.raises(BillingRefusal) as refused:
        await world.engine.usages.by_date("m", since, until)
    assert refused.value.code == "date_invalid"


async def test_of_an_unknown_merchant(world: World) -> None:
    for asked in (world.engine.usages.by_date("nobody"), world.engine.spending.of("nobody")):
        with pytest.raises(Refused) as refused:
            await asked
        assert the(refused).code is Code.MERCHANT_NOT_FOUND


async def test_the_longest_life_is_still_charged(world: World) -> None:
    """Usage is looked for as far back as a number can live: 180 days."""
    binding = await world.bind("a", 1, ttl_days=90)
    for _ in range(3):
        await world.engine.lifetime.extend(binding.binding_id, 30)
    world.pass_time(180 * DAY - MINUTE)
    yesterday = TODAY + timedelta(days=179)
    assert (await world.engine.bills.page(yesterday)).total == 1
    assert (await world.engine.usages.by_date("m", yesterday, yesterday + timedelta(days=1))).sums.rental_days == 1
    assert (await world.engine.bills.page(yesterday + timedelta(days=1))).total == 0
