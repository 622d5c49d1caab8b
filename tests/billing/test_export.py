"""Exports: the details equal the lines, the lines equal the total, and no cell is a formula."""

import csv
import io
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest

from billing.details import OfPeriod, OneInvoice, Selection
from billing.errors import InvoiceInconsistent, InvoiceNotFound
from billing.export import DETAIL_COLUMNS, export_csv, export_json, harmless
from billing.invoices import get_invoice, list_invoices
from billing.periods import Period

OCTOBER = Period.parse("2026-10")
NOVEMBER = Period.parse("2026-11")


async def text(pieces: AsyncIterator[bytes]) -> str:
    return b"".join([piece async for piece in pieces]).decode()


async def rows(world: Any, selection: Selection) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(await text(export_csv(world.pool, selection)), newline="")))


@pytest.fixture
async def told(world: Any) -> Any:
    """Two merchants, two months, a tariff change on 16 October, a late call; closed."""
    await world.account("b", opened="2026-10-01 00:00")
    await world.account("a", opened="2026-10-01 00:00")
    await world.account("c", opened="2026-10-01 00:00")
    await world.tariff(2, "2026-10-16 00:00", "0.001", "0.05")
    await world.rental("b", "2026-10-14 08:00", "2026-10-18 07:59", order="b-1")
    await world.rental("a", "2026-10-31 23:00", "2026-11-02 23:00", order="a-1")
    await world.call("a", "2026-10-15 23:59:59", "2026-10-16 00:01:00", call="a-call")
    await world.call("b", "2026-11-11 00:00", "2026-11-11 00:00:30", call="b-call")
    await world.close("2026-10", at="2026-11-01 03:00")
    await world.call("b", "2026-10-31 23:59", "2026-11-01 00:00", call="b-late")
    await world.close("2026-11", at="2026-12-01 03:00")
    return world


async def test_the_details_of_a_month(told: Any) -> None:
    found = await rows(told, OfPeriod(period=OCTOBER))
    columns = ["merchant_id", "biz_date", "bill_item", "bill_duration", "cost", "order_id", "call_id", "tariff_version"]
    assert [[row[name] for name in columns] for row in found] == [
        ["a", "2026-10-31", "0", "1", "0.001", "a-1", "", "2"],
        ["a", "2026-10-15", "1", "2", "0.04", "order-a-call", "a-call", "1"],
        ["b", "2026-10-14", "0", "1", "0.00018", "b-1", "", "1"],
        ["b", "2026-10-15", "0", "1", "0.00018", "b-1", "", "1"],
        ["b", "2026-10-16", "0", "1", "0.001", "b-1", "", "2"],
        ["b", "2026-10-17", "0", "1", "0.001", "b-1", "", "2"],
    ]
    assert list(found[0])[:8] == list(DETAIL_COLUMNS[:8]) == [
        "merchant_id", "biz_date", "bill_item", "bill_duration", "cost", "order_id", "binding_id", "call_id",
    ]  # fmt: skip
    assert (found[1]["starts_at"], found[1]["ends_at"]) == ("2026-10-15T15:59:59Z", "2026-10-15T16:01:00Z")


async def test_a_late_call_keeps_its_date(told: Any) -> None:
    found = await rows(told, OfPeriod(period=NOVEMBER, merchant_ids=("b",)))
    assert [(row["kind"], row["biz_date"], row["cost"], row["call_id"]) for row in found] == [
        ("call", "2026-11-11", "0.05", "b-call"),
        ("late_call", "2026-10-31", "0.05", "b-late"),
    ]


async def test_details_lines_and_total_agree(told: Any) -> None:
    for invoice in await told.invoices():
        found = await rows(told, OneInvoice(number=invoice.number))
        assert sum((Decimal(row["cost"]) for row in found), Decimal(0)) == invoice.total_exact
        assert {row["invoice_number"] for row in found} == {invoice.number}
        for line in invoice.lines:
            part = [
                row
                for row in found
                if (row["kind"] != "late_call", row["bill_item"], row["tariff_version"])
                == (True, str(int(line.item)), str(line.tariff_version))
            ]
            assert sum(int(row["bill_duration"]) for row in part) == line.quantity
            assert sum(Decimal(row["cost"]) for row in part) == line.amount


async def test_json_is_the_invoice_with_its_details(told: Any) -> None:
    (invoice,) = [i for i in await told.invoices("2026-11") if i.buyer.merchant_id == "b"]
    found = json.loads(await text(export_json(told.pool, OneInvoice(number=invoice.number))))
    head = {name: found[name] for name in ("number", "period", "merchant_id", "total_exact", "carried_in", "balance",
                                           "amount_due", "carried_out", "adjustments_total")}  # fmt: skip
    assert head == {
        "number": invoice.number,
        "period": "2026-11",
        "merchant_id": "b",
        "total_exact": "0.1",
        "carried_in": "0.00236",
        "balance": "0.10236",
        "amount_due": "0.10",
        "carried_out": "0.00236",
        "adjustments_total": "0.05",
    }
    assert [line["amount"] for line in found["lines"]] == ["0.05"]
    assert [(late["call_id"], late["biz_date"], late["cost"]) for late in found["adjustments"]] == [
        ("b-late", "2026-10-31", "0.05")
    ]
    assert [row["call_id"] for row in found["details"]] == ["b-call", "b-late"]
    assert found["details"][1] == found["adjustments"][0]


async def test_json_of_a_month(told: Any) -> None:
    found = json.loads(await text(export_json(told.pool, OfPeriod(period=OCTOBER))))
    assert (found["period"], [i["merchant_id"] for i in found["invoices"]]) == ("2026-10", ["a", "b"])
    assert [len(i["details"]) for i in found["invoices"]] == [2, 4]
    empty = json.loads(await text(export_json(told.pool, OfPeriod(period=Period.parse("2020-01")))))
    assert empty == {"period": "2020-01", "invoices": []}


