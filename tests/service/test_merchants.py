"""Merchants: who pays, and by which tariff."""

import pytest

from tests.engines import START, World, the
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
async def test_a_tariff_without_a_price_for_this_month_is_refused(world: World, tariff_id: str) -> None:
    """It would keep the month from being closed."""
    await world.owner.execute(ADD, "later", world.now)
    with pytest.raises(Refused) as refused:
        await world.merchant("new", tariff_id=tariff_id)
    assert the(refused).code == Code.TARIFF_NOT_FOUND
