"""Bindings over HTTP: made, repeated, refused, extended, released."""

import json
from typing import Any

import pytest

from .conftest import HOST, OTHER_PHONE, PHONE, World, order

SHAPE = {
    "binding_id", "merchant_id", "order_id", "host", "extension", "number", "mode", "state", "bound_at", "expires_at",
    "recipient_token",
}  # fmt: skip

# What is sent in place of a good field, or "-" to leave it out; then status, code and a word of the detail.
BAD_FIELDS: list[tuple[dict[str, Any], int, str, str]] = [
    ({"recipient_phone": "12345"}, 400, "invalid_phone", "recipient_phone"),
    ({"recipient_phone": "+8523 1234567"}, 400, "invalid_phone", "recipient_phone"),
    ({"recipient_phone": "+1 212 555 0123"}, 400, "invalid_phone", "recipient_phone"),
    ({"recipient_phone": "138123456789"}, 400, "invalid_phone", "recipient_phone"),
    ({"recipient_phone": "13812345678-801"}, 400, "invalid_phone", "extension"),
    ({"recipient_phone": "138\u00001234567"}, 400, "invalid_phone", "recipient_phone"),
    ({"recipient_phone": ""}, 400, "invalid_request", "recipient_phone"),
    ({"recipient_phone": "1" * 65}, 400, "invalid_request", "recipient_phone"),
    ({"recipient_phone": 13812345678}, 400, "invalid_request", "recipient_phone"),
    ({"recipient_phone": "-"}, 400, "invalid_request", "recipient_phone"),
    ({"merchant_id": "nobody"}, 404, "merchant_not_found", "nobody"),
    ({"merchant_id": "-"}, 400, "invalid_request", "merchant_id"),
    ({"merchant_id": ""}, 400, "invalid_request", "merchant_id"),
    ({"merchant_id": "m" * 65}, 400, "invalid_request", "merchant_id"),
    ({"merchant_id": "m\u00001"}, 400, "invalid_request", "merchant_id"),
    ({"merchant_id": "m1\n"}, 400, "invalid_request", "merchant_id"),
    ({"order_id": "-"}, 400, "invalid_request", "order_id"),
    ({"order_id": "o" * 65}, 400, "invalid_request", "order_id"),
    ({"order_id": None}, 400, "invalid_request", "order_id"),
    ({"order_id": 7}, 400, "invalid_request", "order_id"),
    ({"order_status": "unpaid"}, 422, "order_not_shipped", "unpaid"),
    ({"order_status": "paid"}, 422, "order_not_shipped", "paid"),
    ({"order_status": "cancelled"}, 422, "order_not_shipped", "cancelled"),
    ({"order_status": "closed"}, 422, "order_not_shipped", "closed"),
    ({"order_status": "lost"}, 400, "invalid_request", "waybill_issued"),
    ({"order_status": "-"}, 400, "invalid_request", "order_status"),
    ({"ttl_days": 0}, 400, "invalid_request", "ttl_days"),
    ({"ttl_days": -1}, 400, "invalid_request", "ttl_days"),
    ({"ttl_days": 91}, 400, "invalid_request", "ttl_days"),
    ({"ttl_days": "x"}, 400, "invalid_request", "ttl_days"),
    ({"ttl_days": "30"}, 400, "invalid_request", "ttl_days"),
    ({"ttl_days": 30.5}, 400, "invalid_request", "ttl_days"),
    ({"ttl_days": None}, 400, "invalid_request", "ttl_days"),
    ({"mode": "axb"}, 400, "invalid_request", "must be one of axe"),
    ({"city": "杭\u0000州"}, 400, "invalid_request", "city"),
    ({"city_strict": "yes"}, 400, "invalid_request", "city_strict"),
    ({"city": "拉萨", "city_strict": True}, 409, "no_number_available", "拉萨"),
    ({"recipient_name": "n" * 129}, 400, "invalid_request", "recipient_name"),
    ({"recipient_name": "张\u0000三"}, 400, "invalid_request", "recipient_name"),
    ({"parcels": [{"carrier": "SF"}]}, 400, "invalid_request", "waybill_no"),
    ({"parcels": [{"carrier": "SF", "waybill_no": "1", "x": 1}]}, 400, "invalid_request", "parcels[0]"),
    ({"parcels": [{"carrier": "SF", "waybill_no": str(n)} for n in range(51)]}, 400, "invalid_request", "parcels"),
    ({"surprise": 1}, 400, "invalid_request", "surprise"),
]

