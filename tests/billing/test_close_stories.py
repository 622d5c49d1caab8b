"""Closing months, told as dated stories. Unless told otherwise a day costs 0.00018, a minute 0.02."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from billing import ledger
from billing.close import close
from billing.errors import MerchantNotFound, PeriodNotOver, PeriodOutOfOrder, TariffMissing
from billing.invoice import Item
from billing.periods import Period


async def close_from(world: Any, first: str, last: str) -> None:
    """Close every month from first to last, three hours after its end."""
    period = Period.parse(first)
    while period <= Period.parse(last):
        await world.close(str(period), at=f"{period.next.first_day} 03:00")
        period = period.next


async def test_thirty_days_across_two_months(world: Any) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    await world.rental("m", "2026-10-03 12:00", "2026-11-02 12:00")
    await world.call("m", "2026-10-31 23:59", "2026-11-01 00:02")  # 180 s: 3 minutes, all in October

    # October: days 3..31 = 29 x 0.00018 = 0.00522, and 0.06. November: the day of the 1st.
    report = await world.close("2026-10", at="2026-11-01 03:00")
    await world.close("2026-11")
    assert await world.dues() == {
        "m 2026-10": ("0.06522", "0.07", "-0.00478"),
        "m 2026-11": ("0.00018", "0.00", "-0.0046"),
    }
    october, november = await world.invoices()
    assert [(line.item, line.count, line.quantity, line.amount) for line in october.lines] == [
        (Item.RENTAL, 1, 29, Decimal("0.00522")),
        (Item.CALL, 1, 3, Decimal("0.06")),
    ]
    assert october.total_exact + november.total_exact == 30 * Decimal("0.00018") + Decimal("0.06")
    assert november.carried_in == october.carried_out
    assert (october.buyer.invoice_title, october.closed_at) == ("m Ltd", world.at("2026-11-01 03:00"))
    assert (report.merchants, report.invoices, report.invoices_made) == (1, 1, 1)
    assert (report.total_exact, report.amount_due) == (Decimal("0.06522"), Decimal("0.07"))


async def test_roundings_are_carried_and_nothing_is_lost(world: Any) -> None:
    await world.account("m", opened="2026-01-01 00:00")
    for month in ("01", "02", "03"):  # ten days each: 0.0018
        await world.rental("m", f"2026-{month}-05 08:00", f"2026-{month}-15 08:00")
    # April: nothing. May: 61 s = 0.04.
    await world.call("m", "2026-05-20 10:00:00", "2026-05-20 10:01:01")
    await close_from(world, "2026-01", "2026-05")
    assert await world.dues() == {
        "m 2026-01": ("0.0018", "0.00", "0.0018"),
        "m 2026-02": ("0.0018", "0.00", "0.0036"),
        "m 2026-03": ("0.0018", "0.01", "-0.0046"),
        "m 2026-05": ("0.04", "0.04", "-0.0046"),
    }


async def test_a_half_is_rounded_up_and_the_rest_carried_as_debt(world: Any) -> None:
    await world.account("m", opened="2026-01-01 00:00", tariff="halves")
    await world.tariff(1, "2026-01-01 00:00", "0.005", "0.02", tariff="halves")
    await world.rental("m", "2026-01-31 08:00", "2026-02-02 08:00")
    await close_from(world, "2026-01", "2026-02")
    assert await world.dues() == {
        "m 2026-01": ("0.005", "0.01", "-0.005"),
        "m 2026-02": ("0.005", "0.00", "0"),
    }


async def test_a_late_call_goes_on_the_next_open_invoice(world: Any) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    await world.rental("m", "2026-10-03 12:00", "2026-10-04 12:00")
    await world.close("2026-10", at="2026-11-01 03:00")
    before = await world.invoices("2026-10")
    # The tariff rises; what is late is rated by the tariff of its original instant.
    await world.tariff(2, "2026-11-01 00:00", "0.00018", "0.5")
    await world.call("m", "2026-10-09 23:59:30", "2026-10-10 00:00:31", call="late-1")
    await world.call("m", "2026-11-09 09:00:00", "2026-11-09 09:00:01", call="timely")
    await world.close("2026-11", at="2026-12-01 03:00")

    assert await world.invoices("2026-10") == before
    (november,) = await world.invoices("2026-11")
    assert (november.late_count, november.late_total) == (1, Decimal("0.04"))
    assert [(line.item, line.amount) for line in november.lines] == [(Item.CALL, Decimal("0.5"))]
    assert november.total_exact == Decimal("0.54")
    row = await world.owner.fetchrow("SELECT * FROM invoice_adjustments")
    assert (row["call_id"], row["biz_date"], row["invoice_number"]) == ("late-1", date(2026, 10, 9), november.number)
    assert (row["rate"], row["minutes"], row["tariff_version"]) == (Decimal("0.02"), 2, 1)


async def test_a_late_call_is_charged_once_and_makes_an_invoice_of_its_own(world: Any) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    await close_from(world, "2026-10", "2026-11")
    await world.call("m", "2026-10-09 10:00", "2026-10-09 10:01", call="two months late")
    await close_from(world, "2026-12", "2026-12")
    await close_from(world, "2027-01", "2027-01")
    assert await world.dues() == {"m 2026-12": ("0.02", "0.02", "0")}


async def test_no_usage_no_invoice(world: Any) -> None:
    await world.account("quiet")
    await world.account("busy")
    await world.call("busy", "2026-01-01 00:00:00", "2026-01-01 00:00:01")
    report = await world.close("2026-01")
    assert (report.merchants, report.invoices) == (2, 1)
    rows = await world.owner.fetch("SELECT merchant_id, invoice_number FROM closes ORDER BY 1")
    assert [tuple(row) for row in rows] == [("busy", "VNUM-2030-000001"), ("quiet", None)]
    assert (await world.close("2026-02")).invoices == 0


async def test_a_tariff_that_changes_in_mid_month_splits_the_lines(world: Any) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    await world.tariff(2, "2026-10-16 00:00", "0.001", "0.05")
    await world.tariff(3, "2026-11-01 00:00", "1", "1")
    await world.rental("m", "2026-10-01 12:00", "2026-11-01 12:00")  # starts a day at noon of 1..31 October
    await world.call("m", "2026-10-15 23:59:59", "2026-10-16 00:05:00")  # 301 s = 6 minutes, all at the old rate
    await world.call("m", "2026-10-16 00:00:00", "2026-10-16 00:00:01")
    await world.close("2026-10")
    (invoice,) = await world.invoices()
    assert [(line.item, line.tariff_version, line.quantity, str(line.amount)) for line in invoice.lines] == [
        (Item.RENTAL, 1, 15, "0.00270"),
        (Item.RENTAL, 2, 16, "0.016"),
        (Item.CALL, 1, 6, "0.12"),
        (Item.CALL, 2, 1, "0.05"),
    ]
    middle = world.at("2026-10-16 00:00")
    assert [(line.starts_at, line.ends_at) for line in invoice.lines[:2]] == [
        (invoice.period.starts_at, middle),
        (middle, invoice.period.ends_at),
    ]


async def test_closing_again_changes_nothing(world: Any) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    await world.rental("m", "2026-10-03 12:00", "2026-10-04 12:00")
    await world.close("2026-10")
    before = await world.invoices()
    again = await world.close("2026-10")
    single = await world.close("2026-10", merchant_id="m")
    assert await world.invoices() == before
    assert {(r.merchants, r.invoices, r.invoices_made, r.total_exact) for r in (again, single)} == {(1, 1, 0, 0)}


async def test_a_month_is_not_closed_before_its_last_instant(world: Any) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    with pytest.raises(PeriodNotOver, match="2026-10 ends") as refused:
        await world.close("2026-10", at="2026-10-31 23:59:59.999999")
    assert refused.value.code == "period_not_over"
    assert await world.owner.fetchval("SELECT count(*) FROM periods") == 0
    await world.close("2026-10", at="2026-11-01 00:00")


async def test_months_close_in_order(world: Any) -> None:
    await world.account("a", opened="2026-09-30 23:59:59.999999")
    await world.account("b", opened="2026-10-01 00:00")
    with pytest.raises(PeriodOutOfOrder, match=r"2026-09 is still open for a$") as refused:
        await world.close("2026-10")
    assert refused.value.code == "period_out_of_order"
    with pytest.raises(PeriodOutOfOrder):
        await world.close("2026-10", merchant_id="a")
    assert (await world.close("2026-10", merchant_id="b")).merchants == 1
    assert (await world.close("2026-09")).merchants == 1
    assert (await world.close("2026-10")).merchants == 2


async def test_many_open_merchants_are_named_in_part(world: Any) -> None:
    for n in range(12):
        await world.account(f"m{n:02}", opened="2026-09-01 00:00")
    with pytest.raises(PeriodOutOfOrder, match=r"m00, m01, .*m09 and 2 more$"):
        await world.close("2026-10")


async def test_a_merchant_opened_later_is_left_out(world: Any) -> None:
    await world.account("old", opened="2026-10-01 00:00")
    await world.account("new", opened="2026-11-01 00:00")
    assert (await world.close("2026-10")).merchants == 1
    assert (await world.close("2026-10", merchant_id="new")).merchants == 0
    assert (await world.close("2026-11")).merchants == 2


async def test_an_unknown_merchant(world: Any) -> None:
    with pytest.raises(MerchantNotFound) as refused:
        await world.close("2026-10", merchant_id="nobody")
    assert refused.value.code == "merchant_not_found"


async def test_days_without_a_price_are_not_closed_away(world: Any) -> None:
    await world.account("m", opened="2026-10-01 00:00", tariff="new")
    await world.tariff(1, "2026-10-01 00:00:00.000001", "1", "1", tariff="new")
    with pytest.raises(TariffMissing):
        await world.close("2026-10")
    assert await world.owner.fetchval("SELECT count(*) FROM periods") == 0


async def test_numbers_begin_anew_each_year_of_the_close_in_shanghai(world: Any) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    await world.rental("m", "2026-10-01 00:00", "2027-01-20 00:00")
    await world.close("2026-10", at="2026-11-01 03:00")
    await world.close("2026-11", at="2026-12-31 23:59:59")
    await world.close("2026-12", at="2027-01-01 00:00:00")  # still 2026 in UTC
    await world.close("2027-01", at="2027-02-01 03:00", issuer="OTHER")
    assert [invoice.number for invoice in await world.invoices()] == [
        "VNUM-2026-000001",
        "VNUM-2026-000002",
        "VNUM-2027-000001",
        "OTHER-2027-000001",
    ]


async def test_a_close_that_crashed_after_the_mark_is_resumed(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    await world.rental("m", "2026-10-03 12:00", "2026-10-04 12:00")

    async def crash(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(ledger, "collect_usage", crash)
    with pytest.raises(ConnectionError):
        await world.close("2026-10", at="2026-11-01 03:00")
    monkeypatch.undo()
    assert await world.owner.fetchval("SELECT count(*) FROM periods") == 1
    assert await world.invoices() == []

    # What arrives now is late, and October's invoice, not yet made, is the next open one.
    await world.call("m", "2026-10-05 10:00", "2026-10-05 10:01")
    await world.close("2026-10", at="2026-11-01 04:00")
    assert await world.dues() == {"m 2026-10": ("0.02018", "0.02", "0.00018")}
    marked = await world.owner.fetchval("SELECT marked_at FROM periods")
    assert marked == world.at("2026-11-01 03:00")


async def test_a_close_that_crashed_between_chunks_is_resumed_without_a_gap(world: Any) -> None:
    for merchant in "abcde":
        await world.account(merchant)
        await world.call(merchant, "2026-01-01 00:00:00", "2026-01-01 00:00:01")
    seen: list[tuple[int, int]] = []

    def crash_at_two(done: int, of: int) -> None:
        seen.append((done, of))
        if done == 2:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await world.close("2026-01", chunk_merchants=1, progress=crash_at_two)
    assert [invoice.serial.serial for invoice in await world.invoices()] == [1, 2]
    report = await world.close("2026-01", chunk_merchants=2, progress=lambda *now: seen.append(now))
    assert [invoice.serial.serial for invoice in await world.invoices()] == [1, 2, 3, 4, 5]
    assert (report.merchants, report.invoices, report.invoices_made) == (5, 5, 3)
    assert seen == [(1, 5), (2, 5), (1, 3), (2, 3), (3, 3)]


async def test_a_chunk_that_fails_takes_no_number(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.account("m")
    await world.call("m", "2026-01-01 00:00:00", "2026-01-01 00:00:01")

    async def crash(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(ledger, "_complete", crash)
    with pytest.raises(ConnectionError):
        await world.close("2026-01")
    monkeypatch.undo()
    assert await world.invoices() == []
    await world.close("2026-01")
    assert [invoice.serial.serial for invoice in await world.invoices()] == [1]


async def test_the_servers_clock_closes_what_is_over(world: Any) -> None:
    await world.account("m", opened="2020-01-01 00:00")
    report = await close(world.pool, Period.parse("2020-01"), now=None)
    today = await world.owner.fetchval("SELECT clock_timestamp()")
    assert report.closed_at <= today
    with pytest.raises(PeriodNotOver):
        await close(world.pool, Period.of(today), now=None)


async def test_of_two_that_begin_at_one_instant_the_later_one_counts(world: Any) -> None:
    """A mistake is put right before it begins: an assignment, and a version. 31 days: 15 at 0.00018, 16 at 0.001."""
    await world.account("m", opened="2026-10-01 00:00")
    await world.tariff(1, "2026-01-01 00:00", "9", "9", tariff="mistaken")
    await world.tariff(1, "2026-01-01 00:00", "8", "8", tariff="right")
    await world.tariff(2, "2026-10-10 00:00", "7", "7", tariff="right")
    await world.tariff(3, "2026-10-10 00:00", "0.001", "0.05", tariff="right")
    await world.assign("m", "mistaken", "2026-10-16 00:00")
    await world.assign("m", "right", "2026-10-16 00:00")
    await world.rental("m", "2026-10-01 12:00", "2026-11-01 12:00")
    await world.call("m", "2026-10-16 00:00:00", "2026-10-16 00:00:01")
    await world.close("2026-10")
    (invoice,) = await world.invoices()
    assert [(line.tariff_id, line.tariff_version, line.quantity, str(line.amount)) for line in invoice.lines] == [
        ("default", 1, 15, "0.00270"),
        ("right", 3, 16, "0.016"),
        ("right", 3, 1, "0.05"),
    ]
