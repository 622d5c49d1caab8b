"""Orders that live on with their parcels: dated stories through the API, told from noon of 5 October in Shanghai."""

from typing import Any

import pytest

from .conftest import CALLER, HOST, OTHER_PHONE, START, World, order

SF1 = {"carrier": "SF", "waybill_no": "SF1"}
SF2 = {"carrier": "SF", "waybill_no": "SF2"}
YT1 = {"carrier": "YT", "waybill_no": "YT1"}
O1 = "/v1/orders/m1/o1"


async def policy(world: World, **rules: Any) -> None:
    reply = await world.call("PUT", "/v1/platform/policy", rules, role="admin")
    assert reply.status == 200, reply.body


async def tell(world: World, type: str, order_id: str = "o1", *, status: int = 201, **more: Any) -> Any:
    reply = await world.post(f"/v1/orders/m1/{order_id}/events", {"type": type, **more})
    assert reply.status == status, reply.body
    return reply.body


async def seen(world: World, binding: Any) -> Any:
    return (await world.get(f"/v1/bindings/{binding['binding_id']}")).body


async def route(world: World, binding: Any, call_id: str = "c") -> str:
    """The real number that the switch is told, or the code of the refusal."""
    sent = {"call_id": call_id, "caller": CALLER, "host": HOST, "digits": binding["extension"]}
    body = (await world.post("/v1/calls/route", sent, role="switch")).body
    found: str = body.get("callee") or body["code"]
    return found


async def test_by_default_a_number_is_left_to_expire(world: World) -> None:
    await world.stock()
    assert (await world.get("/v1/platform/policy")).body == {
        "end_after_signed_days": None,
        "end_after_closed_days": None,
        "max_reach_days": None,
    }
    made = (await world.bind()).body
    for what in ("shipped", "signed", "closed"):
        told = await tell(world, what)
        assert (told["ends_at"], told["order_status"]) == (made["expires_at"], what)


async def test_a_split_order_ends_after_its_last_parcel(world: World) -> None:
    await world.stock()
    await policy(world, end_after_signed_days=7)
    made = (await world.bind(parcels=[SF1, YT1], order_status="waybill_issued")).body
    world.advance(days=2)
    told = await tell(world, "signed", **SF1)
    assert (told["order_status"], told["ends_at"], told["live"]) == ("shipped", made["expires_at"], True)
    world.advance(days=3)
    told = await tell(world, "signed", **YT1)
    assert (told["order_status"], told["ends_at"]) == ("signed", "2026-10-17T04:00:00Z")
    assert (await seen(world, made))["expires_at"] == "2026-10-17T04:00:00Z"
    (label,) = (await world.post("/v1/labels/current", {"items": [SF1]}, role="courier")).body["results"]
    assert label["expires_at"] == "2026-10-17T04:00:00Z"
    parcels = (await world.get(f"{O1}/parcels", role="merchant")).body["parcels"]
    assert [(one["waybill_no"], one["state"], one["since"]) for one in parcels] == [
        ("SF1", "signed", "2026-10-07T04:00:00Z"),
        ("YT1", "signed", "2026-10-10T04:00:00Z"),
    ]

    world.advance(days=7, microseconds=-1)
    assert await route(world, made) == "+8613812345678"
    world.advance(microseconds=1)
    assert await route(world, made) != "+8613812345678"
    assert (await seen(world, made))["state"] == "expired"
    held = await world.owner.fetchval("SELECT held_until - ended_at = interval '90 days' FROM slots")
    assert held, "quarantine counts from the actual end"


async def test_after_sales_take_the_early_end_back(world: World) -> None:
    await world.stock()
    await policy(world, end_after_signed_days=7)
    made = (await world.bind()).body
    world.advance(days=3)
    assert (await tell(world, "signed"))["ends_at"] == "2026-10-15T04:00:00Z"
    world.advance(days=6)
    told = await tell(world, "after_sales_opened")
    assert (told["ends_at"], told["order_status"]) == (made["expires_at"], "after_sales")
    world.advance(days=5)
    assert await route(world, made) == "+8613812345678"
    assert (await tell(world, "after_sales_closed"))["ends_at"] == "2026-10-26T04:00:00Z"
    world.advance(days=1)
    assert (await tell(world, "after_sales_opened"))["ends_at"] == made["expires_at"]
    world.advance(days=10)
    assert (await tell(world, "after_sales_closed"))["ends_at"] == made["expires_at"], "never later than the expiry"


