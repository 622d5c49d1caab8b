"""Invoices over HTTP: a month of use, closed once, listed, and exported to the last digit."""

import asyncio
import csv
import io
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from vnum.service.invoices import Invoices

from .conftest import World, order, record

COLUMNS = ["merchant_id", "biz_date", "bill_item", "bill_duration", "cost", "order_id", "binding_id", "call_id"]


async def october(world: World) -> None:
    """m1: 30 days from the 5th (27 start in October) and a call of two minutes; m2: one day."""
    await world.stock()
    made = (await world.bind()).body
    await world.bind("o2", merchant_id="m2", ttl_days=1)
    world.advance(hours=1)
    await world.post("/v1/calls/records", {"items": [record("c1", made["extension"])]}, role="switch")
    world.advance(days=30)


async def close(world: World, role: str = "finance", **body: Any) -> Any:
    return await world.post("/v1/invoices/close", {"period": "2026-10", **body}, role=role)


async def test_a_month_is_closed_once(world: World) -> None:
    await october(world)
    reply = await close(world)
    assert reply.status == 200, reply.body
    assert reply.body == {
        "period": "2026-10",
        "merchants": 2,
        "invoices": 2,
        "invoices_made": 2,
        "total_exact": "0.04504",  # 27 x 0.00018 + 0.04 + 0.00018
        "tax_exact": "0",
        "amount_due": "0.04",
        "closed_at": "2026-11-04T05:00:00Z",
    }
    again = await close(world, "admin")
    assert (again.status, again.body["invoices"], again.body["invoices_made"]) == (200, 2, 0)
    assert (again.body["total_exact"], again.body["amount_due"]) == ("0", "0.00")
    one = await close(world, merchant_id="m1")
    assert (one.body["merchants"], one.body["invoices"]) == (1, 1)


async def test_what_is_not_closed(world: World) -> None:
    await world.stock()
    for body, status, code in (
        ({"period": "2026-10"}, 409, "period_not_over"),
        ({"period": "2026-13"}, 400, "invalid_request"),
        ({"period": "0000-01"}, 400, "invalid_request"),
        ({"period": "2026-1"}, 400, "invalid_request"),
        ({"period": "2026-10\n"}, 400, "invalid_request"),
        ({"period": 202610}, 400, "invalid_request"),
        ({"period": None}, 400, "invalid_request"),
        ({"period": "2026-09", "merchant_id": "nobody"}, 404, "merchant_not_found"),
        ({"period": "2026-09", "merchant_id": "m\u0000"}, 400, "invalid_request"),
        ({"period": "2026-09", "force": True}, 400, "invalid_request"),
    ):
        reply = await world.post("/v1/invoices/close", body, role="finance")
        assert (reply.status, reply.code) == (status, code), (body, reply.body)
    world.advance(days=60)
    reply = await world.post("/v1/invoices/close", {"period": "2026-11"}, role="finance")
    assert (reply.status, reply.code) == (409, "period_out_of_order")
    tied = await world.key_of("finance", merchants=["m1"])
    for body in ({}, {"merchant_id": "m1"}):
        reply = await close(world, tied, **body)
        assert (reply.status, reply.code) == (403, "forbidden")
    assert await world.rows("invoices") == 0


async def test_invoices_are_listed_and_looked_at(world: World) -> None:
    await october(world)
    await close(world)
    listed = (await world.get("/v1/invoices?period=2026-10", role="finance")).body["invoices"]
    assert [invoice["merchant_id"] for invoice in listed] == ["m1", "m2"]
    assert [invoice["number"] for invoice in listed] == ["VN-2026-000001", "VN-2026-000002"]
    first = listed[0]
    money = {name: first[name] for name in ("total_exact", "carried_in", "balance", "amount_due", "carried_out")}
    assert money == {
        "total_exact": "0.04486",
        "carried_in": "0",
        "balance": "0.04486",
        "amount_due": "0.04",
        "carried_out": "0.00486",
    }
    lines = [(line["bill_item"], line["quantity"], line["rate"], line["amount"]) for line in first["lines"]]
    assert lines == [(0, 27, "0.00018", "0.00486"), (1, 2, "0.02", "0.04")]
    alone = {"carried_in_notes": [], "notes": [], "balance_after_notes": "0.04486", "amount_due_after_notes": "0.04"}
    assert (await world.get("/v1/invoices/VN-2026-000001", role="finance")).body == {**first, **alone}
    for query, numbers in (
        ("", 2),
        ("?merchant_id=m2", 1),
        ("?period=2026-10&merchant_id=m1", 1),
        ("?period=2026-09", 0),
        ("?merchant_id=nobody", 0),
        ("?after=VN-2026-000001", 1),
        ("?after=VN-2026-000002", 0),
    ):
        assert len((await world.get(f"/v1/invoices{query}", role="finance")).body["invoices"]) == numbers, query
    for path, status, code in (
        ("/v1/invoices/VN-2026-000009", 404, "invoice_not_found"),
        ("/v1/invoices/%00", 404, "invoice_not_found"),
        ("/v1/invoices/VN-2026-000009/export?format=csv", 404, "invoice_not_found"),
        ("/v1/invoices?after=VN-2026-000009", 404, "invoice_not_found"),
        ("/v1/invoices?period=2026", 400, "invalid_request"),
        ("/v1/invoices?page=2", 400, "invalid_request"),
        ("/v1/invoices/VN-2026-000001/export", 400, "invalid_request"),
        ("/v1/invoices/VN-2026-000001/export?format=exe", 400, "invalid_request"),
        ("/v1/invoices/export?format=csv", 400, "invalid_request"),
        ("/v1/invoices/export?period=2026-10&format=", 400, "invalid_request"),
    ):
        reply = await world.get(path, role="finance")
        assert (reply.status, reply.code) == (status, code), (path, reply.body)


