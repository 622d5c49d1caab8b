"""Subscriptions over HTTP: who may have which, what is refused, and that a secret is shown once."""

from typing import Any
from uuid import UUID

import pytest

from .conftest import World

URL = "https://shop.example.com/hook"
NEW: dict[str, Any] = {"url": URL, "events": ["binding.released"]}
NOWHERE = str(UUID(int=7))


async def made(world: World, role: str = "platform", **more: Any) -> dict[str, Any]:
    reply = await world.post("/v1/webhooks", NEW | more, role=role)
    assert reply.status == 201, reply.body
    return dict(reply.body)


async def listed(world: World, role: str, query: str = "") -> set[str]:
    reply = await world.get(f"/v1/webhooks{query}", role=role)
    return {one["webhook_id"] for one in reply.body["webhooks"]}


async def test_the_secret_is_shown_once(world: World) -> None:
    await world.stock()
    one = await made(world, events=["call.ended", "binding.released", "call.ended"])
    assert one.pop("secret").startswith("whsec_")
    assert one == {
        "webhook_id": one["webhook_id"],
        "url": URL,
        "events": ["binding.released", "call.ended"],
        "active": True,
        "created_at": "2026-10-05T04:00:00Z",
    }
    path = f"/v1/webhooks/{one['webhook_id']}"
    assert (await world.get(path)).body == one
    assert (await world.get("/v1/webhooks")).body == {"webhooks": [one]}
    changed = await world.patch(path, {"active": False, "events": ["invoice.closed"]})
    assert changed.body == one | {"active": False, "events": ["invoice.closed"]}
    rotated = await world.post(f"{path}/rotate", {"overlap_hours": 1})
    assert rotated.body["secret"].startswith("whsec_")
    assert rotated.body["former_until"] == "2026-10-05T05:00:00Z"
    assert (await world.call("DELETE", path, {})).status == 200
    assert (await world.get(path)).code == "webhook_not_found"
    assert (await world.get("/v1/webhooks")).body == {"webhooks": []}


async def test_a_repeat_makes_no_second_one_and_is_not_told_the_secret(world: World) -> None:
    await world.stock()
    first = await world.post("/v1/webhooks", NEW, key="k")
    again = await world.post("/v1/webhooks", NEW, key="k")
    assert (first.status, again.status) == (201, 201)
    assert first.body == again.body | {"secret": first.body["secret"]}
    assert "secret" not in again.body
    path = f"/v1/webhooks/{first.body['webhook_id']}/rotate"
    rotated, repeat = [await world.post(path, {}, key="k") for _ in range(2)]
    assert "secret" in rotated.body
    assert "secret" not in repeat.body
    kept = await world.owner.fetch("SELECT body FROM idempotency_keys")
    assert not [row for row in kept if b"whsec_" in row["body"]]
    assert await world.rows("webhooks") == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"url": "http://shop.example.com/"}, 422, "webhook_url_refused"),
        ({"url": "http://127.0.0.1:9000/"}, 422, "webhook_url_refused"),
        ({"url": "https://169.254.169.254/latest"}, 422, "webhook_url_refused"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, 422, "webhook_url_refused"),
        ({"url": "https://u:p@shop.example.com/"}, 422, "webhook_url_refused"),
        ({"url": "https://\u5e97.example.com/"}, 422, "webhook_url_refused"),
        ({"url": ""}, 400, "invalid_request"),
        ({"url": "https://x/" + "x" * 500}, 400, "invalid_request"),
        ({"events": []}, 400, "invalid_request"),
        ({"events": ["binding.bound"]}, 400, "invalid_request"),
        ({"events": ["pool.low"], "merchant_id": "m1"}, 400, "invalid_request"),
        ({"merchant_id": "nobody"}, 404, "merchant_not_found"),
        ({"secret": "mine"}, 400, "invalid_request"),
    ],
)
async def test_what_is_refused(world: World, body: dict[str, Any], status: int, code: str) -> None:
    await world.stock()
    reply = await world.post("/v1/webhooks", NEW | body)
    assert (reply.status, reply.code) == (status, code)
    assert await world.rows("webhooks") == 0
    one = (await made(world))["webhook_id"]
    if "merchant_id" not in body and "secret" not in body:
        reply = await world.patch(f"/v1/webhooks/{one}", body)
        assert (reply.status, reply.code) == (status, code)


async def test_there_is_a_limit(world: World) -> None:
    await world.stock()
    for _ in range(20):
        await made(world)
    reply = await world.post("/v1/webhooks", NEW)
    assert (reply.status, reply.code) == (409, "webhook_limit")
    await made(world, merchant_id="m1")