async def test_after_sales_that_open_too_late_find_the_number_gone(world: World) -> None:
    await world.stock()
    await policy(world, end_after_signed_days=1)
    old = (await world.bind()).body
    await tell(world, "signed")
    world.advance(days=1)
    told = await tell(world, "after_sales_opened")
    assert (told["live"], told["ends_at"]) == (False, "2026-10-06T04:00:00Z")
    new = (await world.post(f"{O1}/reissue", {}, role="merchant")).body
    assert new["number"] != old["number"]
    assert new["expires_at"] == "2026-11-05T04:00:00Z", "after-sales are open: nothing ends it early"


async def test_an_early_end_is_not_in_the_past_and_does_not_meet_a_later_number(world: World) -> None:
    await world.stock()
    await policy(world, end_after_signed_days=2)
    made = (await world.bind(parcels=[SF1])).body
    world.advance(days=10)
    told = await tell(world, "signed", at="2026-10-06T12:00:00+08:00", **SF1)
    assert (told["live"], told["ends_at"], told["at"]) == (False, "2026-10-15T04:00:00Z", "2026-10-06T04:00:00Z")
    assert (await seen(world, made))["state"] == "expired"
    new = (await world.bind()).body
    assert new["binding_id"] != made["binding_id"]
    told = await tell(world, "signed", at="2026-10-07T12:00:00+08:00", **SF1)
    assert (told["live"], told["ends_at"]) == (True, new["expires_at"]), "it was bound in spite of that"


async def test_extended_beyond_an_early_end(world: World) -> None:
    """An extension counts from the expiry that is shown."""
    await world.stock()
    await policy(world, end_after_signed_days=7)
    made = (await world.bind()).body
    await tell(world, "signed")
    longer = (await world.post(f"/v1/bindings/{made['binding_id']}/extend", {"days": 7})).body
    assert longer["expires_at"] == "2026-10-19T04:00:00Z"
    assert (await tell(world, "shipped"))["ends_at"] == "2026-10-19T04:00:00Z", "what changes no end leaves it"
    assert (await tell(world, "after_sales_opened"))["ends_at"] == made["expires_at"]


@pytest.mark.parametrize(
    ("type", "days", "ends"),
    [
        ("cancelled", 0, "2026-10-06T04:00:00Z"),
        ("closed", 3, "2026-10-09T04:00:00Z"),
        ("returned", 1, "2026-10-07T04:00:00Z"),
        ("cancelled", 90, "2026-11-04T04:00:00Z"),
    ],
)
async def test_orders_that_are_over(world: World, type: str, days: int, ends: str) -> None:
    await world.stock()
    await policy(world, end_after_closed_days=days)
    await world.bind(parcels=[SF1])
    world.advance(days=1)
    assert (await tell(world, type))["ends_at"] == ends


async def test_what_is_over_gets_no_new_number(world: World) -> None:
    await world.stock()
    await policy(world, end_after_closed_days=0)
    await world.bind()
    await tell(world, "cancelled")
    assert (await world.bind()).code == "order_not_shipped"
    reply = await world.post(
        "/v1/labels/current", {"items": [{"merchant_id": "m1", "order_id": "o1"}], "reissue": True}
    )
    assert reply.body["results"][0]["error"]["code"] == "order_not_shipped"
    assert (await world.post(f"{O1}/reissue", {}, role="merchant")).code == "order_not_shipped"


