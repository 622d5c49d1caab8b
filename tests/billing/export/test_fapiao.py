"""The list for the issuer of tax invoices adds up to the amounts due."""

import csv
import io
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from billing.details import OfPeriod, OneInvoice
from billing.errors import InvoiceInconsistent
from billing.export import export_fapiao
from billing.periods import Period


async def rows(world: Any, collect: Any, month: str) -> list[dict[str, str]]:
    text = (await collect(export_fapiao(world.pool, OfPeriod(period=Period.parse(month)), bom=True))).decode(
        "utf-8-sig"
    )
    found = csv.DictReader(io.StringIO(text, newline=""))
    return [{name.split(" ")[1]: cell for name, cell in row.items()} for row in found]


@pytest.mark.parametrize("month", ["2026-10", "2026-11"])
async def test_gross_amounts_add_up_to_what_is_due(story: Any, collect: Any, month: str) -> None:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in await rows(story, collect, month):
        sums[row["invoice_number"]] += Decimal(row["gross"])
        assert Decimal(row["net"]) + Decimal(row["tax"]) == Decimal(row["gross"]) != 0
        assert abs(Decimal(row["net"]) * Decimal(row["tax_rate"]) - Decimal(row["tax"])) <= Decimal("0.01")
    due = {invoice.number: invoice.amount_due for invoice in await story.invoices(month)}
    assert sums == {number: amount for number, amount in due.items() if amount}
    assert month == "2026-10" or Decimal(0) in due.values()  # which has no row


async def test_a_row_for_each_rate_and_who_lacks_what(story: Any, collect: Any) -> None:
    found = await rows(story, collect, "2026-10")
    by_merchant = defaultdict(list)
    for row in found:
        by_merchant[row["merchant_id"]].append(row)
    assert [row["tax_rate"] for row in by_merchant["plus"]] == ["0.06", "0.13"]
    (odd,) = by_merchant["'=odd"]
    assert (odd["buyer_tax_no"], odd["missing"], odd["tax_rate"]) == ("'=1+1", "", "0")
    assert odd["buyer_title"].startswith("#panic()")
    assert odd["item"] == "虚拟号码服务费"
    await story.account("bare", opened="2026-12-01 00:00")
    await story.owner.execute("UPDATE usage_accounts SET invoice_title = ' ', tax_no = NULL WHERE merchant_id = 'bare'")
    await story.call("bare", "2026-12-05 10:00", "2026-12-05 10:01")
    await story.close("2026-12")
    (bare,) = [row for row in await rows(story, collect, "2026-12") if row["merchant_id"] == "bare"]
    assert (bare["missing"], bare["gross"]) == ("购方名称、购方税号", "0.02")


async def test_sums_that_do_not_add_up_are_not_listed(story: Any, collect: Any) -> None:
    invoice = (await story.invoices("2026-10"))[0]
    await story.owner.execute("UPDATE invoice_lines SET quantity = 9, amount = 9 * rate")
    with pytest.raises(InvoiceInconsistent):
        await collect(export_fapiao(story.pool, OneInvoice(number=invoice.number)))
