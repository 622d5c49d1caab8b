"""Click to dial, a call's life and the calls that nobody reported, over HTTP."""

from typing import Any

import pytest

from .conftest import CALLER, HOST, OTHER_PHONE, PHONE, World

AGENT = "13700000001"
DAY = "from=2026-10-05T00:00:00Z&to=2026-10-06T00:00:00Z"


async def dial(world: World, order_id: str = "o1", *, role: str = "merchant", **more: Any) -> Any:
    body = {"merchant_id": "m1", "order_id": order_id, "agent_phone": AGENT}
    return await world.post("/v1/calls/dial", body, role=role, **more)


async def take(world: World) -> list[dict[str, Any]]:
    reply = await world.post("/v1/calls/dials/take", {"wait_seconds": 0}, role="switch")
    assert reply.status == 200, reply.body
    dials: list[dict[str, Any]] = reply.body["dials"]
    return dials


async def tell(world: World, call_id: str, state: str) -> Any:
    item = {"call_id": call_id, "state": state, "at": world.clock.instant.isoformat(), "host": HOST}
    return (await world.post("/v1/calls/states", {"items": [item]}, role="switch")).body


async def calls(world: World, role: str = "merchant") -> list[dict[str, Any]]:
    reply = await world.get(f"/v1/calls?merchant_id=m1&{DAY}", role=role)
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.body["calls"]
    return found


async def test_from_the_order_to_the_record(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    reply = await dial(world)
    ordered = reply.body
    assert reply.status == 201
    assert ordered == {
        "call_id": ordered["call_id"],
        "state": "queued",
        "merchant_id": "m1",
        "order_id": "o1",
        "binding_id": made["binding_id"],
        "host": HOST,
        "extension": made["extension"],
        "number": made["number"],
        "expires_at": made["expires_at"],
        "take_by": "2026-10-05T04:02:00Z",
    }
    (shown,) = await calls(world)
    assert (shown["call_id"], shown["state"], shown["seconds"], shown["cost"]) == (ordered["call_id"], "queued", 0, "0")
    assert "release_time" not in shown
    (one,) = await take(world)
    assert one == {
        "call_id": ordered["call_id"],
        "agent": f"+86{AGENT}",
        "host": HOST,
        "extension": made["extension"],
        "display_number": HOST,
        "max_ring_seconds": 30,
    }
    for state in ("ringing_agent", "ringing", "answered"):
        assert (await tell(world, one["call_id"], state))["results"] == [
            {"call_id": one["call_id"], "state": state, "new": True}
        ]
        assert [call["state"] for call in await calls(world)] == [state]
    asked = {"call_id": one["call_id"], "caller": one["agent"], "host": HOST, "digits": one["extension"]}
    decision = (await world.post("/v1/calls/route", asked, role="switch")).body
    assert (decision["action"], decision["callee"]) == ("connect", f"+86{PHONE}")
    record = {
        "call_id": one["call_id"],
        "host": HOST,
        "caller": one["agent"],
        "call_time": "2026-10-05T04:00:00Z",
        "ring_time": "2026-10-05T04:00:02Z",
        "answer_time": "2026-10-05T04:00:10Z",
        "release_time": "2026-10-05T04:01:11Z",
        "release_cause": 16,
    }
    world.advance(minutes=2)
    await world.post("/v1/calls/records", {"items": [record]}, role="switch")
    (call,) = await calls(world)
    assert (call["call_id"], call["minutes"], call.get("state")) == (one["call_id"], 2, None)
    life = (await world.get(f"/v1/calls/{one['call_id']}", role="merchant")).body
    assert [told["state"] for told in life["told"]] == ["ringing_agent", "ringing", "answered"]
    assert (life["record"]["status"], life["record"]["cost"], life["ordered"]["state"]) == ("rated", "0.04", "ended")
    assert (life["needs_reconciliation"], life["call_back"], life["merchant_id"]) == (False, False, "m1")
    assert AGENT not in str([ordered, shown, call, life])
    assert PHONE not in str([ordered, shown, call, life])


async def test_the_same_key_orders_once(world: World) -> None:
    await world.stock()
    await world.bind()
    first, again = await dial(world, key="k"), await dial(world, key="k")
    assert (first.status, first.body) == (again.status, again.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await dial(world)).body["call_id"] != first.body["call_id"]
    assert await world.rows("dials") == 2


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ("none", 404, "binding_not_found"),
        ("unshipped", 422, "order_not_shipped"),
        ("closed", 403, "purpose_not_allowed"),
    ],
)
async def test_refusals_have_their_codes(world: World, order: str, status: int, code: str) -> None:
    await world.stock()
    await world.bind("unshipped", order_status="waybill_issued")
    await world.bind("closed", recipient_phone=OTHER_PHONE)
    await world.owner.execute("UPDATE orders SET order_status = 'closed' WHERE order_id = 'closed'")
    reply = await dial(world, order, role="isv" if order != "closed" else "platform")
    assert (reply.status, reply.code) == (status, code)