async def test_a_tied_key_sees_its_own_only(world: World) -> None:
    await world.stock()
    merchant = await world.key_of("merchant", merchants=["m1"])
    other = await world.key_of("merchant", merchants=["m2"])
    isv = await world.key_of("isv", merchants=["m1", "m2"])
    second = await world.key_of("isv", merchants=["m1", "m2"])
    ids = {
        "all": (await made(world))["webhook_id"],
        "platform's of m1": (await made(world, merchant_id="m1"))["webhook_id"],
        "m1": (await made(world, merchant))["webhook_id"],
        "m2": (await made(world, other))["webhook_id"],
        "isv of m1": (await made(world, isv, merchant_id="m1"))["webhook_id"],
    }
    sees = {
        "platform": set(ids),
        merchant: {"m1", "isv of m1"},
        other: {"m2"},
        isv: {"isv of m1"},
        second: set(),
    }
    for role, seen in sees.items():
        assert await listed(world, role) == {ids[name] for name in seen}
        for name, webhook_id in ids.items():
            path = f"/v1/webhooks/{webhook_id}"
            expected = None if name in seen else "webhook_not_found"
            assert (await world.get(path, role=role)).code == expected
            assert (await world.get(f"{path}/deliveries", role=role)).code == expected
            if expected:
                for method, rest, body in [
                    ("PATCH", "", {"active": False}),
                    ("DELETE", "", {}),
                    ("POST", "/rotate", {}),
                    ("POST", "/deliveries/replay", {}),
                    ("POST", f"/deliveries/{NOWHERE}/replay", {}),
                ]:
                    assert (await world.call(method, path + rest, body, role=role)).code == expected
    assert await listed(world, merchant, "?merchant_id=m2") == set()
    assert await listed(world, "platform", "?merchant_id=m2") == {ids["m2"]}


@pytest.mark.parametrize(
    ("role", "merchants", "body", "code"),
    [
        ("merchant", ["m1"], {"merchant_id": "m2"}, "merchant_not_found"),
        ("merchant", ["m1"], {"events": ["pool.low"]}, "invalid_request"),
        ("isv", ["m1", "m2"], {}, "invalid_request"),
        ("isv", ["m1", "m2"], {"merchant_id": "m3"}, "merchant_not_found"),
        ("merchant", [], {}, "invalid_request"),
        ("merchant", [], {"merchant_id": "m1"}, "merchant_not_found"),
    ],
)
async def test_what_a_tied_key_may_not_ask_for(
    world: World, role: str, merchants: list[str], body: dict[str, Any], code: str
) -> None:
    await world.stock(merchants=("m1", "m2", "m3"))
    key = await world.key_of(role, merchants=merchants)
    assert (await world.post("/v1/webhooks", NEW | body, role=key)).code == code


async def test_deliveries_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.stock()
    one = (await made(world))["webhook_id"]
    path = f"/v1/webhooks/{one}/deliveries"
    for n in range(3):
        bound = (await world.bind(f"o{n}", recipient_phone=f"1381234567{n}")).body["binding_id"]
        await world.post(f"/v1/bindings/{bound}/release", {"reason": "x"})
        world.advance(seconds=1)
    assert (await world.get(path)).body == {"deliveries": []}, "none is dead"
    monkeypatch.setattr("vnum.api.webhooks.PAGE", 3)
    waiting = (await world.get(f"{path}?state=waiting")).body
    assert [found["data"]["order_id"] for found in waiting["deliveries"]] == ["o0", "o1", "o2"]
    assert waiting["next"] == waiting["deliveries"][-1]["delivery_id"]
    assert (await world.get(f"{path}?state=waiting&after={waiting['next']}")).body == {"deliveries": []}
    first = waiting["deliveries"][0]
    assert {name: first[name] for name in ("event", "state", "attempts", "at", "due_at")} == {
        "event": "binding.released",
        "state": "waiting",
        "attempts": 0,
        "at": "2026-10-05T04:00:00Z",
        "due_at": "2026-10-05T04:00:00Z",
    }
    await world.owner.execute("UPDATE webhook_deliveries SET state = 'dead'")
    reply = await world.post(f"{path}/{first['delivery_id']}/replay", {})
    assert (reply.status, reply.body["state"]) == (200, "waiting")
    assert (await world.post(f"{path}/replay", {})).body == {"replayed": 2}
    assert (await world.post(f"{path}/{NOWHERE}/replay", {})).code == "delivery_not_found"
    assert (await world.post(f"{path}/x/replay", {})).code == "delivery_not_found"


@pytest.mark.parametrize("text", ["x", NOWHERE, "0"])
async def test_what_is_no_id_names_nothing(world: World, text: str) -> None:
    assert (await world.get(f"/v1/webhooks/{text}")).code == "webhook_not_found"
