"""The audit over HTTP: who asked for what, and who may look."""

from typing import Any

from vnum.api.app import endpoints
from vnum.api.endpoint import CHANGING

from .conftest import HOST, PHONE, World, order

SPAN = "from=2026-10-01T00:00:00Z&to=2026-11-01T00:00:00Z"


async def entries(world: World, more: str = "") -> list[dict[str, Any]]:
    """Oldest first."""
    reply = await world.get(f"/v1/audit?{SPAN}{more}", role="admin")
    assert reply.status == 200, reply.body
    return list(reply.body["entries"][::-1])


def key_id(world: World, role: str) -> str:
    return world.keys[role].split("_")[1]


async def test_a_change_names_its_key_and_what_it_is_about(world: World) -> None:
    await world.stock()
    found = {entry["did"]: entry for entry in await entries(world)}
    assert found["POST /v1/merchants"]["by"] == [key_id(world, "platform")]
    assert found["POST /v1/hosts"]["by"] == [key_id(world, "admin")]
    assert found["POST /v1/hosts"]["ids"] == [f"host={HOST}"]


async def test_reading_leaves_no_entry_and_a_repeat_no_second_one(world: World) -> None:
    await world.stock()
    before = len(await entries(world))
    for _ in range(3):
        await world.get("/v1/hosts", role="admin")
        await world.get("/v1/merchants")
        await world.post("/v1/merchants", {"merchant_id": "m3", "name": "m3"}, key="once")
    assert len(await entries(world)) == before + 1


async def test_a_phone_sent_where_an_id_belongs_is_left_out(world: World) -> None:
    await world.stock()
    await world.patch(f"/v1/hosts/{PHONE}", {"state": "active"}, role="admin")
    await world.patch(f"/v1/hosts/{HOST}", {"state": "active"}, role="admin")
    found = [entry["ids"] for entry in await entries(world) if entry["did"].startswith("PATCH")]
    assert sorted(found) == [["host=18400913965"], ["host=?"]]


async def test_it_is_filtered_by_key_and_by_id(world: World) -> None:
    await world.stock()
    bound = (await world.bind()).body
    await world.post(f"/v1/bindings/{bound['binding_id']}/release", {"reason": "gone"}, role="admin")
    of_binding = await entries(world, f"&id={bound['binding_id']}")
    assert sorted(entry["did"] for entry in of_binding) == ["binding.bound", "binding.released"]
    by_admin = await entries(world, f"&id={bound['binding_id']}&by={key_id(world, 'admin')}")
    assert [(entry["did"], entry["why"]) for entry in by_admin] == [("binding.released", "gone")]


async def test_pages(world: World) -> None:
    for n in range(501 - len(await entries(world))):
        await world.engine.audit.note("x", [str(n)])
    first = await world.get(f"/v1/audit?{SPAN}", role="admin")
    second = await world.get(f"/v1/audit?{SPAN}&after={first.body['next']}", role="admin")
    ids = {entry["entry_id"] for reply in (first, second) for entry in reply.body["entries"]}
    assert (len(first.body["entries"]), len(ids)) == (500, 501)
    assert "next" not in second.body


async def test_bad_queries(world: World) -> None:
    for query in ("", "from=2026-10-01", f"{SPAN}&cell=-1", f"{SPAN}&after=x", f"{SPAN}&what=1"):
        assert (await world.get(f"/v1/audit?{query}", role="admin")).status == 400, query


async def test_every_changing_endpoint_is_behind_the_audit_or_has_its_own(world: World) -> None:
    """Those that write their own entries are named here, so that a new one is looked at."""
    own = {f"{one.method} {one.path}" for one in endpoints(world.engine) if one.audited}
    assert own == {
        "POST /v1/bindings",
        "POST /v1/bindings/batch",
        "POST /v1/bindings/{binding_id}/extend",
        "POST /v1/bindings/{binding_id}/release",
        "POST /v1/bindings/{binding_id}/recipient",
        "POST /v1/calls/route",
        "POST /v1/calls/dial",
        "POST /v1/calls/dials/take",  # an entry for each agent's number that is told
        "POST /v1/calls/states",  # changes no more than the order's own state, as it is told
        "PUT /v1/recipients/opt-out",
        "DELETE /v1/recipients/opt-out",
        "POST /v1/callers",
        "DELETE /v1/callers/{caller_id}",
        "POST /v1/blacklist",
        "DELETE /v1/blacklist/{blacklist_id}",
        "PUT /v1/merchants/{merchant_id}/call-policy",
        "PUT /v1/bindings/{binding_id}/callers",
        "POST /v1/labels/current",  # changes by re-issue only, which is a bind
        "POST /v1/orders/decrypt",  # changes nothing; that it was read is written
        "POST /v1/orders/{merchant_id}/{order_id}/extend",
        "POST /v1/orders/{merchant_id}/{order_id}/reissue",
        "POST /v1/orders/{merchant_id}/{order_id}/events",
        "POST /v1/orders/{merchant_id}/{order_id}/parcels",
        "DELETE /v1/orders/{merchant_id}/{order_id}/parcels",
        "PUT /v1/platform/policy",
        "POST /v1/messages",
        "POST /v1/recipients/export",
        "POST /v1/recipients/erase",
        "POST /v1/keys",
        "PATCH /v1/keys/{key_id}",
        "POST /v1/keys/{key_id}/rotate",
        "POST /v1/keys/{key_id}/revoke",
        "PUT /v1/merchants/{merchant_id}/grants/{isv}",
        "DELETE /v1/merchants/{merchant_id}/grants/{isv}",
    }
    assert all(one.method in CHANGING for one in endpoints(world.engine) if one.audited)


async def test_what_is_counted_holds_codes_and_paths_only(world: World) -> None:
    await world.stock()
    bound = (await world.bind()).body
    await world.post("/v1/bindings", order("o2", recipient_phone="nobody's"))
    await world.get("/nowhere/13812345678")
    asked = {"call_id": "c1", "caller": PHONE, "host": HOST, "digits": bound["extension"]}
    await world.post("/v1/calls/route", asked, role="switch")
    text = (await world.get("/metrics", role=None)).body
    for line in (
        'vnum_requests_total{endpoint="POST /v1/bindings",status="201"}',
        'vnum_refusals_total{code="invalid_phone"}',
        'vnum_routes_total{action="connect",code=""}',
        'vnum_request_seconds_bucket{endpoint="POST /v1/calls/route",le="+Inf"}',
    ):
        assert line in text, line
    for told in (PHONE, HOST, bound["extension"] + " ", bound["binding_id"], "nowhere"):
        assert told not in text
