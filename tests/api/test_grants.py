"""An isv's key acts for the merchants that grant it so, until they take it back."""

from typing import Any

import pytest

from vnum.service import keys as keys_service

from .conftest import Reply, World, order


async def isv(world: World, **tie: Any) -> tuple[str, str]:
    """A key that nobody granted anything; its id, and what it sends."""
    made = await world.post("/v1/keys", {"role": "isv"} | tie, role="admin")
    return made.body["key_id"], made.body["secret"]


def path(key_id: str, merchant: str = "m1") -> str:
    return f"/v1/merchants/{merchant}/grants/{key_id}"


async def give(world: World, key_id: str, merchant: str = "m1", role: str = "platform") -> Reply:
    return await world.call("PUT", path(key_id, merchant), role=role)


async def withdraw(world: World, key_id: str, merchant: str = "m1", role: str = "platform") -> Reply:
    return await world.call("DELETE", path(key_id, merchant), role=role)


async def seen(world: World, text: str) -> list[str]:
    """The merchants whose orders the key finds."""
    found = []
    for n in ("1", "2"):
        asked = await world.get(f"/v1/bindings?merchant_id=m{n}&order_id=o{n}", role=text)
        item = {"merchant_id": f"m{n}", "order_id": f"o{n}"}
        label = (await world.post("/v1/labels/current", {"items": [item]}, role=text)).body["results"][0]["status"]
        listed = bool(asked.body["bindings"])
        assert listed == (label == 200), (asked.body, label)
        found += [f"m{n}"] if listed else []
    return found


@pytest.fixture
async def bound(world: World) -> World:
    """Two merchants, each with an order."""
    await world.stock()
    for n in ("1", "2"):
        assert (await world.post("/v1/bindings", order(f"o{n}", merchant_id=f"m{n}"))).status == 201
    return world


async def test_without_a_grant_it_sees_nothing(bound: World) -> None:
    _, text = await isv(bound)
    assert await seen(bound, text) == []


async def test_it_sees_who_granted_it_so_until_he_withdraws(bound: World) -> None:
    key_id, text = await isv(bound)
    assert await seen(bound, text) == []
    await give(bound, key_id)
    assert await seen(bound, text) == ["m1"]
    await give(bound, key_id, "m2")
    assert await seen(bound, text) == ["m1", "m2"]
    await withdraw(bound, key_id)
    assert await seen(bound, text) == ["m2"]
    await give(bound, key_id)
    assert await seen(bound, text) == ["m1", "m2"]


async def test_a_tie_narrows_and_gives_nothing(bound: World) -> None:
    key_id, text = await isv(bound, merchants=["m1"])
    assert await seen(bound, text) == []
    await give(bound, key_id, "m2")
    assert await seen(bound, text) == []
    await give(bound, key_id)
    assert await seen(bound, text) == ["m1"]


async def test_another_process_feels_a_withdrawal_within_seconds(bound: World, monkeypatch: pytest.MonkeyPatch) -> None:
    key_id, text = await isv(bound)
    await give(bound, key_id)
    assert await seen(bound, text) == ["m1"]
    await bound.owner.execute("UPDATE grants SET withdrawn_at = now(), withdrawn_by = 'x' WHERE isv = $1", key_id)
    monkeypatch.setattr(keys_service, "FRESH_S", -1.0)
    assert await seen(bound, text) == []


async def test_a_merchant_grants_for_himself_only(bound: World) -> None:
    key_id, text = await isv(bound)
    own = await bound.key_of("merchant", merchants=["m1"])
    assert (await give(bound, key_id, role=own)).body["granted_by"] == own.split("_")[1]
    for call in (give, withdraw):
        reply = await call(bound, key_id, "m2", own)
        assert (reply.status, reply.code) == (404, "merchant_not_found")
    assert (await bound.get("/v1/merchants/m2/grants", role=own)).code == "merchant_not_found"
    assert await seen(bound, text) == ["m1"]
    assert (await withdraw(bound, key_id, role=own)).status == 200
    assert await seen(bound, text) == []


async def test_both_may_be_said_again(bound: World) -> None:
    key_id, _ = await isv(bound)
    first = await give(bound, key_id)
    assert first.body == {
        "merchant_id": "m1",
        "isv": key_id,
        "granted_at": "2026-10-05T04:00:00Z",
        "granted_by": bound.keys["platform"].split("_")[1],
    }
    bound.advance(hours=1)
    assert (await give(bound, key_id, role="admin")).body == first.body
    gone = await withdraw(bound, key_id)
    assert gone.body == first.body | {
        "withdrawn_at": "2026-10-05T05:00:00Z",
        "withdrawn_by": bound.keys["platform"].split("_")[1],
    }
    bound.advance(hours=1)
    assert (await withdraw(bound, key_id)).body == gone.body
    again = await give(bound, key_id)
    assert again.body["granted_at"] == "2026-10-05T06:00:00Z"
    listed = (await bound.get("/v1/merchants/m1/grants")).body["grants"]
    assert [grant for grant in listed if grant["isv"] == key_id] == [again.body, gone.body]


async def test_what_is_refused(bound: World) -> None:
    key_id, _ = await isv(bound)
    finance = bound.keys["finance"].split("_")[1]
    revoked, _ = await isv(bound)
    await bound.post(f"/v1/keys/{revoked}/revoke", role="admin")
    for method, at, status, code in (
        ("PUT", path(key_id, "nobody"), 404, "merchant_not_found"),
        ("PUT", path("000000000000"), 404, "key_not_found"),
        ("PUT", path(finance), 404, "key_not_found"),
        ("PUT", path(revoked), 404, "key_not_found"),
        ("PUT", path("%00"), 404, "key_not_found"),
        ("PUT", path(key_id, "%00"), 404, "merchant_not_found"),
        ("DELETE", path(key_id), 404, "grant_not_found"),
        ("GET", "/v1/merchants/m1/grants?after=0", 400, "invalid_request"),
    ):
        reply = await bound.call(method, at)
        assert (reply.status, reply.code) == (status, code), (method, at, reply.body)
    reply = await bound.call("PUT", path(key_id), {"forever": True})
    assert (reply.status, reply.code) == (400, "invalid_request")


async def test_grants_are_in_the_audit(bound: World) -> None:
    key_id, _ = await isv(bound)
    await give(bound, key_id)
    await give(bound, key_id)
    await withdraw(bound, key_id)
    at = f"/v1/audit?from=2026-10-05T00:00:00Z&to=2026-10-06T00:00:00Z&id={key_id}"
    entries = (await bound.get(at, role="admin")).body["entries"]
    assert sorted((entry["did"], entry["why"]) for entry in entries) == [
        ("grant.given", "by merchant m1"),
        ("grant.withdrawn", "by merchant m1"),
        ("key.made", "role isv"),
    ]