async def test_an_event_counts_once(world: World) -> None:
    await world.stock()
    await policy(world, end_after_signed_days=7)
    await world.bind(parcels=[SF1, SF2])
    at = "2026-10-05T11:00:00+08:00"
    first = await tell(world, "signed", at=at, **SF1)
    assert await tell(world, "signed", at="2026-10-05T03:00:00Z", status=200, **SF1) == first
    other = await tell(world, "signed", at=at, **SF2)
    assert other["event_id"] != first["event_id"]
    await tell(world, "after_sales_opened", event_id="e1")
    await tell(world, "after_sales_opened", event_id="e1", status=200)
    await tell(world, "after_sales_opened", status=200)
    await tell(world, "after_sales_closed")
    await tell(world, "after_sales_opened")
    assert (await tell(world, "after_sales_closed", event_id="e1", status=409))["code"] == "event_conflict"
    assert await world.rows("order_events") == 5
    noted = await world.owner.fetch("SELECT did FROM audit_entries WHERE did LIKE 'order.%' ORDER BY did")
    assert [row["did"] for row in noted] == [
        "order.after_sales_closed",
        "order.after_sales_opened",
        "order.after_sales_opened",
        "order.signed",
        "order.signed",
    ]


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"type": "lost"}, 400, "invalid_request"),
        ({"type": "signed", "carrier": "SF"}, 400, "invalid_request"),
        ({"type": "signed", "waybill_no": "SF1"}, 400, "invalid_request"),
        ({"type": "closed", **SF1}, 400, "invalid_request"),
        ({"type": "signed", "at": "2026-10-05T12:00:00"}, 400, "invalid_request"),
        ({"type": "signed", "at": "yesterday"}, 400, "invalid_request"),
        ({"type": "signed", "event_id": ""}, 400, "invalid_request"),
        ({"type": "signed", "event_id": "e" * 65}, 400, "invalid_request"),
        ({"type": "signed", "phone": "13812345678"}, 400, "invalid_request"),
        ({"type": "signed", "at": "2026-10-05T12:05:01+08:00"}, 422, "time_in_future"),
        ({"type": "signed", "at": "9999-12-31T23:59:59-08:00"}, 422, "time_in_future"),
        ({"type": "signed", "at": "0001-01-01T00:00:00+08:00"}, 400, "invalid_request"),
        ({"type": "signed", **YT1}, 404, "parcel_not_found"),
    ],
)
async def test_events_that_are_none(world: World, sent: Any, status: int, code: str) -> None:
    await world.stock()
    await world.bind(parcels=[SF1])
    reply = await world.post(f"{O1}/events", sent)
    assert (reply.status, reply.code) == (status, code), reply.body
    assert await world.rows("order_events") == 0


@pytest.mark.parametrize("path", ["m1/never", "nobody/o1", "m1/%00", f"m1/{'x' * 65}"])
async def test_orders_that_are_none(world: World, path: str) -> None:
    await world.stock()
    await world.bind()
    for method, part, sent in (
        ("POST", "events", {"type": "signed"}),
        ("POST", "parcels", {"parcels": [SF1]}),
        ("DELETE", "parcels", {"parcels": [SF1]}),
        ("GET", "parcels", None),
        ("POST", "extend", {"days": 7}),
        ("POST", "reissue", {}),
    ):
        reply = await world.call(method, f"/v1/orders/{path}/{part}", sent)
        assert (reply.status, reply.code) == (404, "binding_not_found"), part
    assert (await world.get(f"/v1/labels/{path}?format=json")).code == "binding_not_found"


async def test_a_parcel_that_is_added_travels(world: World) -> None:
    await world.stock()
    await policy(world, end_after_signed_days=7)
    made = (await world.bind(parcels=[SF1])).body
    assert (await tell(world, "signed"))["ends_at"] == "2026-10-12T04:00:00Z"
    reply = await world.post(f"{O1}/parcels", {"parcels": [SF1, SF2, SF2]})
    assert [one["state"] for one in reply.body["parcels"]] == ["signed", "travelling"]
    assert (await seen(world, made))["expires_at"] == made["expires_at"]
    reply = await world.call("DELETE", f"{O1}/parcels", {"parcels": [SF2, YT1]})
    assert [one["waybill_no"] for one in reply.body["parcels"]] == ["SF1"]
    assert (await seen(world, made))["expires_at"] == "2026-10-12T04:00:00Z"