async def test_exports_add_up(world: World) -> None:
    await october(world)
    await close(world)
    reply = await world.get("/v1/invoices/VN-2026-000001/export?format=csv", role="finance")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert reply.headers["Content-Disposition"] == 'attachment; filename="invoice-VN-2026-000001.csv"'
    rows = list(csv.DictReader(io.StringIO(reply.body)))
    assert list(rows[0])[:8] == COLUMNS
    assert [row["bill_item"] for row in rows] == ["0"] * 27 + ["1"]
    assert sum(Decimal(row["cost"]) for row in rows) == Decimal("0.04486")
    assert (rows[0]["biz_date"], rows[-1]["call_id"], rows[-1]["bill_duration"]) == ("2026-10-05", "c1", "2")

    whole = (await world.get("/v1/invoices/export?period=2026-10&format=csv", role="finance")).body
    assert sum(Decimal(row["cost"]) for row in csv.DictReader(io.StringIO(whole))) == Decimal("0.04504")
    one = (await world.get("/v1/invoices/VN-2026-000001/export?format=json", role="finance")).body
    assert sum(Decimal(row["cost"]) for row in one["details"]) == Decimal(one["total_exact"])
    reply = await world.get("/v1/invoices/export?period=2026-10&format=json", role="finance")
    assert [invoice["merchant_id"] for invoice in reply.body["invoices"]] == ["m1", "m2"]
    assert reply.headers["Content-Disposition"] == 'attachment; filename="invoices-2026-10.json"'


