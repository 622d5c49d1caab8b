"""Disputes over HTTP: who may open and answer them, and what is refused."""

from typing import Any
from urllib.parse import quote

import pytest

from .conftest import CALLER, World, record

NOTE = "VN-NOTE-2026-000001"


async def a_call(world: World, call_id: str = "c1") -> None:
    """A charged call of merchant m1."""
    await world.stock()
    made = (await world.bind()).body
    world.advance(hours=1)
    reply = await world.post("/v1/calls/records", {"items": [record(call_id, made["extension"])]}, role="switch")
    assert reply.body["results"][0]["status"] == "rated"


async def dispute(world: World, call_id: str = "c1", *, role: str = "merchant", reason: str = "nobody rang") -> Any:
    return await world.post(f"/v1/calls/{quote(call_id, safe='')}/disputes", {"reason": reason}, role=role)


async def resolve(world: World, dispute_id: Any, *, role: str = "finance", **body: Any) -> Any:
    whole = {"outcome": "rejected", "reason": "the carrier has it"} | body
    return await world.post(f"/v1/disputes/{dispute_id}/resolve", whole, role=role)


async def listed(world: World, query: str = "", role: str = "merchant") -> list[dict[str, Any]]:
    reply = await world.get(f"/v1/disputes{query}", role=role)
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.body["disputes"]
    return found


async def test_a_dispute_from_its_opening_to_its_answer(world: World) -> None:
    await a_call(world)
    reply = await dispute(world)
    assert reply.status == 201
    opened = {
        "dispute_id": reply.body["dispute_id"],
        "merchant_id": "m1",
        "call_id": "c1",
        "state": "open",
        "reason": "nobody rang",
        "author": world.keys["merchant"].split("_")[1],
        "opened_at": "2026-10-05T05:00:00Z",
    }
    assert reply.body == opened
    assert (await dispute(world, role="isv")).code == "dispute_open"
    world.advance(hours=1)
    for note in (NOTE, "x", "VN-2026-000001"):
        reply = await resolve(world, opened["dispute_id"], outcome="upheld", note_number=note)
        assert (reply.status, reply.code) == (404, "note_not_found")
    assert (await listed(world))[0]["state"] == "open"
    reply = await resolve(world, opened["dispute_id"], outcome="upheld")
    assert reply.body == opened | {
        "state": "upheld",
        "resolution": "the carrier has it",
        "resolved_by": world.keys["finance"].split("_")[1],
        "resolved_at": "2026-10-05T06:00:00Z",
    }
    again = await resolve(world, opened["dispute_id"])
    assert (again.status, again.code) == (409, "dispute_resolved")
    assert (await dispute(world)).status == 201, "what is still wrong is a new one"
    assert [one["state"] for one in await listed(world)] == ["upheld", "open"]


@pytest.mark.parametrize("role", ["merchant", "isv", "finance", "platform", "admin"])
async def test_only_calls_of_theirs(world: World, role: str) -> None:
    await a_call(world)
    if role in ("merchant", "isv", "finance"):
        for tie in (["m2"], []):
            foreign = await world.key_of(role, merchants=tie)
            reply = await dispute(world, role=foreign)
            assert (reply.status, reply.code) == (404, "call_not_found")
        own = await world.key_of(role, merchants=["m1"])
        assert (await dispute(world, role=own)).status == 201
        assert await listed(world, role=foreign) == []
        assert await listed(world, "?merchant_id=m1", role=foreign) == []
        assert len(await listed(world, "?merchant_id=m1", role=own)) == 1
    else:
        assert (await dispute(world, role=role)).status == 201
    assert len(await listed(world, role=role)) == 1
    assert await listed(world, "?merchant_id=m2", role=role) == []


async def test_a_tied_finance_key_answers_none(world: World) -> None:
    await a_call(world)
    made = (await dispute(world)).body
    tied = await world.key_of("finance", merchants=["m1"])
    reply = await resolve(world, made["dispute_id"], role=tied)
    assert (reply.status, reply.code) == (403, "forbidden")
    assert (await resolve(world, made["dispute_id"], role="admin")).status == 200