@pytest.mark.parametrize("many", [False, True])
async def test_a_parcel_that_a_repeated_bind_adds_travels_too(world: World, *, many: bool) -> None:
    """And what it brings again changes nothing."""
    await world.stock()
    await policy(world, end_after_signed_days=7)
    made = (await world.bind(parcels=[SF1])).body
    assert (await tell(world, "signed"))["ends_at"] == "2026-10-12T04:00:00Z"

    async def again(*parcels: Any) -> Any:
        asked = order("o1", parcels=list(parcels))
        if not many:
            return (await world.post("/v1/bindings", asked)).body
        return (await world.post("/v1/bindings/batch", {"items": [asked]})).body["results"][0]["binding"]

    assert (await again(SF1))["expires_at"] == "2026-10-12T04:00:00Z"
    for _ in range(2):
        more = await again(SF1, SF2, SF2)
        assert (more["binding_id"], more["expires_at"]) == (made["binding_id"], made["expires_at"])
        assert (await seen(world, made))["expires_at"] == made["expires_at"]
    assert (await tell(world, "signed", **SF2))["ends_at"] == "2026-10-12T04:00:00Z"
    added = await world.owner.fetch("SELECT actors FROM audit_entries WHERE did = 'order.parcels_added'")
    assert [list(row["actors"]) for row in added] == [[world.keys["platform"].split("_")[1]]]


async def merged(world: World) -> tuple[Any, Any]:
    """Two orders of a recipient in one parcel, of two merchants."""
    await world.stock()
    first = (await world.bind(parcels=[SF1])).body
    world.advance(hours=1)
    return first, (await world.bind("o2", merchant_id="m2", parcels=[SF1], ttl_days=7)).body


async def test_a_merged_parcel_answers_all_of_its_orders(world: World) -> None:
    first, second = await merged(world)

    async def asked(role: str, **more: Any) -> Any:
        return (await world.post("/v1/labels/current", {"items": [SF1], **more}, role=role)).body["results"][0]

    label = await asked("courier")
    assert (label["status"], label["number"]) == (200, second["number"])
    assert [(one["order_id"], one["number"]) for one in label["orders"]] == [
        ("o2", second["number"]),
        ("o1", first["number"]),
    ]
    mine = await asked(await world.key_of("merchant", merchants=["m1"]))
    assert (mine["order_id"], "orders" in mine) == ("o1", False)
    tied = await asked(await world.key_of("courier", carrier="YT"))
    assert tied["status"] == 404

    world.advance(days=7)
    label = await asked("courier", reissue=True)
    assert label["number"] == first["number"], "a label needs one number, and this one lives: nothing is bound anew"
    assert [one["status"] for one in label["orders"]] == [409, 200]
    assert label["orders"][0]["order_id"] == "o2"
    world.advance(days=30)
    assert (await asked("courier"))["error"]["code"] == "binding_expired"
    label = await asked("courier", reissue=True)
    assert (label["status"], label["order_id"]) == (200, "o2")
    assert [one["status"] for one in label["orders"]] == [200, 409]


async def test_which_orders_a_parcel_carries(world: World) -> None:
    await merged(world)
    await tell(world, "signed", **SF1)
    at = "/v1/waybills/SF/SF1"
    carried = (await world.get(at)).body
    assert [(one["order_id"], one["state"]) for one in carried["orders"]] == [("o2", "travelling"), ("o1", "signed")]
    for role, tie, orders in (
        ("merchant", {"merchants": ["m1"]}, ["o1"]),
        ("isv", {"merchants": ["m3"]}, []),
        ("courier", {"carrier": "SF"}, ["o2", "o1"]),
        ("courier", {"carrier": "YT"}, []),
    ):
        reply = await world.get(at, role=await world.key_of(role, **tie))
        assert [one["order_id"] for one in reply.body.get("orders", [])] == orders, (role, tie)
        assert reply.status == (200 if orders else 404)
    for path in ("SF/SF9", "SF/%00", f"SF/{'9' * 65}"):
        reply = await world.get(f"/v1/waybills/{path}")
        assert (reply.status, reply.code) == (404, "parcel_not_found")


