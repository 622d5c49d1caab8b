"""Price lists over HTTP, a merchant's way from one to another, and the month as it stands."""

from decimal import Decimal
from typing import Any

import pytest

from .conftest import World, record

SIXES = {
    "tariff_id": "sixes",
    "effective_from": "2026-01-01T00:00:00+08:00",
    "rental": {"model": "calendar_day", "rate": "0.0002"},
    "calls": {"model": "increments", "minute": "0.03", "first_s": 30, "next_s": 6, "setup_fee": "0.001"},
    "free_minutes": 1,
    "tax": {"mode": "added", "rate": "0.06"},
    "note": "for large shops",
}


async def test_a_tariff_is_made_listed_and_paid(world: World) -> None:
    made = await world.post("/v1/tariffs", SIXES, role="finance")
    assert made.status == 201, made.body
    assert made.body["version"] == 1
    assert made.body["effective_from"] == "2025-12-31T16:00:00Z"
    assert made.body["calls"] == {
        "model": "increments", "minute": "0.03", "first_s": 30, "next_s": 6, "minimum_s": 0, "free_s": 0,
        "setup_fee": "0.001",
    }  # fmt: skip
    listed = (await world.get("/v1/tariffs", role="finance")).body["tariffs"]
    assert [(one["tariff_id"], one["version"]) for one in listed] == [("default", 1), ("sixes", 1)]
    assert (listed[1]["note"], listed[1]["added_by"]) == ("for large shops", world.keys["finance"].split("_")[1])

    await world.stock()
    path = "/v1/merchants/m1/tariffs"
    assert (await world.get(path, role="finance")).body == {"assignments": []}
    assigned = await world.post(path, {"tariff_id": "sixes"}, role="platform")
    assert (assigned.status, assigned.body["effective_from"]) == (201, "2026-09-30T16:00:00Z")
    assert (await world.get(path, role="finance")).body == {"assignments": [assigned.body]}


async def test_the_month_as_it_stands_is_what_its_close_will_say(world: World) -> None:
    """Two dates touched: 2 x 0.0002. A call of 61 s = 30 + 6 x 6 = 66 s = 11 units of 6 s at 0.003, of which a free
    minute takes 10: 0.003; set-up 0.001. 0.0044, and 6 % on it: 0.000264."""
    await world.post("/v1/tariffs", SIXES, role="finance")
    await world.stock()
    await world.post("/v1/merchants/m1/tariffs", {"tariff_id": "sixes"}, role="finance")
    binding = (await world.bind(ttl_days=1)).body
    call = record("c1", binding["extension"])
    world.advance(days=2)
    said = await world.post("/v1/calls/records", {"items": [call]}, role="switch")
    assert said.body["results"][0] | {"call_id": ""} == {
        "call_id": "", "status": "rated", "minutes": 2, "cost": "0.034",
    }  # fmt: skip

    (draft,) = (await world.get("/v1/invoices/draft?period=2026-10", role="finance")).body["invoices"]
    lines = [(line["kind"], line["quantity"], line["amount"]) for line in draft["lines"]]
    assert lines == [
        ("calendar_day", 2, "0.0004"),
        ("call", 11, "0.033"),
        ("call_setup", 1, "0.001"),
        ("free_minutes", -10, "-0.03"),
    ]
    assert (draft["state"], draft["number"], draft["as_of"]) == ("draft", None, "2026-10-07T04:00:00Z")
    assert (draft["total_exact"], draft["tax_exact"], draft["balance"]) == ("0.0044", "0.000264", "0.004664")
    world.advance(days=30)
    assert (await world.post("/v1/invoices/close", {"period": "2026-10"}, role="finance")).status == 200
    (closed,) = (await world.get("/v1/invoices?period=2026-10", role="finance")).body["invoices"]
    same = ("merchant_id", "taxes", "total_exact", "tax_exact", "carried_in", "balance", "amount_due")
    assert {name: closed[name] for name in same} == {name: draft[name] for name in same}
    assert [(line["kind"], line["quantity"], line["amount"]) for line in closed["lines"]] == lines
    assert (await world.get("/v1/invoices/draft?period=2026-10", role="finance")).body == {"invoices": []}
    details = await world.get(f"/v1/invoices/{closed['number']}/export?format=json", role="finance")
    assert sum(Decimal(row["cost"]) for row in details.body["details"]) == Decimal("0.0044")


