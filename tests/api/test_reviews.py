"""Records that were not taken over HTTP: listed to finance with the caller masked, and decided once."""

from typing import Any

import pytest

from .conftest import CALLER, World, record

UNKNOWN = "00000000-0000-7000-8000-000000000000"


async def report(world: World, *items: Any) -> None:
    reply = await world.post("/v1/calls/records", {"items": list(items)}, role="switch")
    assert reply.status == 200, reply.body


async def a_conflict(world: World) -> dict[str, Any]:
    """A call of two minutes is charged, one of nine is kept aside."""
    await world.stock()
    made = (await world.bind()).body
    world.advance(hours=1)
    right = record("c1", made["extension"])
    await report(world, right, right | {"release_time": "2026-10-05T12:10:10+08:00"})
    (review,) = await listed(world)
    return review


async def listed(world: World, query: str = "", role: str = "finance") -> list[dict[str, Any]]:
    reply = await world.get(f"/v1/calls/reviews{query}", role=role)
    assert reply.status == 200, reply.body
    reviews: list[dict[str, Any]] = reply.body["reviews"]
    return reviews


async def decide(world: World, review_id: str, decision: str, **options: Any) -> Any:
    body = {"decision": decision, "reason": "checked with the carrier"}
    return await world.post(f"/v1/calls/reviews/{review_id}", body, **({"role": "finance"} | options))


async def test_a_conflict_beside_what_is_charged(world: World) -> None:
    review = await a_conflict(world)
    charged = review["charged"]
    made = (await world.get("/v1/bindings?merchant_id=m1&order_id=o1")).body["bindings"][0]
    assert review == {
        "review_id": review["review_id"],
        "call_id": "c1",
        "received_at": "2026-10-05T05:00:00Z",
        "status": "conflict",
        "code": "record_conflict",
        "detail": review["detail"],
        "state": "open",
        "record": {
            "host": made["host"],
            "extension": made["extension"],
            "caller": "137****5678",
            "call_time": "2026-10-05T04:01:00Z",
            "answer_time": "2026-10-05T04:01:10Z",
            "release_time": "2026-10-05T04:10:10Z",
        },
        "charged": charged,
    }
    assert charged == {
        "merchant_id": "m1",
        "order_id": "o1",
        "binding_id": made["binding_id"],
        "host": made["host"],
        "extension": made["extension"],
        "caller": "137****5678",
        "call_time": "2026-10-05T04:01:00Z",
        "answer_time": "2026-10-05T04:01:10Z",
        "release_time": "2026-10-05T04:02:11Z",
        "seconds": 61,
        "minutes": 2,
        "cost": "0.04",
        "late": False,
        "month_closed": False,
    }


async def test_what_was_accepted_is_charged(world: World) -> None:
    review = await a_conflict(world)
    reply = await decide(world, review["review_id"], "accept", key="k")
    assert (reply.status, reply.body) == (
        200,
        {"review_id": review["review_id"], "state": "accepted", "status": "rated", "minutes": 9, "cost": "0.18"},
    )
    again = await decide(world, review["review_id"], "accept", key="k")
    assert (again.body, again.headers["Idempotency-Replayed"]) == (reply.body, "true")
    for decision in ("accept", "retry", "discard"):
        late = await decide(world, review["review_id"], decision, role="admin")
        assert (late.status, late.code) == (409, "review_decided")
    assert await listed(world) == []
    (accepted,) = await listed(world, "?state=accepted")
    key_id = world.keys["finance"].split("_")[1]
    assert (accepted["decided_by"], accepted["decided_at"], accepted["reason"]) == (
        key_id, "2026-10-05T05:00:00Z", "checked with the carrier",
    )  # fmt: skip
    (replaced,) = await listed(world, "?state=replaced")
    assert replaced["record"]["release_time"] == "2026-10-05T04:02:11Z"