async def test_a_number_that_a_carrier_uses_again_names_its_new_parcel_only(world: World) -> None:
    await world.stock()
    await world.bind(parcels=[SF1])
    world.advance(days=90)
    new = (await world.bind("o2", parcels=[SF1])).body
    (label,) = (await world.post("/v1/labels/current", {"items": [SF1]}, role="courier")).body["results"]
    assert (label["number"], "orders" in label) == (new["number"], False)
    await world.bind("o3", recipient_phone=OTHER_PHONE, parcels=[SF1])
    carried = (await world.get("/v1/waybills/SF/SF1")).body
    assert [one["order_id"] for one in carried["orders"]] == ["o3"], "another recipient's: the number was wrong before"


async def test_the_window_of_reach(world: World) -> None:
    """40 days in all: over the binding, extensions and re-issues."""
    await world.stock()
    await policy(world, max_reach_days=40)
    reply = await world.bind(ttl_days=41)
    assert (reply.status, reply.code) == (422, "reach_window_over")
    assert "40 at most" in reply.body["detail"]
    made = (await world.bind(ttl_days=15)).body
    extend = f"/v1/bindings/{made['binding_id']}/extend"
    assert (await world.post(extend, {"days": 30})).code == "reach_window_over"
    assert (await world.post(extend, {"days": 7})).body["expires_at"] == "2026-10-27T04:00:00Z"
    world.advance(days=22)
    assert (await world.post(f"{O1}/reissue", {}, role="merchant")).body["expires_at"] == "2026-11-11T04:00:00Z"
    assert (await world.post(f"{O1}/extend", {"days": 7}, role="merchant")).code == "reach_window_over"
    world.advance(days=15)
    reply = await world.post(f"{O1}/reissue", {}, role="merchant")
    assert (reply.status, reply.code) == (422, "reach_window_over")
    assert (await world.bind(ttl_days=4)).code == "reach_window_over"
    assert (await world.bind(ttl_days=3)).body["expires_at"] == "2026-11-14T04:00:00Z"
    world.advance(days=3)
    reply = await world.bind(ttl_days=1)
    assert (reply.code, "at most" in reply.body["detail"]) == ("reach_window_over", False)
    assert (await world.bind("o2", ttl_days=40)).status == 201, "another order, another window"
    await policy(world)
    assert (await world.bind(ttl_days=30)).status == 201


@pytest.mark.parametrize(
    "rules",
    [
        {"end_after_signed_days": -1},
        {"end_after_signed_days": 181},
        {"end_after_closed_days": 1.5},
        {"max_reach_days": 0},
        {"max_reach_days": 3651},
        {"max_reach_days": "40"},
        {"more": 1},
    ],
)
async def test_policies_that_are_none(world: World, rules: Any) -> None:
    reply = await world.call("PUT", "/v1/platform/policy", rules, role="admin")
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert await world.rows("lifecycle_policy") == 0


