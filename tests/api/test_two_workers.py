"""What one worker was told, every other obeys with its very next request, whatever it remembers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.receiver import Receiver

from .conftest import CALLER, HOST, PHONE, OpenWorld, Reply, World, beside, order, texts_by

TEMPLATE = {"template_id": "arrived", "text": "Your parcel is here.", "purpose": "delivery"}
ITEM = {"merchant_id": "m1", "order_id": "o1"}


@pytest.fixture
async def here(open_world: OpenWorld, gateway: Receiver, tmp_path: Path) -> AsyncIterator[World]:
    """A worker, with a gateway for texts and two merchants."""
    async with open_world(**texts_by(gateway, tmp_path)) as opened:
        await opened.stock()
        assert (await opened.post("/v1/message-templates", TEMPLATE)).status == 201
        yield opened


@pytest.fixture
async def there(here: World) -> AsyncIterator[World]:
    """Another one."""
    async with beside(here) as opened:
        yield opened


async def route(world: World, number: dict[str, Any], call_id: str) -> dict[str, Any]:
    asked = {"call_id": call_id, "caller": CALLER, "host": HOST, "digits": number["extension"]}
    decision: dict[str, Any] = (await world.post("/v1/calls/route", asked, role="switch")).body
    return decision


async def text(world: World, number: dict[str, Any], role: str = "platform") -> Reply:
    new = {"merchant_id": "m1", "recipient_token": number["recipient_token"], "template_id": "arrived"}
    return await world.post("/v1/messages", new, role=role)


async def reached(world: World, number: dict[str, Any], call_id: str) -> list[bool]:
    """Whether a call, and a text, come through."""
    decision = await route(world, number, call_id)
    assert ("callee" in decision) == (decision["action"] == "connect")
    return [decision["action"] == "connect", (await text(world, number)).status == 201]


async def test_a_no_is_obeyed_by_the_other_worker(here: World, there: World) -> None:
    number = (await here.bind()).body
    assert await reached(there, number, "c1") == [True, True]
    for scope in ("merchant", "everything"):
        no = {"phone": PHONE, "merchant_id": "m1", "scope": scope}
        assert (await here.call("PUT", "/v1/recipients/opt-out", no)).status == 200
        assert await reached(there, number, f"c2-{scope}") == [False, False]
        assert (await here.call("DELETE", "/v1/recipients/opt-out", no)).status == 200
        assert await reached(there, number, f"c3-{scope}") == [True, True]


async def test_a_release_is_obeyed_by_the_other_worker(here: World, there: World) -> None:
    number = (await here.bind()).body
    assert await reached(there, number, "c1") == [True, True]
    assert (await here.post(f"/v1/bindings/{number['binding_id']}/release", {"reason": "asked"})).status == 200
    assert (await route(there, number, "c2"))["action"] != "connect"
    for path, more in (("/v1/orders/decrypt", {"scene": "delivery"}), ("/v1/labels/current", {})):
        (result,) = (await there.post(path, {"items": [ITEM]} | more)).body["results"]
        assert result["status"] == 409, path


async def test_an_erasure_is_obeyed_by_the_other_worker(here: World, there: World) -> None:
    number = (await here.bind()).body
    assert await reached(there, number, "c1") == [True, True]
    assert (await here.post("/v1/recipients/erase", {"phone": PHONE, "reason": "asked"})).status == 200
    assert await reached(there, number, "c2") == [False, False]
    assert (await there.post("/v1/orders/m1/o1/reissue", {})).status in (409, 422)


async def test_lists_and_policies_are_obeyed_by_the_other_worker(here: World, there: World) -> None:
    number = (await here.bind()).body
    assert await reached(there, number, "c1") == [True, True]
    entry = (await here.post("/v1/blacklist", {"phone": CALLER, "direction": "caller"})).body
    assert (await route(there, number, "c2"))["code"] == "caller_blacklisted"
    assert (await here.call("DELETE", f"/v1/blacklist/{entry['blacklist_id']}", {})).status == 200
    assert (await route(there, number, "c3"))["action"] == "connect"
    assert (await here.call("PUT", "/v1/merchants/m1/call-policy", {"who": "registered"})).status == 200
    assert (await route(there, number, "c4"))["code"] == "caller_not_allowed"


async def seen(world: World, number: dict[str, Any], role: str) -> list[int]:
    """The status of whatever a merchant's or provider's key may ask about his own."""
    item = {"items": [ITEM]}
    asked = [
        (await world.post("/v1/labels/current", item, role=role)),
        (await world.post("/v1/orders/decrypt", item | {"scene": "delivery"}, role=role)),
    ]
    found = [reply.body["results"][0]["status"] if reply.status == 200 else reply.status for reply in asked]
    url = {"url": "https://example.com/hook", "events": ["call.ended"], "merchant_id": "m1"}
    bindings = await world.get("/v1/bindings?merchant_id=m1&order_id=o1", role=role)
    others = [
        await text(world, number, role),
        await world.post("/v1/orders/m1/o1/extend", {"days": 7}, role=role),
        await world.post("/v1/webhooks", url, role=role),
    ]
    told = bindings.status == 200 and bool(bindings.body["bindings"])
    return [*found, 200 if told else 404, *(reply.status for reply in others)]


@pytest.mark.parametrize("role", ["merchant", "isv"])
async def test_a_revoked_key_that_is_tied_is_nobodys_for_the_other_worker(here: World, there: World, role: str) -> None:
    number = (await here.bind()).body
    key = await here.key_of(role, merchants=["m1"])
    assert max(await seen(there, number, key)) < 300
    assert (await here.post(f"/v1/keys/{key.split('_')[1]}/revoke", {}, role="admin")).status == 200
    assert min(await seen(there, number, key)) >= 400
    assert (await there.post("/v1/labels/current", {"items": [ITEM]}, role=key)).code == "unauthorized"


async def test_a_withdrawn_grant_is_none_for_the_other_worker(here: World, there: World) -> None:
    number = (await here.bind()).body
    assert (await here.post("/v1/bindings", order("o2", merchant_id="m2"))).status == 201
    key = await here.key_of("isv")
    assert max(await seen(there, number, key)) < 300
    assert (await here.call("DELETE", f"/v1/merchants/m1/grants/{key.split('_')[1]}", {})).status == 200
    assert min(await seen(there, number, key)) >= 400
    other = {"items": [{"merchant_id": "m2", "order_id": "o2"}]}
    assert (await there.post("/v1/labels/current", other, role=key)).body["results"][0]["status"] == 200
