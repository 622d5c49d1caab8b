"""Drafts: what invoices would say if nothing more happened."""

from decimal import Decimal
from typing import Any

from billing.draft import draft
from billing.invoice import Draft
from billing.periods import Period


async def drafted(world: Any, period: str, at: str) -> Draft:
    (found,) = await draft(world.pool, Period.parse(period), now=world.at(at))
    return found


async def test_a_late_call_is_in_one_draft(world: Any) -> None:
    """That of the month which is closed next, while two are open; then in the other one no more."""
    await world.account("m", opened="2026-09-05 00:00")
    await world.rental("m", "2026-09-30 12:00", "2026-11-03 12:00")
    await world.close("2026-09")
    await world.call("m", "2026-09-30 10:00", "2026-09-30 10:01")
    october = await drafted(world, "2026-10", "2026-11-02 00:00")
    november = await drafted(world, "2026-11", "2026-11-02 00:00")
    assert (october.late_count, october.late_total) == (1, Decimal("0.02"))
    assert november.late_count == 0
    await world.close("2026-10")
    assert (await world.invoices("2026-10"))[0].late_count == 1
    assert (await drafted(world, "2026-11", "2026-11-02 00:00")).late_count == 0


async def test_a_late_call_for_a_merchant_who_was_opened_this_month(world: Any) -> None:
    """Dated before his first month by a slow clock."""
    await world.account("m", opened="2026-10-01 00:00")
    await world.call("m", "2026-10-01 00:00", "2026-10-01 00:01", "slow")
    await world.owner.execute("UPDATE usage_calls SET late = true, answered_at = answered_at - interval '1 minute'")
    assert (await drafted(world, "2026-10", "2026-10-02 00:00")).late_count == 1
    assert (await world.close("2026-10")).invoices_made == 1