async def test_a_retry_says_what_became_of_it(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    world.advance(hours=1)
    item = record("c1", made["extension"], host="18400000009", binding_id=made["binding_id"])
    await report(world, item, record("c2", made["extension"], release_time="2026-10-05T14:00:00+08:00"))
    by_call = {one["call_id"]: one for one in await listed(world)}
    assert by_call["c1"]["code"] == "host_not_found"
    assert by_call["c1"]["record"]["host"] == "184****0009"
    reply = await decide(world, by_call["c2"]["review_id"], "retry", key="k")
    assert (reply.status, reply.body["state"], reply.body["code"]) == (200, "open", "time_in_future")
    world.advance(hours=2)
    reply = await decide(world, by_call["c2"]["review_id"], "retry", key="k2")
    assert reply.body == {
        "review_id": by_call["c2"]["review_id"],
        "state": "retried",
        "status": "rated",
        "minutes": 119,
        "cost": "2.38",
    }
    assert (await world.post("/v1/hosts", {"host": "18400000009"}, role="admin")).status == 201
    reply = await decide(world, by_call["c1"]["review_id"], "retry")
    assert (reply.body["state"], reply.body["code"]) == ("open", "binding_mismatch")
    assert [one["code"] for one in await listed(world)] == ["binding_mismatch"]
    reply = await decide(world, by_call["c1"]["review_id"], "discard")
    assert reply.body == {"review_id": by_call["c1"]["review_id"], "state": "discarded", "status": "rejected"}


async def test_a_closed_month_is_corrected_by_a_note(world: World) -> None:
    review = await a_conflict(world)
    world.advance(days=30)
    assert (await world.post("/v1/invoices/close", {"period": "2026-10"}, role="finance")).status == 200
    assert (await listed(world))[0]["charged"]["month_closed"] is True
    reply = await decide(world, review["review_id"], "accept")
    assert (reply.status, reply.code) == (409, "period_closed")
    assert "credit or debit note" in reply.body["detail"]


async def test_what_can_not_be_read_shows_size_and_reason(world: World) -> None:
    await world.stock()
    await report(world, {"caller": CALLER}, CALLER, record("m", "1234", release_time="yesterday"))
    for review in await listed(world):
        assert "record" not in review
        assert review["size"] > 10
        assert review["detail"]
        assert CALLER not in str(review)
        for decision in ("retry", "accept"):
            reply = await decide(world, review["review_id"], decision)
            assert (reply.status, reply.code) == (409, "decision_mismatch")
        assert (await decide(world, review["review_id"], "discard")).body["state"] == "discarded"


async def test_pages_and_filters(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("vnum.service.reviews", "vnum.api.reviews"):
        monkeypatch.setattr(f"{module}.PAGE", 2)
    await world.stock()
    for n in range(4):
        await report(world, record(f"c{n}", "1234", host="18400000009"))
        world.advance(seconds=1)
    await report(world, record("x", "1234", caller="?"))
    seen, query = [], ""
    while True:
        reply = await world.get(f"/v1/calls/reviews?state=open{query}", role="admin")
        seen += [one["call_id"] for one in reply.body["reviews"]]
        if "next" not in reply.body:
            break
        query = f"&after={reply.body['next']}"
    assert seen == ["c0", "c1", "c2", "c3", "x"]
    assert [one["call_id"] for one in await listed(world, "?code=invalid_caller")] == ["x"]
    assert await listed(world, "?status=conflict") == []
    assert len(await listed(world, "?status=rejected")) == 2


@pytest.mark.parametrize(
    "query",
    [
        "?state=closed",
        "?state=",
        "?status=rated",
        "?code=",
        "?after=1",
        "?after=",
        "?unknown=1",
        "?state=open&state=open",
    ],
)
async def test_a_query_that_is_wrong(world: World, query: str) -> None:
    reply = await world.get(f"/v1/calls/reviews{query}", role="finance")
    assert (reply.status, reply.code) == (400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"decision": "discard"},
        {"reason": "x"},
        {"decision": "delete", "reason": "x"},
        {"decision": "discard", "reason": ""},
        {"decision": "discard", "reason": "x" * 501},
        {"decision": "discard", "reason": "x\u0000"},
        {"decision": "discard", "reason": "\n"},
        {"decision": "discard", "reason": 1},
        {"decision": "discard", "reason": f"it was {CALLER}"},
        {"decision": "discard", "reason": "x", "force": True},
        [],
    ],
)
async def test_a_decision_that_is_malformed(world: World, body: Any) -> None:
    review = await a_conflict(world)
    reply = await world.post(f"/v1/calls/reviews/{review['review_id']}", body, role="finance")
    assert (reply.status, reply.code) == (400, "invalid_request"), reply.body
    assert [one["state"] for one in await listed(world)] == ["open"]


@pytest.mark.parametrize("review_id", ["x", UNKNOWN, "%00", "1" * 400, "ffffffff-ffff-ffff-ffff-ffffffffffff"])
async def test_what_is_no_review(world: World, review_id: str) -> None:
    reply = await decide(world, review_id, "discard")
    assert (reply.status, reply.code) == (404, "review_not_found")


async def test_a_tied_key_sees_and_decides_none(world: World) -> None:
    """Whose an unread record is, nobody knows."""
    review = await a_conflict(world)
    tied = await world.key_of("finance", merchants=["m1"])
    assert (await world.get("/v1/calls/reviews", role=tied)).code == "forbidden"
    assert (await decide(world, review["review_id"], "discard", role=tied)).code == "forbidden"
    assert [one["state"] for one in await listed(world)] == ["open"]
