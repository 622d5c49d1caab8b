"""Hosts, the pool and merchants over HTTP."""

from typing import Any

import pytest

from .conftest import HOST, World, order

HOSTS_REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"host": "1840091396"}, 400, "invalid_host"),
    ({"host": "95338"}, 400, "invalid_host"),
    ({"host": "70012345678"}, 400, "invalid_host"),
    ({"host": "18400913960", "plan": "700"}, 400, "invalid_host"),
    ({"host": ""}, 400, "invalid_request"),
    ({}, 400, "invalid_request"),
    ({"host": "18400913960", "plan": "800"}, 400, "invalid_request"),
    ({"host": "18400913960", "ext_digits": 5}, 400, "invalid_request"),
    ({"host": "18400913960", "ext_digits": 0}, 400, "invalid_request"),
    ({"host": "18400913960", "ext_check": "luhn"}, 400, "invalid_request"),
    ({"host": "18400913960", "ext_check": "damm", "ext_digits": 1}, 400, "invalid_request"),
    ({"host": "18400913960", "quarantine_days": 0}, 400, "invalid_request"),
    ({"host": "18400913960", "quarantine_days": 3651}, 400, "invalid_request"),
    ({"host": "18400913960", "max_live": 0}, 400, "invalid_request"),
    ({"host": "18400913960", "city": "\u0000"}, 400, "invalid_request"),
    ({"host": "18400913960", "cell": 3}, 400, "invalid_request"),
    ({"host": HOST}, 409, "host_exists"),
    ({"host": f"+86 {HOST}"}, 409, "host_exists"),
]

MERCHANTS_REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"merchant_id": "m1", "name": "again"}, 409, "merchant_exists"),
    ({"merchant_id": "m3"}, 400, "invalid_request"),
    ({"merchant_id": "m3", "name": ""}, 400, "invalid_request"),
    ({"merchant_id": "m3\u0000", "name": "x"}, 400, "invalid_request"),
    ({"merchant_id": "m3", "name": "x", "state": "gone"}, 400, "invalid_request"),
    ({"merchant_id": "m3", "name": "x", "tariff_id": "none"}, 404, "tariff_not_found"),
    ({"merchant_id": "m3", "name": "x", "service_number": "12"}, 400, "invalid_phone"),
    ({"merchant_id": "m3", "name": "x", "rank": 1}, 400, "invalid_request"),
    ({"merchant_id": "m3", "name": "x", "spend_cap": "-1"}, 400, "invalid_request"),
    ({"merchant_id": "m3", "name": "x", "spend_cap": "much"}, 400, "invalid_request"),
    ({"merchant_id": "m3", "name": "x", "spend_cap": "NaN"}, 400, "invalid_request"),
    ({"merchant_id": "m3", "name": "x", "spend_alert": "1000000000"}, 400, "invalid_request"),
    ({"merchant_id": "m3", "name": "x", "spend_alert": "0.0000000000001"}, 400, "invalid_request"),
    ({"merchant_id": "m3", "name": "x", "spend_alert": True}, 400, "invalid_request"),
]


async def test_hosts_that_are_refused(world: World) -> None:
    await world.stock()
    for new, status, code in HOSTS_REFUSED:
        reply = await world.post("/v1/hosts", new, role="admin")
        assert (reply.status, reply.code) == (status, code), (new, reply.body)
    assert await world.rows("hosts") == 1


async def test_hosts_and_their_states(world: World) -> None:
    new = {"host": HOST, "city": "杭州", "carrier": "移动", "ext_check": "damm", "quarantine_days": None, "max_live": 5}
    reply = await world.post("/v1/hosts", new, role="admin")
    assert reply.status == 201
    assert reply.body == new | {"cell": 0, "plan": "host_ext", "ext_digits": 4, "state": "active"}
    assert (await world.get("/v1/hosts", role="admin")).body == {"hosts": [reply.body]}
    await world.stock(hosts=0)
    made = (await world.bind()).body
    reply = await world.patch(f"/v1/hosts/{HOST}", {"state": "retired"}, role="admin")
    assert (reply.status, reply.code) == (409, "host_in_use")
    reply = await world.patch(f"/v1/hosts/{HOST}", {"state": "draining"}, role="admin")
    assert (reply.status, reply.body["state"]) == (200, "draining")
    assert (await world.bind("o2")).body["reason"] == "no_active_host"
    assert (await world.post(f"/v1/bindings/{made['binding_id']}/extend", {"days": 7})).status == 200
    await world.post(f"/v1/bindings/{made['binding_id']}/release", {"reason": "x"})
    assert (await world.patch(f"/v1/hosts/{HOST}", {"state": "retired"}, role="admin")).status == 200
    for path, body, status, code in (
        ("/v1/hosts/13900000000", {"state": "locked"}, 404, "host_not_found"),
        ("/v1/hosts/%00", {"state": "locked"}, 404, "host_not_found"),
        (f"/v1/hosts/{HOST}", {"state": "gone"}, 400, "invalid_request"),
        (f"/v1/hosts/{HOST}", {}, 400, "invalid_request"),
        (f"/v1/hosts/{HOST}", {"state": "locked", "city": "x"}, 400, "invalid_request"),
    ):
        reply = await world.patch(path, body, role="admin")
        assert (reply.status, reply.code) == (status, code), (path, body)


