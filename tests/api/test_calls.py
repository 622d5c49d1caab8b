"""Calls: what the switch is told, and what becomes of what it reports."""

from typing import Any

import pytest

from vnum.service.dialled import Slots

from .conftest import CALLER, HOST, OTHER_PHONE, PHONE, World, record


def asked(**more: Any) -> dict[str, Any]:
    return {"call_id": "c1", "caller": CALLER, "host": HOST} | more


async def route(world: World, **more: Any) -> dict[str, Any]:
    reply = await world.post("/v1/calls/route", asked(**more), role="switch")
    assert reply.status == 200, reply.body
    decision: dict[str, Any] = reply.body
    return decision


async def report(world: World, *items: Any) -> list[dict[str, Any]]:
    reply = await world.post("/v1/calls/records", {"items": list(items)}, role="switch")
    assert reply.status == 200, reply.body
    results: list[dict[str, Any]] = reply.body["results"]
    assert len(results) == len(items)
    return results


async def test_collect_then_connect(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    assert await route(world) == {"action": "collect", "prompt": "extension", "digits": 4}
    assert await route(world, digits="") == {"action": "collect", "prompt": "extension", "digits": 4}
    assert await route(world, digits=made["extension"]) == {
        "action": "connect",
        "binding_id": made["binding_id"],
        "callee": f"+86{PHONE}",
        "display_number": HOST,
        "max_seconds": 10_800,
    }


async def test_what_is_not_connected(world: World) -> None:
    await world.stock()
    short = (await world.bind(ttl_days=1)).body["extension"]
    gone = (await world.bind("o2", recipient_phone=OTHER_PHONE)).body
    await world.post(f"/v1/bindings/{gone['binding_id']}/release", {"reason": "x"})
    free = next(f"{n:04}" for n in range(1, 9999) if f"{n:04}" not in (short, gone["extension"]))
    world.advance(hours=24)
    again = {"action": "reject", "prompt": "wrong_extension", "digits": 4, "cause": 1}
    assert await route(world, digits=short) == again | {"code": "binding_expired"}
    assert await route(world, digits=gone["extension"]) == again | {"code": "binding_released"}
    assert await route(world, host="13900000000") == {"action": "reject", "cause": 1, "code": "host_not_found"}
    assert (await route(world, caller="not a phone"))["code"] == "invalid_caller"
    for digits in (free, "12", "12345", "12*4"):
        decision = await route(world, digits=digits, call_id=f"wrong {digits}")
        assert (decision["action"], decision["prompt"], decision["code"]) == (
            "reject", "wrong_extension", "no_binding",
        )  # fmt: skip
        assert "callee" not in decision


async def test_extensions_tried_at_random_end_in_a_lock(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    wrong = [f"{n:04}" for n in range(1, 20) if f"{n:04}" != made["extension"]]
    assert [(await route(world, digits=digits)).get("code") for digits in wrong[:3]] == [
        "no_binding", "no_binding", "too_many_tries",
    ]  # fmt: skip
    tried = [(await route(world, digits=digits, call_id=f"c{digits}"))["code"] for digits in wrong[3:10]]
    assert tried[-1] == "caller_locked_out"
    assert (await route(world, digits=made["extension"], call_id="right"))["code"] == "caller_locked_out"
    other = await route(world, digits=made["extension"], call_id="other", caller="13600000000")
    assert other["action"] == "connect"


async def test_route_fails_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.stock()
    made = (await world.bind()).body
    for trouble in (ConnectionResetError(), RuntimeError(PHONE), TimeoutError()):

        async def broken(*_: object, trouble: Exception = trouble) -> None:
            raise trouble

        with monkeypatch.context() as patch:
            patch.setattr(Slots, "look_up", broken)
            decision = await route(world, digits=made["extension"])
        assert decision == {"action": "reject", "cause": 41, "code": "store_unavailable"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"call_id": ""},
        {"call_id": "c" * 257},
        {"call_id": "c\u00001"},
        {"call_id": None},
        {"host": None},
        {"caller": "1" * 65},
        {"digits": 1234},
        {"digits": "1" * 33},
        {"digits": "12\u00004"},
        {"surprise": 1},
    ],
)
async def test_a_question_that_is_malformed(world: World, wrong: dict[str, Any]) -> None:
    reply = await world.post("/v1/calls/route", asked(**wrong), role="switch")
    assert (reply.status, reply.code) == (400, "invalid_request")