async def test_what_does_not_add_up_is_not_exported(told: Any) -> None:
    changes = [
        ("usage that vanished", "DELETE FROM usage_calls WHERE call_id = 'a-call'"),
        ("usage that appeared", "INSERT INTO usage_rentals SELECT merchant_id, 'x', gen_random_uuid(), bound_at, "
         "ended_at FROM usage_rentals WHERE merchant_id = 'a'"),
        ("usage without a line", "INSERT INTO usage_calls SELECT 'b', order_id, binding_id, 'x', answered_at, "
         "released_at, seconds, minutes, units, unit_s, rate, setup_fee, cost, tariff_id, tariff_version, late "
         "FROM usage_calls WHERE call_id = 'a-call'"),
        ("days without a line", "INSERT INTO usage_rentals SELECT 'a', 'x', gen_random_uuid(), "
         "bound_at - interval '720 hours', ended_at - interval '720 hours' FROM usage_rentals WHERE merchant_id = 'a'"),
        ("a line that was changed", "UPDATE invoice_lines SET quantity = 9, amount = 9 * rate WHERE item = 0"),
    ]  # fmt: skip
    for what, change in changes:
        transaction = told.owner.transaction()
        await transaction.start()
        await told.owner.execute(change)
        single = OneConnection(told.owner)
        with pytest.raises(InvoiceInconsistent) as refused:
            await text(export_csv(single, OfPeriod(period=OCTOBER)))
        assert refused.value.code == "invoice_inconsistent", what
        await transaction.rollback()
    assert len(await rows(told, OfPeriod(period=OCTOBER))) == 6


class OneConnection:
    """Lends one connection, in whose open transaction an export then reads."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def acquire(self) -> Any:
        return self

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def transaction(self, **_: object) -> Any:
        return self.connection.transaction()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"), ("\tx", "'\tx"), ("\rx", "'\rx"),
        ("＝1+1", "'＝1+1"), ("＋1", "'＋1"), ("－1", "'－1"), ("＠x", "'＠x"),
        ("plain", "plain"), ("a=1", "a=1"), ("", ""), ("'=1", "'=1"), ("单号", "单号"),
    ],
)  # fmt: skip
def test_harmless(cell: str, written: str) -> None:
    assert harmless(cell) == written


async def test_no_cell_is_a_formula_and_every_text_survives(world: Any) -> None:
    await world.account("=merchant", opened="2026-10-01 00:00")
    await world.rental("=merchant", "2026-10-01 00:00", "2026-10-02 00:00", order='+"a", 单号\nsecond line')
    await world.call("=merchant", "2026-10-05 10:00", "2026-10-05 10:01", call="@call")
    await world.close("2026-10")
    first, second = await rows(world, OfPeriod(period=OCTOBER))
    assert (first["merchant_id"], first["order_id"]) == ("'=merchant", '\'+"a", 单号\nsecond line')
    assert second["call_id"] == "'@call"
    found = json.loads(await text(export_json(world.pool, OfPeriod(period=OCTOBER))))
    assert found["invoices"][0]["details"][0]["order_id"] == '+"a", 单号\nsecond line'


async def test_exports_stream(world: Any) -> None:
    """Ten times the rows take no more memory: 30,000 against 3,000 days."""
    peaks = []
    for merchant, bindings in (("warm", 10), ("small", 100), ("large", 1000)):
        await world.account(merchant, opened="2026-10-01 00:00")
        await world.owner.execute(
            "INSERT INTO usage_rentals "
            "SELECT $1, 'o' || n, gen_random_uuid(), $2, $3 FROM generate_series(1, $4::int) n",
            merchant, world.at("2026-10-01 00:00"), world.at("2026-10-31 00:00"), bindings,
        )  # fmt: skip
        await world.close("2026-10", merchant_id=merchant)
        tracemalloc.start()
        size = 0
        async with aclosing(export_csv(world.pool, OfPeriod(period=OCTOBER, merchant_ids=(merchant,)))) as pieces:
            async for piece in pieces:
                size += len(piece)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert size > bindings * 30 * 100
    assert peaks[2] < peaks[1] + 2_000_000


async def test_an_export_left_early_gives_its_connection_back(told: Any) -> None:
    for _ in range(6):  # more often than the pool has connections
        async with aclosing(export_csv(told.pool, OfPeriod(period=OCTOBER))) as pieces:
            await anext(pieces)


async def test_unknown_numbers(told: Any) -> None:
    with pytest.raises(InvoiceNotFound) as refused:
        await get_invoice(told.pool, "VNUM-2026-999999")
    assert refused.value.code == "invoice_not_found"
    with pytest.raises(InvoiceNotFound):
        await text(export_json(told.pool, OneInvoice(number="nothing")))


async def test_listing_in_pages(told: Any) -> None:
    everything = await told.invoices()
    assert [(str(i.period), i.buyer.merchant_id) for i in everything] == [
        ("2026-10", "a"), ("2026-10", "b"), ("2026-11", "a"), ("2026-11", "b"),
    ]  # fmt: skip
    found, after = [], None
    while page := await list_invoices(told.pool, after=after, limit=3):
        found += page
        after = page[-1]
    assert found == everything
    assert await list_invoices(told.pool, merchant_ids=["b"], period=OCTOBER) == [everything[1]]
    assert await list_invoices(told.pool, merchant_ids=[]) == []
    assert await get_invoice(told.pool, everything[2].number) == everything[2]
