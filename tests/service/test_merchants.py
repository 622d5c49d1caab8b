"""Merchants: who pays, and by which tariff."""

import asyncio
from datetime import timedelta

import pytest

from tests.engines import DAY, START, TICK, World
from vnum.finance import LEAD, BillingRefusal
from vnum.model.orders import OrderStatus
from vnum.service.merchants import MerchantChange

ADD = "INSERT INTO tariffs (tariff_id, version, effective_from, rental_day, call_minute) VALUES ($1, 1, $2, 0.5, 9)"


async def test_without_any_usage_a_tariff_holds_at_once(world: World) -> None:
    await world.owner.execute(ADD, "vip", START.replace(year=2020))
    await world.merchant("new")
    changed = await world.engine.merchants.change("new", MerchantChange(tariff_id="vip"))
    assert (changed.tariff_id, changed.next_tariff_id) == ("vip", None)


async def test_with_usage_it_holds_from_the_next_midnight_on(world: World) -> None:
    """What has begun is not priced anew; 09:30 in UTC is the evening in Shanghai."""
    await world.owner.execute(ADD, "vip", START.replace(year=2020))
    await world.bind("first")
    changed = await world.engine.merchants.change("m", MerchantChange(tariff_id="vip"))
    midnight = START.replace(hour=16, minute=0)
    assert (changed.tariff_id, changed.next_tariff_id, changed.next_tariff_from) == ("default", "vip", midnight)
    again = await world.engine.merchants.change("m", MerchantChange(tariff_id="vip"))
    assert again == changed
    world.pass_time(DAY)
    assert (await world.engine.merchants.change("m", MerchantChange(name="renamed"))).tariff_id == "vip"


async def test_a_mistaken_change_is_undone_before_it_begins(world: World) -> None:
    await world.owner.execute(ADD, "vip", START.replace(year=2020))
    await world.bind("first")
    assert (await world.engine.merchants.change("m", MerchantChange(tariff_id="vip"))).next_tariff_id == "vip"
    undone = await world.engine.merchants.change("m", MerchantChange(tariff_id="default"))
    assert (undone.tariff_id, undone.next_tariff_id) == ("default", "default")
    world.pass_time(DAY)
    assert (await world.engine.merchants.change("m", MerchantChange())).tariff_id == "default"


@pytest.mark.parametrize("ahead", [timedelta(0), LEAD - TICK])
async def test_what_is_paid_changes_no_sooner_than_ten_minutes_from_now(world: World, ahead: timedelta) -> None:
    await world.owner.execute(ADD, "vip", START.replace(year=2020))
    await world.bind("first")
    change = MerchantChange(tariff_id="vip", tariff_from=world.now + ahead)
    with pytest.raises(BillingRefusal) as refused:
        await world.engine.merchants.change("m", change)
    assert refused.value.code == "tariff_invalid"


@pytest.mark.parametrize("tariff_id", ["unknown", "later"])
async def test_a_tariff_without_a_price_yet_is_refused(world: World, tariff_id: str) -> None:
    """It would keep the month from being closed."""
    await world.owner.execute(ADD, "later", world.now + DAY)
    with pytest.raises(BillingRefusal) as refused:
        await world.merchant("new", tariff_id=tariff_id)
    assert refused.value.code == "tariff_not_found"
    assert await world.count("merchants") == 1


async def test_a_young_tariff_is_for_whoever_comes_to_it_later(world: World) -> None:
    await world.merchant("before")
    world.pass_time(40 * DAY)
    await world.owner.execute(ADD, "young", world.now - DAY)
    await world.merchant("after", tariff_id="young")
    assert (await world.engine.merchants.change("before", MerchantChange(tariff_id="young"))).tariff_id == "young"


async def test_more_changes_at_once_than_there_are_connections(world: World) -> None:
    """Each takes one connection, never a second one while it holds the first: or all would wait for ever."""
    await world.owner.execute(ADD, "vip", START.replace(year=2020))
    await world.bind("first")
    merchants, tariffs = world.engine.merchants, world.engine.tariffs
    days = [world.now + n * DAY for n in range(1, 13)]
    async with asyncio.timeout(60):
        await asyncio.gather(
            *(merchants.change("m", MerchantChange(tariff_id="vip", tariff_from=day)) for day in days[:6]),
            *(tariffs.assign("m", "vip", day, "test") for day in days[6:]),
        )
    assert [assignment.effective_from for assignment in await tariffs.of_merchant("m")] == days


async def test_an_order_does_not_go_back_to_where_it_was(world: World) -> None:
    async def status() -> str:
        return str(await world.owner.fetchval("SELECT order_status FROM orders WHERE order_id = 'a'"))

    await world.bind("a", order_status=OrderStatus.SHIPPED)
    await world.bind("a", order_status=OrderStatus.WAYBILL_ISSUED)
    assert await status() == "shipped"
    world.pass_time(31 * DAY)
    await world.bind("a", order_status=OrderStatus.WAYBILL_ISSUED)
    assert await status() == "shipped"
    await world.bind("a", order_status=OrderStatus.AFTER_SALES)
    assert await status() == "after_sales"
