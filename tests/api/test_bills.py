"""Daily bills over HTTP: rows of a date, page by page."""

from decimal import Decimal

import pytest

from .conftest import World, order, record


async def some_days(world: World) -> None:
    """m1: two numbers on the 5th, one of them for a day, and a call; m2: one number. It is the 7th now."""
    await world.stock()
    made = (await world.bind()).body
    world.advance(seconds=1)
    await world.post("/v1/bindings", order("o2", recipient_phone="13612345678", ttl_days=1))
    await world.post("/v1/bindings", order("o3", merchant_id="m2"))
    world.advance(hours=1)
    await world.post("/v1/calls/records", {"items": [record("c1", made["extension"])]}, role="switch")
    world.advance(days=2)


async def test_the_rows_of_a_date(world: World) -> None:
    await some_days(world)
    reply = await world.get("/v1/bills/daily?biz_date=2026-10-05", role="finance")
    assert reply.status == 200
    page = reply.body
    head = {name: page[name] for name in ("biz_date", "page_no", "page_size", "total", "cost")}
    assert head == {"biz_date": "2026-10-05", "page_no": 1, "page_size": 100, "total": 4, "cost": "0.04054"}
    rows = [(row["merchant_id"], row["bill_item"], row["order_id"], row["call_id"]) for row in page["rows"]]
    assert rows == [("m1", 0, "o1", None), ("m1", 0, "o2", None), ("m1", 1, "o1", "c1"), ("m2", 0, "o3", None)]
    assert page["rows"][2] == {
        "merchant_id": "m1",
        "biz_date": "2026-10-05",
        "bill_item": 1,
        "bill_duration": 2,
        "cost": "0.04",
        "order_id": "o1",
        "binding_id": page["rows"][0]["binding_id"],
        "call_id": "c1",
    }
    assert (page["rows"][0]["bill_duration"], page["rows"][0]["cost"]) == (1, "0.00018")
    one = (await world.get("/v1/bills/daily?biz_date=2026-10-06&merchant_id=m1", role="finance")).body
    assert [row["order_id"] for row in one["rows"]] == ["o1"]
    assert (await world.get("/v1/bills/daily?biz_date=2026-07-01", role="finance")).body["total"] == 0


async def test_pages(world: World) -> None:
    await some_days(world)
    found = []
    for page_no, size in ((1, 3), (2, 1), (3, 0), (1_000_000_000, 0)):
        query = f"?biz_date=2026-10-05&page_no={page_no}&page_size=3"
        page = (await world.get(f"/v1/bills/daily{query}", role="finance")).body
        assert (len(page["rows"]), page["total"], page["cost"]) == (size, 4, "0.04054"), page_no
        found += page["rows"]
    whole = (await world.get("/v1/bills/daily?biz_date=2026-10-05&page_size=1000", role="finance")).body
    assert found == whole["rows"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?biz_date=",
        "?biz_date=2026-10-32",
        "?biz_date=2026-10-6",
        "?biz_date=20261006",
        "?biz_date=2026-10",
        "?biz_date=2026-10-06T00:00:00Z",
        "?biz_date=2026-10-06%00",
        "?biz_date=2026-10-08",  # tomorrow
        "?biz_date=9999-12-31",
        "?biz_date=0001-01-01",
        "?biz_date=1969-12-31",
        "?biz_date=2026-10-06&biz_date=2026-10-05",
        "?biz_date=2026-10-06&page_size=1001",
        "?biz_date=2026-10-06&page_size=0",
        "?biz_date=2026-10-06&page_no=0",
        "?biz_date=2026-10-06&page_no=-1",
        "?biz_date=2026-10-06&page_no=one",
        "?biz_date=2026-10-06&page_no=1000000001",
        "?biz_date=2026-10-06&merchant_id=",
        "?biz_date=2026-10-06&merchant_id=%00",
        "?biz_date=2026-10-06&page=2",
    ],
)
async def test_what_can_not_be_asked(world: World, query: str) -> None:
    world.advance(days=2)
    reply = await world.get(f"/v1/bills/daily{query}", role="finance")
    assert (reply.status, reply.code) == (400, "invalid_request"), reply.body


async def test_today_is_by_shanghai(world: World) -> None:
    """16:00 in UTC is midnight there."""
    world.advance(hours=11, minutes=59)
    assert (await world.get("/v1/bills/daily?biz_date=2026-10-06", role="finance")).status == 400
    world.advance(minutes=1)
    assert (await world.get("/v1/bills/daily?biz_date=2026-10-06", role="finance")).status == 200


async def test_a_tied_key_sees_its_merchants_only(world: World) -> None:
    await some_days(world)
    tied = await world.key_of("finance", merchants=["m2"])
    page = (await world.get("/v1/bills/daily?biz_date=2026-10-05", role=tied)).body
    assert ({row["merchant_id"] for row in page["rows"]}, page["total"], page["cost"]) == ({"m2"}, 1, "0.00018")
    other = (await world.get("/v1/bills/daily?biz_date=2026-10-05&merchant_id=m1", role=tied)).body
    assert (other["rows"], other["total"], other["cost"]) == ([], 0, "0")


async def test_the_dates_of_a_month_are_its_invoice(world: World) -> None:
    await some_days(world)
    world.advance(days=30)
    assert (await world.post("/v1/invoices/close", {"period": "2026-10"}, role="finance")).status == 200
    for merchant in ("m1", "m2"):
        pages = [
            (await world.get(f"/v1/bills/daily?biz_date=2026-10-{day:02}&merchant_id={merchant}", role="admin")).body
            for day in range(1, 32)
        ]
        (invoice,) = (await world.get(f"/v1/invoices?merchant_id={merchant}", role="finance")).body["invoices"]
        assert sum(Decimal(page["cost"]) for page in pages) == Decimal(invoice["total_exact"])