async def test_a_call_of_a_closed_month_can_be_disputed_and_is_billed(world: World) -> None:
    await a_call(world)
    world.advance(days=30)
    assert (await world.post("/v1/invoices/close", {"period": "2026-10"}, role="finance")).status == 200
    before = (await world.get("/v1/invoices", role="finance")).body
    made = await dispute(world)
    assert made.status == 201
    (invoice,) = before["invoices"]
    note = {"reason": "nobody rang", "lines": [{"call_id": "c1"}]}
    credit = await world.post(f"/v1/invoices/{invoice['number']}/notes", note, role="finance")
    assert credit.body["number"] == NOTE
    answer = await resolve(world, made.body["dispute_id"], outcome="upheld", note_number=NOTE)
    assert (answer.status, answer.body["note_number"]) == (200, NOTE)
    assert (await world.get("/v1/invoices", role="finance")).body == before
    export = "/v1/invoices/export?period=2026-10&format=csv"
    assert ",c1," in (await world.get(export, role="finance")).body


@pytest.mark.parametrize("call_id", ["none", "c2", "x" * 257, "a\u0001", " ", "电话"])
async def test_what_is_no_call(world: World, call_id: str) -> None:
    """One that was only routed, or that was not taken, is none either."""
    await a_call(world)
    ask = {"call_id": "c2", "caller": CALLER, "host": "18400913965"}
    await world.post("/v1/calls/route", ask, role="switch")
    await world.post("/v1/calls/records", {"items": [record("c2", "0000")]}, role="switch")
    for role in ("merchant", "admin"):
        reply = await dispute(world, call_id, role=role)
        assert (reply.status, reply.code) == (404, "call_not_found"), reply.body


async def test_call_ids_of_any_shape(world: World) -> None:
    await a_call(world, "电话 1/2?#%")
    assert (await dispute(world, "电话 1/2?#%")).status == 201


@pytest.mark.parametrize("dispute_id", ["999", "x", "-1", "0", "9223372036854775807", "9" * 30, "%D9%A1", "1.0"])
async def test_what_is_no_dispute(world: World, dispute_id: str) -> None:
    reply = await resolve(world, dispute_id)
    assert (reply.status, reply.code) == (404, "dispute_not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"outcome": "open"}, 400, "invalid_request"),
        ({"outcome": None}, 400, "invalid_request"),
        ({"reason": ""}, 400, "invalid_request"),
        ({"reason": "x" * 501}, 400, "invalid_request"),
        ({"reason": f"ask {CALLER}"}, 400, "invalid_request"),
        ({"note_number": ""}, 400, "invalid_request"),
        ({"note_number": "n\u0000"}, 400, "invalid_request"),
        ({"outcome": "upheld", "note_number": CALLER}, 400, "invalid_request"),
        ({"amount": "1"}, 400, "invalid_request"),
        ({"note_number": NOTE}, 422, "dispute_invalid"),
    ],
)
async def test_an_answer_that_is_none(world: World, body: dict[str, Any], status: int, code: str) -> None:
    await a_call(world)
    made = (await dispute(world)).body
    reply = await resolve(world, made["dispute_id"], **body)
    assert (reply.status, reply.code) == (status, code), reply.body
    assert [one["state"] for one in await listed(world)] == ["open"]


@pytest.mark.parametrize(
    "reason", ["", "x" * 501, "a\u0000b", "tab\t", f"mine is {CALLER}", "+86 137 1234 5678", 5, None]
)
async def test_a_reason_that_is_none(world: World, reason: Any) -> None:
    await a_call(world)
    reply = await dispute(world, reason=reason)
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert await listed(world) == []


@pytest.mark.parametrize(
    "query", ["?state=closed", "?after=-1", "?after=x", "?after=9223372036854775808", "?merchant_id=", "?x=1"]
)
async def test_a_query_that_is_wrong(world: World, query: str) -> None:
    reply = await world.get(f"/v1/disputes{query}", role="merchant")
    assert (reply.status, reply.code) == (400, "invalid_request")


async def test_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("vnum.service.disputes", "vnum.api.disputes"):
        monkeypatch.setattr(f"{module}.PAGE", 2)
    await a_call(world)
    made = []
    for _ in range(5):
        made.append((await dispute(world)).body["dispute_id"])
        await resolve(world, made[-1])
    seen, query = [], ""
    while True:
        reply = await world.get(f"/v1/disputes?state=rejected{query}", role="finance")
        seen += [one["dispute_id"] for one in reply.body["disputes"]]
        if "next" not in reply.body:
            break
        query = f"&after={reply.body['next']}"
    assert seen == made
    assert await listed(world, "?state=open") == []