async def test_what_decrypting_tells(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    await world.bind("new", order_status="waybill_issued")
    await world.bind("o2", merchant_id="m2")
    items = [{"merchant_id": "m1", "order_id": name} for name in ("o1", "new", "never")]
    sent = {"scene": "delivery", "items": [*items, {"merchant_id": "m2", "order_id": "o2"}, {"order_id": "o1"}]}
    tied = await world.key_of("isv", merchants=["m1"])
    reply = await world.post("/v1/orders/decrypt", sent, role=tied)
    assert reply.body["results"][0] == {
        "status": 200,
        "merchant_id": "m1",
        "order_id": "o1",
        "number": made["number"],
        "extension": made["extension"],
        "expires_at": made["expires_at"],
    }
    codes = [result["error"]["code"] for result in reply.body["results"][1:]]
    assert codes == ["order_not_shipped", "binding_not_found", "binding_not_found", "invalid_request"]
    assert b"138" not in reply.raw.replace(made["number"].encode(), b"")
    entry = await world.owner.fetchrow("SELECT * FROM audit_entries WHERE did = 'number.decrypted'")
    assert (entry["subjects"], entry["why"]) == ([made["binding_id"]], "delivery")
    assert entry["actors"] == [tied.split("_")[1]]
    counted = (await world.get("/metrics")).raw.decode()
    assert 'vnum_decrypts_total{code="order_not_shipped",scene="delivery"}' in counted


@pytest.mark.parametrize(
    "sent",
    [
        {"items": [{"merchant_id": "m1", "order_id": "o1"}]},
        {"scene": "marketing", "items": [{"merchant_id": "m1", "order_id": "o1"}]},
        {"scene": "delivery", "items": []},
        {"scene": "delivery", "items": [{"merchant_id": "m1", "order_id": "o1"}] * 21},
    ],
)
async def test_what_can_not_be_decrypted(world: World, sent: Any) -> None:
    reply = await world.post("/v1/orders/decrypt", sent, role="merchant")
    assert (reply.status, reply.code) == (400, "invalid_request")


async def test_shops_extend_and_reissue_their_own(world: World) -> None:
    await world.stock()
    made = (await world.bind(ttl_days=7)).body
    mine, other = await world.key_of("merchant", merchants=["m1"]), await world.key_of("merchant", merchants=["m2"])
    for part, sent in (("extend", {"days": 7}), ("reissue", {})):
        reply = await world.post(f"{O1}/{part}", sent, role=other)
        assert (reply.status, reply.code) == (404, "binding_not_found")
    longer = await world.post(f"{O1}/extend", {"days": 7}, role=mine, key="k")
    assert longer.body == made | {"expires_at": "2026-10-19T04:00:00Z"}
    again = await world.post(f"{O1}/extend", {"days": 7}, role=mine, key="k")
    assert (again.body, again.headers["Idempotency-Replayed"]) == (longer.body, "true")
    assert (await world.post(f"{O1}/reissue", {}, role=mine)).body == longer.body, "it lives"
    assert (await world.post(f"{O1}/extend", {"days": 8}, role=mine)).code == "invalid_request"
    world.advance(days=14)
    assert (await world.post(f"{O1}/extend", {"days": 7}, role=mine)).code == "binding_expired"
    new = (await world.post(f"{O1}/reissue", {}, role=mine)).body
    assert new["number"] != made["number"]
    assert (await world.post(f"{O1}/reissue", {}, role=mine)).body == new
    await world.post(f"/v1/bindings/{new['binding_id']}/release", {"reason": "x"})
    assert (await world.post(f"{O1}/reissue", {}, role=mine)).code == "binding_released"
    await world.bind("early", order_status="waybill_issued")
    for part, sent in (("extend", {"days": 7}), ("reissue", {})):
        assert (await world.post(f"/v1/orders/m1/early/{part}", sent, role=mine)).code == "order_not_shipped"


async def test_a_label_is_written_down(world: World) -> None:
    await world.stock()
    made = (await world.bind(parcels=[SF1, YT1])).body
    reply = await world.get("/v1/labels/m1/o1?format=json", role=await world.key_of("courier", carrier="SF"))
    assert reply.body == {
        "merchant_id": "m1",
        "order_id": "o1",
        "binding_id": made["binding_id"],
        "host": made["host"],
        "extension": made["extension"],
        "number": made["number"],
        "expires_at": made["expires_at"],
        "valid_until": "2026-11-04",
        "printed_at": "2026-10-05T04:00:00Z",
        "parcels": [SF1],
    }
    row = await world.owner.fetchrow("SELECT * FROM prints")
    assert (str(row["binding_id"]), row["format"], row["printed_at"]) == (made["binding_id"], "json", START)
    for query in ("", "?format=pdf", "?format=json&format=json", "?format=json&x=1"):
        reply = await world.get(f"/v1/labels/m1/o1{query}", role="courier")
        assert (reply.status, reply.code) == (400, "invalid_request"), query
    for role, tie, code in (
        ("courier", {"carrier": "ZT"}, "binding_not_found"),
        ("merchant", {"merchants": ["m2"]}, "binding_not_found"),
    ):
        assert (await world.get("/v1/labels/m1/o1?format=json", role=await world.key_of(role, **tie))).code == code
    world.advance(days=30)
    assert (await world.get("/v1/labels/m1/o1?format=json", role="courier")).code == "binding_expired"
    assert await world.rows("prints") == 1


async def stale(world: World, query: str = "", role: str = "platform") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    after = ""
    while True:
        reply = await world.get(f"/v1/labels/stale?{query}{after}", role=role)
        assert reply.status == 200, reply.body
        found += [(label["order_id"], label["why"]) for label in reply.body["labels"]]
        if "next" not in reply.body:
            return found
        after = f"&after={reply.body['next']}"


async def test_stale_labels(world: World) -> None:
    await world.stock()
    binding: dict[str, Any] = {}
    for n, (name, ttl_days, more) in enumerate(
        [
            ("expired", 1, {"parcels": [SF1]}),
            ("expiring", 5, {"parcels": [YT1]}),
            ("fresh", 30, {}),
            ("loose", 1, {}),
            ("released", 30, {}),
            ("replaced", 1, {}),
            ("signed", 1, {}),
            ("split", 1, {"parcels": [SF2, {"carrier": "YT", "waybill_no": "YT2"}]}),
            ("early", 1, {"order_status": "waybill_issued"}),
        ]
    ):
        made = await world.bind(name, ttl_days=ttl_days, recipient_phone=f"139{n:08}", **more)
        binding[name] = made.body["binding_id"]
        assert (await world.get(f"/v1/labels/m1/{name}?format=json")).status == 200
    await world.bind("unprinted", ttl_days=1)
    assert await stale(world, "days=0") == []
    assert ("expired", "expiring") in await stale(world), "three days ahead"
    await world.post(f"/v1/bindings/{binding['released']}/release", {"reason": "x"})
    await tell(world, "signed", "signed")
    await tell(world, "signed", "split", **SF2)
    world.advance(days=2)
    await world.bind("replaced", recipient_phone="13900000005")
    everything = [
        ("early", "expired"),
        ("expired", "expired"),
        ("expiring", "expiring"),
        ("loose", "expired"),
        ("released", "released"),
        ("replaced", "replaced"),
        ("split", "expired"),
    ]
    assert await stale(world) == everything
    assert await stale(world, "days=2") == [one for one in everything if one[0] != "expiring"]
    assert await stale(world, role="merchant") == everything[1:], "a shop reads from shipped on"
    assert await stale(world, "merchant_id=m2") == []
    assert await stale(world, "carrier=SF") == [("expired", "expired")]
    sf, mine, other = [
        await world.key_of(role, **tie)
        for role, tie in (
            ("courier", {"carrier": "YT"}),
            ("merchant", {"merchants": ["m1"]}),
            ("merchant", {"merchants": ["m2"]}),
        )
    ]
    assert await stale(world, role=sf) == [("expiring", "expiring"), ("split", "expired")]
    assert await stale(world, "carrier=SF", role=sf) == []
    assert await stale(world, role=mine) == everything[1:]
    assert await stale(world, role=other) == await stale(world, "merchant_id=m1", role=other) == []
    await world.get("/v1/labels/m1/replaced?format=json")
    assert ("replaced", "replaced") not in await stale(world)


async def test_stale_labels_page_by_page(world: World) -> None:
    await world.stock()
    items = [order(f"o{n:03}", recipient_phone=f"138{n:08}", ttl_days=1) for n in range(201)]
    await world.post("/v1/bindings/batch", {"items": items})
    await world.owner.execute(
        """INSERT INTO labels_out SELECT cell, merchant_id, order_id, binding_id, host, extension, bound_at
           FROM orders"""
    )
    assert [name for name, _ in await stale(world)] == [f"o{n:03}" for n in range(201)]


@pytest.mark.parametrize("query", ["days=-1", "days=91", "days=x", "after=x", "after=WyIiXQ==", "more=1", "carrier="])
async def test_lists_that_can_not_be_asked_for(world: World, query: str) -> None:
    reply = await world.get(f"/v1/labels/stale?{query}")
    assert (reply.status, reply.code) == (400, "invalid_request")
