"""Merchants: who pays, and by which tariff."""

import pytest

from tests.engines import DAY, START, World, the
from vnum.model.orders import OrderStatus
from vnum.model.refusals import Code, Refused
from vnum.service.merchants import MerchantChange

ADD = "INSERT INTO tariffs (tariff_id, version, effective_from, rental_day, call_minute) VALUES ($1, 1, $2, 0.5, 9)"


async def test_a_tariff_is_chosen_before_the_first_number_and_kept_after_it(world: World) -> None:
    """A close prices rental by the merchant's tariff: another one in mid-month would reprice what has begun."""
    await world.owner.execute(ADD, "vip", START.replace(year=2020))
    await world.merchant("new")
    change = MerchantChange(tariff_id="vip")
    assert (await world.engine.merchants.change("new", change)).tariff_id == "vip"
    await world.bind("first", merchant="new")
    assert (await world.engine.merchants.change("new", change)).tariff_id == "vip"
    with pytest.raises(Refused) as refused:
        await world.engine.merchants.change("new", MerchantChange(tariff_id="default"))
    assert the(refused).code == Code.TARIFF_IN_USE
    assert (await world.engine.merchants.change("new", MerchantChange(name="renamed"))).tariff_id == "vip"


@pytest.mark.parametrize("tariff_id", ["unknown", "later"])
async def test_a_tariff_without_a_price_yet_is_refused(world: World, tariff_id: str) -> None:
    """It would keep the month from being closed."""
    await world.owner.execute(ADD, "later", world.now + DAY)
    with pytest.raises(Refused) as refused:
        await world.merchant("new", tariff_id=tariff_id)
    assert the(refused).code == Code.TARIFF_NOT_FOUND


async def test_a_tariff_of_this_month_is_for_merchants_opened_since(world: World) -> None:
    await world.merchant("before")
    world.pass_time(40 * DAY)
    await world.owner.execute(ADD, "young", world.now - DAY)
    await world.merchant("after", tariff_id="young")
    with pytest.raises(Refused) as refused:
        await world.engine.merchants.change("before", MerchantChange(tariff_id="young"))
    assert the(refused).code == Code.TARIFF_NOT_FOUND


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