@pytest.mark.parametrize(
    "body",
    [
        {"merchant_id": "m1", "order_id": "o1"},
        {"merchant_id": "m1", "order_id": "o1", "agent_phone": "anonymous"},
        {"merchant_id": "m1", "order_id": "o1", "agent_phone": "+12125550123"},
        {"merchant_id": "m1", "order_id": "o1", "agent_phone": ""},
        {"merchant_id": "m1", "order_id": "o1", "agent_phone": 1},
        {"merchant_id": "m1", "order_id": "o1", "agent_phone": AGENT, "callee": PHONE},
    ],
)
async def test_bad_orders(world: World, body: Any) -> None:
    await world.stock()
    await world.bind()
    reply = await world.post("/v1/calls/dial", body, role="merchant")
    assert (reply.status, reply.code in {"invalid_request", "invalid_caller"}) == (400, True), reply.body


@pytest.mark.parametrize(
    "body",
    [
        {"items": []},
        {"items": [{"call_id": "c", "state": "queued", "at": "2026-10-05T04:00:00Z"}]},
        {"items": [{"call_id": "c", "state": "ringing", "at": "2026-10-05T04:00:00"}]},
        {"items": [{"call_id": "", "state": "ringing", "at": "2026-10-05T04:00:00Z"}]},
    ],
)
async def test_bad_states(world: World, body: Any) -> None:
    assert (await world.post("/v1/calls/states", body, role="switch")).code == "invalid_request"


@pytest.mark.parametrize("body", [{"most": 0}, {"most": 101}, {"wait_seconds": 31}, {"wait_seconds": -1}])
async def test_bad_waits(world: World, body: Any) -> None:
    assert (await world.post("/v1/calls/dials/take", body, role="switch")).code == "invalid_request"


async def test_a_call_that_nobody_reported(world: World) -> None:
    """12:00 connected, 3 hours at the longest, an hour's grace: from 16:00 on it needs reconciliation."""
    await world.stock()
    made = (await world.bind()).body
    asked = {"call_id": "c1", "caller": CALLER, "host": HOST, "digits": made["extension"]}
    assert (await world.post("/v1/calls/route", asked, role="switch")).body["action"] == "connect"
    world.advance(hours=4, seconds=-1)
    assert (await world.get("/v1/calls/unrecorded", role="finance")).body == {"calls": []}
    assert (await world.get("/v1/calls/c1", role="admin")).body["needs_reconciliation"] is False
    world.advance(seconds=1)
    for role in ("finance", "switch", "admin", "platform"):
        (one,) = (await world.get("/v1/calls/unrecorded", role=role)).body["calls"]
        assert one == {
            "call_id": "c1",
            "binding_id": made["binding_id"],
            "connected_at": "2026-10-05T04:00:00Z",
            "overdue_at": "2026-10-05T08:00:00Z",
            "call_back": False,
            "merchant_id": "m1",
            "order_id": "o1",
            "host": HOST,
            "extension": made["extension"],
        }
    assert (await world.get("/v1/calls/c1", role="admin")).body["needs_reconciliation"] is True
    await world.engine.care.tend()
    assert "vnum_calls_unrecorded 1.0" in (await world.get("/metrics", role=None)).body
    tied = await world.key_of("finance", merchants=["m1"])
    assert (await world.get("/v1/calls/unrecorded", role=tied)).code == "forbidden"
    never = {
        "call_id": "c1",
        "host": HOST,
        "caller": CALLER,
        "call_time": "2026-10-05T04:00:00Z",
        "release_time": "2026-10-05T04:00:00Z",
    }
    (rated,) = (await world.post("/v1/calls/records", {"items": [never]}, role="switch")).body["results"]
    assert (rated["status"], rated["minutes"]) == ("rated", 0)
    assert (await world.get("/v1/calls/unrecorded", role="finance")).body == {"calls": []}