@pytest.mark.parametrize(
    ("form", "kind", "ending", "begins"),
    [
        ("csv", "text/csv; charset=utf-8", "csv", b"merchant_id,"),
        ("csv&bom=true", "text/csv; charset=utf-8", "csv", b"\xef\xbb\xbfmerchant_id,"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", b"PK"),
        ("pdf", "application/pdf", "pdf", b"%PDF-1.7"),
        ("json", "application/json", "json", b"{"),
        ("fapiao", "text/csv; charset=utf-8", "fapiao.csv", "账单号 invoice_number,".encode()),
        ("fapiao&bom=true", "text/csv; charset=utf-8", "fapiao.csv", "\ufeff账单号 invoice_number,".encode()),
    ],
)
async def test_each_format_says_what_it_is(world: World, form: str, kind: str, ending: str, begins: bytes) -> None:
    await october(world)
    await close(world)
    for path, name in (
        (f"/v1/invoices/export?period=2026-10&format={form}", "invoices-2026-10"),
        (f"/v1/invoices/VN-2026-000001/export?format={form}", "invoice-VN-2026-000001"),
    ):
        reply = await world.get(path, role="finance")
        assert (reply.status, reply.headers["Content-Type"]) == (200, kind)
        assert reply.headers["Content-Disposition"] == f'attachment; filename="{name}.{ending}"'
        assert reply.raw.startswith(begins)


async def test_a_format_that_is_none_and_a_mark_where_none_belongs(world: World) -> None:
    await october(world)
    await close(world)
    no_mark = [f"format={form}&bom=true" for form in ("pdf", "xlsx", "json")]
    for query in ("format=doc", "format=csv&bom=x", "format=csv&bom=", *no_mark):
        for path in ("/v1/invoices/export?period=2026-10&", "/v1/invoices/VN-2026-000001/export?"):
            reply = await world.get(path + query, role="finance")
            assert (reply.status, reply.code) == (400, "invalid_request"), query


async def test_a_reader_who_does_not_wait_for_a_file_gives_its_place_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await october(world)
    await close(world)
    monkeypatch.setattr("vnum.api.files.LOOK_S", 0.01)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def takes_forever(*_: object) -> AsyncGenerator[bytes, None]:
        begun.set()
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            ended.set()

    monkeypatch.setattr(Invoices, "_pieces", takes_forever)
    waiting = asyncio.ensure_future(world.get("/v1/invoices/export?period=2026-10&format=xlsx", role="finance"))
    await asyncio.wait_for(begun.wait(), 60)
    waiting.cancel()
    await asyncio.wait_for(ended.wait(), 60)
    assert not world.engine.invoices._exports.locked()


async def test_a_tied_key_sees_its_merchants_only(world: World) -> None:
    await october(world)
    await close(world)
    tied = await world.key_of("finance", merchants=["m2"])
    listed = (await world.get("/v1/invoices", role=tied)).body["invoices"]
    assert [invoice["merchant_id"] for invoice in listed] == ["m2"]
    assert (await world.get("/v1/invoices?merchant_id=m1", role=tied)).body == {"invoices": []}
    for path in ("/v1/invoices/VN-2026-000001", "/v1/invoices/VN-2026-000001/export?format=csv"):
        assert (await world.get(path, role=tied)).code == "invoice_not_found"
        assert (await world.get(path.replace("1", "2").replace("v2", "v1"), role=tied)).status == 200
    whole = (await world.get("/v1/invoices/export?period=2026-10&format=csv", role=tied)).body
    assert {row["merchant_id"] for row in csv.DictReader(io.StringIO(whole))} == {"m2"}


async def test_an_export_that_breaks_never_looks_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await october(world)
    await close(world)

    async def breaks(*_: object) -> AsyncGenerator[bytes, None]:
        yield b"merchant_id,biz_date\r\n" * 10_000
        raise RuntimeError("in the middle")

    monkeypatch.setattr(Invoices, "_pieces", breaks)
    with pytest.raises(aiohttp.ClientError):
        await world.get("/v1/invoices/export?period=2026-10&format=csv", role="finance")
    assert (await world.get("/healthz", role=None)).status == 200

    async def breaks_at_once(*_: object) -> AsyncGenerator[bytes, None]:
        raise RuntimeError("at the start")
        yield b""

    monkeypatch.setattr(Invoices, "_pieces", breaks_at_once)
    reply = await world.get("/v1/invoices/export?period=2026-10&format=csv", role="finance")
    assert (reply.status, reply.code) == (500, "internal_error")
    assert "start" not in str(reply.body)


async def test_an_invoice_that_does_not_add_up_is_not_exported(world: World) -> None:
    await october(world)
    await close(world)
    await world.owner.execute("UPDATE calls SET cost = 7")
    reply = await world.get("/v1/invoices/VN-2026-000001/export?format=csv", role="finance")
    assert (reply.status, reply.code) == (500, "invoice_inconsistent")


async def test_few_exports_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await october(world)
    await close(world)
    exports = world.engine.invoices._exports
    async with exports, exports:
        reply = await world.get("/v1/invoices/export?period=2026-10&format=csv", role="finance")
        assert (reply.status, reply.code) == (503, "overloaded")
        assert reply.headers["Retry-After"] == "1"
    assert (await world.get("/v1/invoices/export?period=2026-10&format=csv", role="finance")).status == 200


async def test_what_came_late_goes_on_the_next_invoice(world: World) -> None:
    await october(world)
    await close(world)
    extension = await world.owner.fetchval("SELECT extension FROM bindings WHERE order_id = 'o1'")
    late = {"items": [record("late", extension, call_time="2026-10-06T12:01:00+08:00", answer_time=None)]}
    late["items"][0] |= {"answer_time": "2026-10-06T12:01:00+08:00", "release_time": "2026-10-06T12:01:30+08:00"}
    assert (await world.post("/v1/calls/records", late, role="switch")).body["results"][0]["cost"] == "0.02"
    await world.post("/v1/bindings", order("o3", recipient_phone="13612345678"))
    world.advance(days=30)
    reply = await close(world, period="2026-11")
    assert reply.status == 200
    found = (await world.get("/v1/invoices?period=2026-11&merchant_id=m1", role="finance")).body["invoices"][0]
    assert (found["adjustments_count"], found["adjustments_total"]) == (1, "0.02")
