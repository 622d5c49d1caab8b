"""POST /v1/labels/current: who reads which number, from when on, and what becomes of lapsed ones."""

from typing import Any

import pytest

from .conftest import OTHER_PHONE, World, order

SHAPE = {"status", "merchant_id", "order_id", "binding_id", "host", "extension", "number", "state", "expires_at"}


def by_order(*orders: str, merchant: str = "m1") -> list[dict[str, str]]:
    return [{"merchant_id": merchant, "order_id": name} for name in orders]


def by_parcel(carrier: str, *numbers: str) -> list[dict[str, str]]:
    return [{"carrier": carrier, "waybill_no": number} for number in numbers]


async def current(world: World, items: list[Any], role: str = "courier", **more: Any) -> list[dict[str, Any]]:
    reply = await world.post("/v1/labels/current", {"items": items, **more}, role=role)
    assert reply.status == 200, reply.body
    results: list[dict[str, Any]] = reply.body["results"]
    assert len(results) == len(items)
    return results


def codes(results: list[dict[str, Any]]) -> list[Any]:
    return [result["error"]["code"] if "error" in result else result["order_id"] for result in results]


async def test_by_order_and_by_parcel(world: World) -> None:
    await world.stock()
    made = (
        await world.bind(parcels=[{"carrier": "SF", "waybill_no": "SF1"}, {"carrier": "YT", "waybill_no": "1"}])
    ).body
    items = [
        *by_order("o1", "never"),
        *by_parcel("SF", "SF1", "SF2"),
        *by_parcel("YT", "1", "SF1"),
        {"merchant_id": "m1"},
        {"merchant_id": "m1", "order_id": "o1", "carrier": "SF", "waybill_no": "SF1"},
        {"merchant_id": "m1", "order_id": "o\u00001"},
        {"merchant_id": "m1", "order_id": "o1", "surprise": 1},
        [],
    ]
    results = await current(world, items)
    good = {"status": 200, **{name: value for name, value in made.items() if name in SHAPE}}
    assert set(good) == SHAPE
    assert results[0] == results[2] == results[4] == good
    never = "binding_not_found"
    wrong = "invalid_request"
    assert codes(results) == ["o1", never, "o1", never, "o1", never, wrong, wrong, wrong, wrong, wrong]
    assert [result["status"] for result in results] == [200, 404, 200, 404, 200, 404, 400, 400, 400, 400, 400]


async def test_who_reads_from_when_on(world: World) -> None:
    await world.stock()
    for status in ("waybill_issued", "shipped", "signed", "after_sales"):
        await world.bind(status, order_status=status)
    items = by_order("waybill_issued", "shipped", "signed", "after_sales")
    for role in ("courier", "platform", "admin"):
        assert codes(await current(world, items, role)) == ["waybill_issued", "shipped", "signed", "after_sales"], role
    for role in ("merchant", "isv"):
        results = await current(world, items, role)
        assert codes(results) == ["order_not_shipped", "shipped", "signed", "after_sales"], role
        assert results[0]["status"] == 422


async def test_what_a_tied_key_may_not_see_is_not_found(world: World) -> None:
    await world.stock()
    await world.bind(parcels=[{"carrier": "SF", "waybill_no": "1"}])
    await world.bind("o2", merchant_id="m2", parcels=[{"carrier": "YT", "waybill_no": "1"}])
    items = [*by_order("o1"), *by_order("o2", merchant="m2"), *by_parcel("SF", "1"), *by_parcel("YT", "1")]
    hidden = "binding_not_found"
    for role, tie, expected in (
        ("merchant", {"merchants": ["m1"]}, ["o1", hidden, "o1", hidden]),
        ("isv", {"merchants": ["m2", "m3"]}, [hidden, "o2", hidden, "o2"]),
        ("isv", {"merchants": ["m1", "m2"]}, ["o1", "o2", "o1", "o2"]),
        ("merchant", {"merchants": []}, [hidden] * 4),
        ("courier", {"carrier": "SF"}, ["o1", hidden, "o1", hidden]),
        ("courier", {"carrier": "ZT"}, [hidden] * 4),
        ("courier", {}, ["o1", "o2", "o1", "o2"]),
    ):
        results = await current(world, items, await world.key_of(role, **tie))
        assert codes(results) == expected, (role, tie)


async def test_a_lapsed_number_is_reissued_if_asked(world: World) -> None:
    await world.stock()
    old = (await world.bind(ttl_days=7, city="杭州")).body
    released = (await world.bind("o2", recipient_phone=OTHER_PHONE)).body
    await world.post(f"/v1/bindings/{released['binding_id']}/release", {"reason": "x"})
    world.advance(days=7)
    items = by_order("o1", "o2", "never")
    assert codes(await current(world, items)) == ["binding_expired", "binding_released", "binding_not_found"]
    assert codes(await current(world, items, reissue=False))[0] == "binding_expired"
    assert await world.rows("bindings") == 2

    first, *others = await current(world, items, reissue=True)
    assert (first["status"], first["state"], first["expires_at"]) == (200, "live", "2026-10-19T04:00:00Z")
    assert first["number"] != old["number"]
    assert codes(others) == ["binding_released", "binding_not_found"]
    assert (await current(world, items[:1], reissue=True))[0] == first
    assert (await world.bind()).status == 200  # the same recipient
    assert await world.rows("bindings") == 3

    await world.owner.execute("UPDATE bindings SET recipient = NULL")
    world.advance(days=8)
    assert codes(await current(world, items[:1], reissue=True)) == ["recipient_erased"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": []},
        {"items": [*by_order("o1")] * 201},
        {"items": by_order("o1"), "reissue": "yes"},
        {"items": by_order("o1"), "all": True},
    ],
)
async def test_a_request_that_is_wrong_as_a_whole(world: World, body: dict[str, Any]) -> None:
    reply = await world.post("/v1/labels/current", body, role="courier")
    assert (reply.status, reply.code) == (400, "invalid_request")


async def test_200_at_once(world: World) -> None:
    await world.stock()
    items = [order(f"o{n}", recipient_phone=f"138{n:08}") for n in range(200)]
    bound = (await world.post("/v1/bindings/batch", {"items": items})).body["results"]
    results = await current(world, by_order(*(f"o{n}" for n in range(200))))
    assert [result["number"] for result in results] == [result["binding"]["number"] for result in bound]