async def test_a_life_with_tries_a_conflict_a_mark_and_a_dispute(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    free = next(f"{n:04}" for n in range(1, 9) if f"{n:04}" != made["extension"])
    asked = {"call_id": "c1", "caller": CALLER, "host": HOST}
    await world.post("/v1/calls/route", asked | {"digits": free}, role="switch")
    await world.post("/v1/calls/route", asked | {"digits": made["extension"]}, role="switch")
    world.advance(minutes=5)
    times = {"call_time": "2026-10-05T04:00:00Z", "answer_time": "2026-10-05T04:00:10Z"}
    record = {"call_id": "c1", "host": HOST, "caller": CALLER, "release_time": "2026-10-05T04:01:11Z"} | times
    other = record | {"release_time": "2026-10-05T04:01:20Z"}
    for one in (record, record, other):
        await world.post("/v1/calls/records", {"items": [one]}, role="switch")
    await world.post(
        "/v1/calls/marks", {"call_id": "c1", "mark": "satisfied", "at": "2026-10-05T04:02:00Z"}, role="switch"
    )
    await world.post("/v1/calls/c1/disputes", {"reason": "fax"}, role="merchant")
    life = (await world.get("/v1/calls/c1")).body
    assert [(one["code"], one["class"]) for one in life["tries"]] == [("no_binding", "unknown")]
    assert [(one["status"], one["code"], one["state"]) for one in life["not_taken"]] == [
        ("conflict", "record_conflict", "open")
    ]
    assert (life["marks"], [one["state"] for one in life["disputes"]]) == (["satisfied"], ["open"])
    assert life["connected_at"] == "2026-10-05T04:00:00Z"
    assert "invoice_number" not in life
    world.advance(days=30)
    await world.post("/v1/invoices/close", {"period": "2026-10"}, role="finance")
    assert (await world.get("/v1/calls/c1")).body["invoice_number"] == "VN-2026-000001"
    assert CALLER not in str(life)
    shop = (await world.get("/v1/calls/c1", role=await world.key_of("merchant", merchants=["m1"]))).body
    assert shop["tries"] == []  # digits that were nobody's are nobody's business
    assert (await world.get("/v1/calls/c1", role=await world.key_of("merchant", merchants=["m2"]))).status == 404
    assert (await world.get("/v1/calls/none")).code == "call_not_found"


async def test_calls_are_counted_by_how_they_ended(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    times = {"call_time": "2026-10-05T04:00:00Z", "ring_time": "2026-10-05T04:00:04Z"}
    record = {"host": HOST, "extension": made["extension"], "caller": CALLER} | times
    answered = {"call_id": "a", "answer_time": "2026-10-05T04:00:10Z", "release_cause": 16}
    world.advance(minutes=5)
    before = await figures(world)
    items = [
        record | answered | {"release_time": "2026-10-05T04:01:10Z"},
        record | {"call_id": "b", "release_time": "2026-10-05T04:00:30Z", "release_cause": 19},
        record | {"call_id": "c", "release_time": "2026-10-05T04:00:30Z", "release_cause": 77},
        record | answered | {"release_time": "2026-10-05T04:01:10Z"},
        record | answered | {"release_time": "2026-10-05T04:01:30Z"},
        record | {"call_id": "d", "release_time": "2026-10-05T04:00:30Z", "extension": "0000"},
    ]
    await world.post("/v1/calls/records", {"items": items}, role="switch")
    after = await figures(world)
    new = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    assert {name: n for name, n in new.items() if name.startswith(("vnum_calls_total", "vnum_call_records_total"))} == {
        'vnum_calls_total{answered="yes",cause="16"}': 1,
        'vnum_calls_total{answered="no",cause="19"}': 1,
        'vnum_calls_total{answered="no",cause="other"}': 1,
        'vnum_call_records_total{code="",status="rated"}': 3,
        'vnum_call_records_total{code="",status="duplicate"}': 1,
        'vnum_call_records_total{code="record_conflict",status="conflict"}': 1,
        'vnum_call_records_total{code="no_binding",status="rejected"}': 1,
    }
    assert new["vnum_post_dial_seconds_count"] == 3
    assert new["vnum_post_dial_seconds_sum"] == 12


async def figures(world: World) -> dict[str, float]:
    text = (await world.get("/metrics", role=None)).body
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}