async def test_every_status_of_a_record(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    world.advance(hours=1)
    right = record("c1", made["extension"])
    unanswered = record("c2", made["extension"], answer_time=None)
    results = await report(world, right, unanswered, right)
    assert results == [
        {"call_id": "c1", "status": "rated", "minutes": 2, "cost": "0.04"},
        {"call_id": "c2", "status": "rated", "minutes": 0, "cost": "0"},
        {"call_id": "c1", "status": "duplicate", "minutes": 2, "cost": "0.04"},
    ]
    same = right | {
        "caller": f"+86{CALLER}",
        "call_time": "2026-10-05T04:01:00.9Z",
        "answer_time": "2026-10-05T04:01:10Z",
        "release_time": "2026-10-05T05:02:11.5+01:00",
    }
    assert [one["status"] for one in await report(world, same, unanswered)] == ["duplicate", "duplicate"]

    conflict = (await report(world, right | {"release_time": "2026-10-05T12:09:00+08:00"}))[0]
    assert (conflict["status"], conflict["code"]) == ("conflict", "record_conflict")
    assert await world.rows("calls") == 2
    assert await world.rows("call_reviews") == 1


async def test_records_that_are_rejected_are_kept_and_may_come_again(world: World) -> None:
    await world.stock(hosts=2)
    made = (await world.bind()).body
    extension = made["extension"]
    world.advance(hours=1)
    elsewhere = HOST if made["host"] != HOST else str(int(HOST) + 1)
    base = record("r", extension, host=made["host"])
    free = "0001" if extension != "0001" else "0002"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"host": "13900000000"}, "host_not_found"),
        ({"extension": free}, "no_binding"),
        ({"call_time": "2026-10-05T11:59:59+08:00", "answer_time": None}, "no_binding"),
        ({"binding_id": made["binding_id"], "host": elsewhere}, "binding_mismatch"),
        ({"binding_id": made["binding_id"], "extension": free}, "binding_mismatch"),
        ({"binding_id": "00000000-0000-7000-8000-000000000000"}, "no_binding"),
        ({"caller": "no phone"}, "invalid_caller"),
        ({"extension": "12a4"}, "invalid_number"),
        ({"extension": "12345"}, "invalid_number"),
        ({"release_time": "2026-10-05T12:01:09+08:00"}, "release_before_answer"),
        ({"release_time": "2026-10-05T12:00:00+08:00", "answer_time": None}, "release_before_answer"),
        ({"release_time": "2026-10-05T13:05:01+08:00"}, "time_in_future"),
        ({"call_time": "2026-10-05T12:01:00Z", "release_time": "2026-10-05T12:03:00Z"}, "time_in_future"),
        ({"call_time": "0001-01-01T00:00:00+14:00"}, "invalid_request"),
        ({"ring_time": "0001-01-01T00:00:00+14:00"}, "invalid_request"),
        ({"call_time": "1969-01-01T00:00:00Z", "answer_time": None}, "invalid_request"),
        (
            {"binding_id": made["binding_id"], "call_time": "2025-03-01T00:00:00Z", "answer_time": None},
            "invalid_request",
        ),
    ]
    items = [base | {"call_id": f"r{n}"} | wrong for n, (wrong, _) in enumerate(cases)]
    good = base | {"call_id": "good"}
    results = await report(world, *items, good)
    assert [result.get("code") for result in results] == [code for _, code in cases] + [None]
    assert {result["status"] for result in results[:-1]} == {"rejected"}
    assert results[-1]["status"] == "rated"
    assert await world.rows("call_reviews") == len(cases)
    await report(world, *items)
    assert await world.rows("call_reviews") == len(cases)
    assert (await report(world, base | {"call_id": "r0"}))[0]["status"] == "rated"


async def test_a_malformed_record_spoils_no_other_and_is_not_lost(world: World) -> None:
    await world.stock()
    extension = (await world.bind()).body["extension"]
    world.advance(hours=1)
    good = record("good", extension)
    malformed: list[tuple[Any, str | None, str]] = [
        (record("m1", extension, call_time="2026-10-05T12:01:00"), "m1", "call_time"),
        (record("m2", extension, release_time="yesterday"), "m2", "release_time"),
        (record("m3", extension, release_time=None), "m3", "release_time"),
        (record("m4", extension, surprise=CALLER), "m4", "surprise"),
        (record("m5", extension, release_dir=3), "m5", "release_dir"),
        (record("m6", "12\u00004"), "m6", "extension"),
        (record("m7", extension, binding_id="7"), "m7", "binding_id"),
        (record("m8", extension, **{CALLER: 1}), "m8", "another name"),
        (record("c\u00001", extension), None, "call_id"),
        (record("c" * 257, extension), None, "call_id"),
        ({"caller": CALLER}, None, "call_id"),
        (CALLER, None, "object"),
        (None, None, "object"),
    ]
    results = await report(world, *(item for item, _, _ in malformed), good)
    for (item, call_id, word), result in zip(malformed, results, strict=False):
        assert result["status"] == "rejected", item
        assert (result["call_id"], result["code"]) == (call_id, "invalid_request"), item
        assert word in result["detail"], result
        assert CALLER not in result["detail"]
    assert results[-1]["status"] == "rated"
    assert await world.rows("call_reviews") == len(malformed)
    kept = await world.owner.fetch("SELECT review_id, record, key_id, r::text AS row FROM call_reviews r")
    assert not [row for row in kept if CALLER in row["row"]]
    opened = [world.engine.vault.open(row["record"], row["review_id"], b"record", row["key_id"]) for row in kept]
    assert sum(CALLER in text for text in opened) == len(malformed) - 1


@pytest.mark.parametrize("body", [{}, {"items": []}, {"items": [{}] * 1001}, {"items": "x"}, [record("c", "1234")]])
async def test_a_report_that_is_wrong_as_a_whole(world: World, body: Any) -> None:
    reply = await world.post("/v1/calls/records", body, role="switch")
    assert (reply.status, reply.code) == (400, "invalid_request")


async def test_a_record_finds_the_binding_that_route_chose(world: World) -> None:
    """The number lapsed and was bound again before the record came: the call was the first one's."""
    await world.stock()
    first = (await world.bind()).body
    assert (await route(world, call_id="c1", digits=first["extension"]))["action"] == "connect"
    world.advance(hours=1)
    call = record("c1", first["extension"])
    del call["extension"]
    assert (await report(world, call))[0]["status"] == "rated"
    assert str(await world.owner.fetchval("SELECT binding_id FROM calls")) == first["binding_id"]