async def test_the_pool(world: World) -> None:
    await world.stock(hosts=2)
    for n in range(7):
        await world.bind(f"o{n}", recipient_phone=f"1381234567{n}")
    pool = (await world.get("/v1/pool", role="admin")).body
    assert (set(pool), pool["redis"]) == ({"hosts", "cities", "redis"}, "up")
    (city,) = pool["cities"]
    assert city == {
        "city": "杭州", "capacity": 19_998, "free": 19_991, "bound": 7, "quarantined": 0, "days_left": 19_991,
    }  # fmt: skip
    assert sum(host["bound"] for host in pool["hosts"]) == 7
    world.advance(days=31)
    (city,) = (await world.get("/v1/pool", role="admin")).body["cities"]
    assert (city["bound"], city["quarantined"], city["days_left"]) == (0, 7, None)


async def test_merchants(world: World) -> None:
    await world.stock(hosts=1)
    for new, status, code in MERCHANTS_REFUSED:
        reply = await world.post("/v1/merchants", new)
        assert (reply.status, reply.code) == (status, code), (new, reply.body)
    assert await world.rows("merchants") == 2
    full = {
        "merchant_id": "m0",
        "name": "零",
        "invoice_title": "零 Ltd",
        "tax_no": "91330100MA2",
        "tariff_id": "default",
        "service_number": "4008000000",
        "state": "active",
    }
    reply = await world.post("/v1/merchants", full | {"service_number": "057112345678"})
    assert reply.status == 201, reply.body
    assert reply.body["created_at"] == "2026-10-05T04:00:00Z"
    listed = (await world.get("/v1/merchants")).body
    assert [merchant["merchant_id"] for merchant in listed["merchants"]] == ["m0", "m1", "m2"]
    assert "next" not in listed
    after = (await world.get("/v1/merchants?after=m1")).body["merchants"]
    assert [merchant["merchant_id"] for merchant in after] == ["m2"]

    changed = await world.patch("/v1/merchants/m1", {"state": "suspended", "name": "one"})
    assert (changed.status, changed.body["state"], changed.body["name"]) == (200, "suspended", "one")
    reply = await world.bind()
    assert (reply.status, reply.code) == (409, "merchant_suspended")
    assert (await world.patch("/v1/merchants/m1", {"merchant_id": "m1", "state": "active"})).status == 200
    assert (await world.bind()).status == 201
    for path, body, status, code in (
        ("/v1/merchants/nobody", {"name": "x"}, 404, "merchant_not_found"),
        ("/v1/merchants/%00", {"name": "x"}, 404, "merchant_not_found"),
        ("/v1/merchants/m1", {"merchant_id": "m2"}, 400, "invalid_request"),
        ("/v1/merchants/m1", {"name": ""}, 400, "invalid_request"),
        ("/v1/merchants/m1", {"tariff_id": "none"}, 404, "tariff_not_found"),
    ):
        reply = await world.patch(path, body)
        assert (reply.status, reply.code) == (status, code), (path, body)


async def test_limits_of_spending_are_set_shown_and_taken_off(world: World) -> None:
    await world.stock(merchants=("m1",))
    shown = (await world.get("/v1/merchants")).body["merchants"][0]
    assert (shown["spend_cap"], shown["spend_alert"]) == (None, None)
    for change, cap, alert in (
        ({"spend_cap": "100.50", "spend_alert": 80}, "100.5", "80"),
        ({"name": "renamed"}, "100.5", "80"),
        ({"spend_alert": None}, "100.5", None),
        ({"spend_cap": "0.0000001"}, "0.0000001", None),
        ({"spend_cap": "0"}, "0", None),
    ):
        reply = await world.patch("/v1/merchants/m1", change)
        assert (reply.status, reply.body["spend_cap"], reply.body["spend_alert"]) == (200, cap, alert), change
    reply = await world.bind()
    assert (reply.status, reply.code) == (409, "spend_cap_reached")
    batch = await world.post("/v1/bindings/batch", {"items": [order("a"), order("b", merchant_id="m9")]})
    assert [result["error"]["code"] for result in batch.body["results"]] == ["spend_cap_reached", "merchant_not_found"]
    assert (await world.patch("/v1/merchants/m1", {"spend_cap": None})).body["spend_cap"] is None
    assert (await world.bind()).status == 201
    new = {"merchant_id": "m2", "name": "m2", "spend_cap": "7", "spend_alert": "1.10"}
    made = (await world.post("/v1/merchants", new)).body
    assert (made["spend_cap"], made["spend_alert"]) == ("7", "1.1")


@pytest.mark.parametrize("query", ["?after=", "?before=m1", f"?after={'m' * 65}"])
async def test_a_list_that_is_asked_for_wrongly(world: World, query: str) -> None:
    assert (await world.get(f"/v1/merchants{query}")).code == "invalid_request"