BAD_BODIES: list[tuple[bytes, str]] = [
    (b"", "ends too early"),
    (b"{", "ends too early"),
    (b"[]", "object"),
    (b"null", "object"),
    (b'"text"', "object"),
    (json.dumps(order()).encode() + b" trailing", "trailing"),
    (b'{"merchant_id": "\xff"}', "UTF-8"),
    (b'{"merchant_id": "\\ud800"}', ""),
    (b"\xef\xbb\xbf{}", "malformed"),
    (b'{"parcels": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", ""),
    (b'{"13812345678": 1}', "another name"),
]


def changed(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in order(**fields).items() if value != "-"}


async def written(world: World) -> int:
    return sum([await world.rows(table) for table in ("slots", "orders", "bindings", "waybills", "orphans")])


async def test_a_binding_and_its_repeats(world: World) -> None:
    await world.stock()
    made = await world.bind(recipient_name="张三")
    assert made.status == 201
    assert set(made.body) == SHAPE
    assert made.body["number"] == f"{HOST}-{made.body['extension']}"
    assert made.body["bound_at"] == "2026-10-05T04:00:00Z"
    assert made.body["expires_at"] == "2026-11-04T04:00:00Z"
    assert (made.body["state"], made.body["mode"]) == ("live", "axe")
    world.advance(days=3)

    again = await world.bind(recipient_phone="+86 138-1234-5678", ttl_days=1, city="北京")
    assert (again.status, again.body) == (200, made.body)
    assert (await world.bind(recipient_phone=OTHER_PHONE)).code == "binding_conflict"
    assert (await world.get(f"/v1/bindings/{made.body['binding_id']}")).body == made.body
    assert await world.rows("bindings") == 1

    released = await world.post(f"/v1/bindings/{made.body['binding_id']}/release", {"reason": "returned"})
    ended = {"state": "released", "ended_at": released.body["ended_at"]}
    assert (released.status, released.body) == (200, made.body | ended)
    renewed = await world.bind(recipient_phone=OTHER_PHONE)
    assert renewed.status == 201
    assert renewed.body["number"] != made.body["number"]
    world.advance(days=30)
    assert (await world.get(f"/v1/bindings/{renewed.body['binding_id']}")).body["state"] == "expired"
    assert (await world.bind(recipient_phone=OTHER_PHONE)).status == 201


async def test_a_fixed_line_with_its_own_extension(world: World) -> None:
    await world.stock()
    assert (await world.bind(recipient_phone="021-12345678-801")).status == 201
    assert (await world.bind(recipient_phone="+862112345678 转 801")).status == 200
    assert (await world.bind(recipient_phone="021-12345678")).code == "binding_conflict"


async def test_what_is_wrong_is_told_and_nothing_is_written(world: World) -> None:
    await world.stock()
    for fields, status, code, word in BAD_FIELDS:
        reply = await world.post("/v1/bindings", changed(fields))
        assert (reply.status, reply.code) == (status, code), (fields, reply.body)
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert reply.body["status"] == status
        assert word in reply.body["detail"], (fields, reply.body)
        assert PHONE not in str(reply.body)
        assert "12345" not in reply.body["detail"]
    for body, word in BAD_BODIES:
        reply = await world.post("/v1/bindings", data=body)
        assert (reply.status, reply.code) == (400, "invalid_request"), body[:40]
        assert word in reply.body["detail"], (body[:40], reply.body)
        assert "138" not in reply.body["detail"]
    assert await written(world) == 0


async def test_what_http_refuses(world: World) -> None:
    await world.stock()
    text = {"Content-Type": "text/plain"}
    assert (await world.post("/v1/bindings", data=b"{}", headers=text)).code == "unsupported_media_type"
    packed = {"Content-Encoding": "gzip"}
    assert (await world.post("/v1/bindings", data=b"\x1f\x8b", headers=packed)).status == 415
    large = b'{"merchant_id": "' + b"m" * 2_200_000 + b'"}'
    reply = await world.post("/v1/bindings", data=large)
    assert (reply.status, reply.code) == (413, "body_too_large")
    reply = await world.get("/v1/nothing")
    assert (reply.status, reply.code) == (404, "not_found")
    reply = await world.call("DELETE", "/v1/bindings")
    assert (reply.status, reply.code) == (405, "method_not_allowed")
    assert set(reply.headers["Allow"].split(",")) == {"GET", "POST"}
    for path in ("/v1/bindings/7", "/v1/bindings/%00", f"/v1/bindings/{'0' * 32}", "/v1/bindings/x%ff"):
        assert (await world.get(path)).code == "binding_not_found", path
    assert (await world.get("/v1/bindings?merchant_id=m1")).code == "invalid_request"
    assert (await world.get("/v1/bindings?merchant_id=m1&order_id=1&order_id=2")).code == "invalid_request"
    assert (await world.get("/v1/bindings?merchant_id=m1&order_id=%ff")).body == {"bindings": []}
    assert (await world.get("/v1/bindings?merchant_id=m1&order_id=%00")).code == "invalid_request"
    assert (await world.get("/v1/bindings?merchant_id=m1&order_id=1&page=2")).code == "invalid_request"
    assert await written(world) == 0


async def test_extend(world: World) -> None:
    await world.stock()
    made = (await world.bind(ttl_days=90)).body
    path = f"/v1/bindings/{made['binding_id']}/extend"
    for days in (0, 1, 14, 31, -7, "7", 7.5, None):
        reply = await world.post(path, {"days": days})
        assert (reply.status, reply.code) == (400, "invalid_request"), days
    assert (await world.post(path, {})).code == "invalid_request"
    assert (await world.post(path, {"days": 7, "why": ""})).code == "invalid_request"
    for days, expires_at in ((30, "2027-02-02"), (30, "2027-03-04"), (15, "2027-03-19"), (15, "2027-04-03")):
        reply = await world.post(path, {"days": days})
        assert reply.status == 200
        assert reply.body == made | {"expires_at": f"{expires_at}T04:00:00Z"}
    reply = await world.post(path, {"days": 7})
    assert (reply.status, reply.code) == (422, "extend_limit")
    assert (await world.get(path.removesuffix("/extend"))).body["expires_at"] == "2027-04-03T04:00:00Z"

    short = (await world.bind("o2", ttl_days=1, recipient_phone=OTHER_PHONE)).body["binding_id"]
    world.advance(hours=24)
    for step, body in (("extend", {"days": 7}), ("release", {"reason": "late"})):
        reply = await world.post(f"/v1/bindings/{short}/{step}", body)
        assert (reply.status, reply.code) == (409, "binding_expired")
    unknown = await world.post(f"/v1/bindings/{short[:-6]}000000/extend", {"days": 7})
    assert (unknown.status, unknown.code) == (404, "binding_not_found")


async def test_release(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    path = f"/v1/bindings/{made['binding_id']}"
    for body in ({}, {"reason": ""}, {"reason": "x" * 129}, {"reason": 7}, {"reason": "a\u0000b"}):
        assert (await world.post(f"{path}/release", body)).code == "invalid_request", body
    world.advance(days=1)
    first = await world.post(f"{path}/release", {"reason": "signed"})
    world.advance(days=1)
    second = await world.post(f"{path}/release", {"reason": "again"})
    assert (first.status, second.status) == (200, 200)
    assert first.body == second.body == made | {"state": "released", "ended_at": "2026-10-06T04:00:00Z"}
    assert await world.owner.fetchval("SELECT release_reason FROM bindings") == "signed"
    assert (await world.post(f"{path}/extend", {"days": 7})).code == "binding_released"
    host_locked = (await world.bind("o2", recipient_phone=OTHER_PHONE)).body["binding_id"]
    await world.patch(f"/v1/hosts/{HOST}", {"state": "locked"}, role="admin")
    reply = await world.post(f"/v1/bindings/{host_locked}/extend", {"days": 7})
    assert (reply.status, reply.code) == (409, "host_locked")


async def test_a_batch_fails_item_by_item(world: World) -> None:
    await world.stock()
    items: list[Any] = [order(f"o{n}", recipient_phone=f"138{n:08}") for n in range(994)]
    items += [
        order("o0", recipient_phone="13800000000"),  # as the first: the same binding
        order("o1", recipient_phone=OTHER_PHONE),  # the second's order for another phone
        order("x1", recipient_phone="12345"),
        order("x2", merchant_id="nobody"),
        order("x3", surprise=True),
        "not an object",
    ]
    reply = await world.post("/v1/bindings/batch", {"items": items})
    assert reply.status == 200
    results = reply.body["results"]
    assert [result["status"] for result in results] == [201] * 994 + [200, 409, 400, 404, 400, 400]
    assert [result["binding"]["order_id"] for result in results[:994]] == [f"o{n}" for n in range(994)]
    assert results[994]["binding"] == results[0]["binding"]
    codes = ["binding_conflict", "invalid_phone", "merchant_not_found", "invalid_request", "invalid_request"]
    assert [result["error"]["code"] for result in results[995:]] == codes
    assert len({result["binding"]["number"] for result in results[:994]}) == 994
    assert await world.rows("bindings") == 994


@pytest.mark.parametrize("body", [{}, {"items": []}, {"items": None}, {"items": {}}, {"items": [{}] * 1001}])
async def test_a_batch_has_1_to_1000_items(world: World, body: dict[str, Any]) -> None:
    reply = await world.post("/v1/bindings/batch", body)
    assert (reply.status, reply.code) == (400, "invalid_request")


async def test_no_number_has_a_reason(world: World) -> None:
    await world.stock(hosts=0)
    assert (await world.bind()).body["reason"] == "no_active_host"
    await world.post("/v1/hosts", {"host": HOST, "ext_digits": 1}, role="admin")
    for n in range(9):
        assert (await world.bind(f"o{n}", recipient_phone=f"1381234567{n}")).status == 201
    reply = await world.bind("one too many")
    assert (reply.status, reply.code, reply.body["reason"]) == (409, "no_number_available", "all_bound")
    batch = await world.post("/v1/bindings/batch", {"items": [order("and another")]})
    assert batch.body["results"][0]["error"]["reason"] == "all_bound"


async def test_the_binding_of_an_order(world: World) -> None:
    await world.stock()
    made = (await world.bind(order_status="waybill_issued")).body
    path = "/v1/bindings?merchant_id=m1&order_id=o1"
    assert (await world.get(path)).body == {"bindings": [made]}
    assert (await world.get("/v1/bindings?merchant_id=m1&order_id=never")).body == {"bindings": []}
    reply = await world.get(path, role="merchant")
    assert (reply.status, reply.code) == (422, "order_not_shipped")
    await world.bind(order_status="shipped")
    assert (await world.get(path, role="isv")).body == {"bindings": [made]}
    assert (await world.get(path, role=await world.key_of("merchant", merchants=["m1"]))).body == {"bindings": [made]}
    assert (await world.get(path, role=await world.key_of("merchant", merchants=["m2"]))).body == {"bindings": []}
    world.advance(days=31)
    assert (await world.get(path)).body["bindings"][0]["state"] == "expired"