async def test_a_draft_is_of_months_that_began_and_of_ones_own(world: World) -> None:
    await world.stock()
    await world.bind()
    await world.bind("o2", merchant_id="m2")
    reply = await world.get("/v1/invoices/draft?period=2026-11", role="finance")
    assert (reply.status, reply.code) == (400, "invalid_request")
    reply = await world.get("/v1/invoices/draft?period=2026-10&merchant_id=nobody", role="finance")
    assert (reply.status, reply.code) == (404, "merchant_not_found")
    tied = await world.key_of("finance", merchants=["m1"])
    for query in ("", "&merchant_id=m1", "&after=m0"):
        found = (await world.get(f"/v1/invoices/draft?period=2026-10{query}", role=tied)).body["invoices"]
        assert [one["merchant_id"] for one in found] == ["m1"]
    for query in ("&merchant_id=m2", "&after=m1"):
        assert (await world.get(f"/v1/invoices/draft?period=2026-10{query}", role=tied)).body == {"invoices": []}


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"tariff_id": "default"}, 422, "tariff_invalid"),  # its last version is older, but merchants pay it now
    ({"calls": {"model": "increments", "minute": "0.02", "first_s": 1, "next_s": 1}}, 422, "tariff_invalid"),
    ({"calls": {"model": "increments", "minute": "0.02", "first_s": 0}}, 422, "tariff_invalid"),
    ({"calls": {"model": "increments", "minute": "NaN"}}, 422, "tariff_invalid"),
    ({"calls": {"model": "increments", "minute": "sNaN"}}, 422, "tariff_invalid"),
    ({"calls": {"model": "increments", "minute": "1E+999999"}}, 422, "tariff_invalid"),
    ({"calls": {"model": "increments", "minute": "1E-999999"}}, 422, "tariff_invalid"),
    ({"calls": {"model": "increments", "minute": "-1"}}, 422, "tariff_invalid"),
    ({"calls": {"model": "by_moon", "minute": "1"}}, 400, "invalid_request"),
    ({"calls": {"model": "increments"}}, 400, "invalid_request"),
    ({"rental": {"model": "weekly", "rate": "1"}}, 400, "invalid_request"),
    ({"rental": {"model": "started_day", "rate": "a lot"}}, 400, "invalid_request"),
    ({"tax": {"mode": "added", "rate": "1"}}, 422, "tariff_invalid"),
    ({"tax": {"mode": "none", "rate": "0"}}, 400, "invalid_request"),
    ({"free_minutes": -1}, 400, "invalid_request"),
    ({"free_minutes": 10**18}, 422, "tariff_invalid"),
    ({"effective_from": "2026-01-01T00:00:00"}, 400, "invalid_request"),
    ({"tariff_id": ""}, 400, "invalid_request"),
    ({"price": "0"}, 400, "invalid_request"),
    # A mistyped name is refused, not taken for "none of it": terms can not be taken back.
    ({"calls": {"model": "increments", "minute": "0.02", "setup": "0.1"}}, 400, "invalid_request"),
    ({"rental": {"model": "started_day", "rate": "1", "per": "week"}}, 400, "invalid_request"),
    ({"tax": {"mode": "added", "rate": "0.06", "percent": 6}}, 400, "invalid_request"),
    ({"rental": {"model": "started_day", "rate": "0E+999999"}}, 422, "tariff_invalid"),
    ({"tax": {"mode": "added", "rate": "0E+999999"}}, 422, "tariff_invalid"),
    ({"effective_from": "0001-01-01T00:00:00Z"}, 422, "tariff_invalid"),  # no calendar has it in Asia/Shanghai
    ({"effective_from": "0001-01-01T00:00:00+08:00"}, 422, "tariff_invalid"),
    ({"effective_from": "2062-01-01T00:00:00Z"}, 422, "tariff_invalid"),  # for 2026; nothing could come before it
    ({"effective_from": "9999-12-31T23:59:59-08:00"}, 422, "tariff_invalid"),
    ({"note": "ask 13812345678"}, 400, "invalid_request"),
]


@pytest.mark.parametrize(("wrong", "status", "code"), WRONG)
async def test_a_wrong_tariff_is_refused_with_the_reason(
    world: World, wrong: dict[str, Any], status: int, code: str
) -> None:
    reply = await world.post("/v1/tariffs", SIXES | wrong, role="finance")
    assert (reply.status, reply.code) == (status, code), reply.body
    assert await world.rows("tariffs") == 1


@pytest.mark.parametrize(
    ("merchant", "body", "status", "code"),
    [
        ("m1", {"tariff_id": "none"}, 404, "tariff_not_found"),
        ("nobody", {"tariff_id": "default"}, 404, "merchant_not_found"),
        ("m1", {"tariff_id": "default", "effective_from": "2026-10-05T04:09:59Z"}, 422, "tariff_invalid"),
        ("m1", {"tariff_id": "default", "effective_from": "1969-01-01T00:00:00Z"}, 404, "tariff_not_found"),
        ("m1", {"tariff_id": "default", "effective_from": "2062-12-01T00:00:00Z"}, 422, "tariff_invalid"),
        ("m1", {"tariff_id": "default", "effective_from": "9999-12-31T23:59:59-08:00"}, 422, "tariff_invalid"),
        ("m1", {"tariff_id": "default", "effective_from": "2026-12-01"}, 400, "invalid_request"),
        ("m1", {}, 400, "invalid_request"),
    ],
)
async def test_a_wrong_assignment(world: World, merchant: str, body: dict[str, Any], status: int, code: str) -> None:
    await world.stock()
    await world.bind()
    reply = await world.post(f"/v1/merchants/{merchant}/tariffs", body, role="finance")
    assert (reply.status, reply.code) == (status, code), reply.body


async def test_others_prices_are_not_for_a_tied_key(world: World) -> None:
    await world.stock()
    tied = await world.key_of("finance", merchants=["m1"])
    assert (await world.get("/v1/tariffs", role=tied)).code == "forbidden"
    assert (await world.post("/v1/tariffs", SIXES, role=tied)).code == "forbidden"
    assert (await world.post("/v1/merchants/m1/tariffs", {"tariff_id": "default"}, role=tied)).code == "forbidden"
    assert (await world.get("/v1/merchants/m1/tariffs", role=tied)).status == 200
    assert (await world.get("/v1/merchants/m2/tariffs", role=tied)).code == "merchant_not_found"
