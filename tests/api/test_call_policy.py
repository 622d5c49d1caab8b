"""Opt-outs, callers, blacklist, policies, marks, refused calls over HTTP: fields, codes, whose is whose, no phone."""

from typing import Any

import pytest

from vnum.model.call_policy import PlatformPolicy
from vnum.service.route import Policy

from .conftest import CALLER, HOST, OTHER_PHONE, PHONE, START, OpenWorld, World, record

OPT_OUT = "/v1/recipients/opt-out"
DAY = "from=2026-10-05T00:00:00Z&to=2026-10-06T00:00:00Z"


async def route(world: World, digits: str, call_id: str = "c1", caller: str = CALLER) -> Any:
    ask = {"call_id": call_id, "caller": caller, "host": HOST, "digits": digits}
    return (await world.post("/v1/calls/route", ask, role="switch")).body


async def test_a_no_is_obeyed_by_the_next_route_and_taken_back(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    said = await world.call("PUT", OPT_OUT, {"phone": f"+86 {PHONE[:3]}-{PHONE[3:]}", "merchant_id": "m1"})
    assert (said.status, said.body) == (
        200,
        {"scope": "merchant", "merchant_id": "m1", "since": "2026-10-05T04:00:00Z"},
    )
    assert await route(world, made["extension"]) == {
        "action": "reject", "prompt": "wrong_extension", "digits": 4, "cause": 1, "code": "recipient_opted_out",
    }  # fmt: skip
    world.advance(hours=1)
    again = await world.call("PUT", OPT_OUT, {"phone": PHONE, "merchant_id": "m1", "scope": "merchant"})
    assert again.body == said.body
    taken = await world.call("DELETE", OPT_OUT, {"phone": PHONE, "merchant_id": "m1"})
    assert (taken.status, taken.body) == (200, {"scope": "merchant", "merchant_id": "m1", "withdrawn": 1})
    assert (await world.call("DELETE", OPT_OUT, {"phone": PHONE, "merchant_id": "m1"})).body["withdrawn"] == 0
    assert (await route(world, made["extension"], "c2"))["action"] == "connect"


async def test_a_no_to_everything_refuses_new_numbers(world: World) -> None:
    await world.stock()
    assert (await world.call("PUT", OPT_OUT, {"phone": PHONE, "scope": "everything"})).status == 200
    refused = await world.bind()
    assert (refused.status, refused.code) == (422, "recipient_opted_out")
    items = [{"merchant_id": "m1", "order_id": "o1", "recipient_phone": PHONE, "order_status": "shipped"}]
    batch = await world.post("/v1/bindings/batch", {"items": items})
    assert [(one["status"], one["error"]["code"]) for one in batch.body["results"]] == [(422, "recipient_opted_out")]
    assert (await world.bind(recipient_phone=OTHER_PHONE)).status == 201


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"phone": ""}, 400, "invalid_request"),
        ({"phone": "12345"}, 400, "invalid_phone"),
        ({"phone": "+4915112345678"}, 400, "invalid_phone"),
        ({"phone": PHONE, "scope": "all"}, 400, "invalid_request"),
        ({"phone": PHONE, "scope": "caller"}, 400, "invalid_request"),
        ({"phone": PHONE, "merchant_id": "nobody"}, 404, "merchant_not_found"),
        ({"phone": PHONE, "merchant_id": ""}, 400, "invalid_request"),
        ({"phone": PHONE, "surprise": 1}, 400, "invalid_request"),
    ],
)
async def test_noes_that_are_malformed(world: World, body: dict[str, Any], status: int, code: str) -> None:
    reply = await world.call("PUT", OPT_OUT, body)
    assert (reply.status, reply.code) == (status, code)
    assert "12345678" not in str(reply.body)


async def test_callers_are_registered_listed_and_removed(world: World) -> None:
    await world.stock()
    mine, others = [await world.key_of("merchant", merchants=[merchant]) for merchant in ("m1", "m2")]
    new = {"phone": CALLER, "class": "merchant_agent", "merchant_id": "m1", "group": "g", "verified": True}
    made = await world.post("/v1/callers", new, role=mine)
    assert made.status == 201
    caller_id = made.body["caller_id"]
    assert made.body == {
        "caller_id": caller_id, "class": "merchant_agent", "verified": False, "phone": "****5678",
        "created_at": "2026-10-05T04:00:00Z", "merchant_id": "m1", "group": "g",
    }  # fmt: skip
    by_platform = await world.post("/v1/callers", new)
    assert (by_platform.body["caller_id"], by_platform.body["verified"]) == (caller_id, True)
    moved = await world.post("/v1/callers", new | {"group": "h"}, role=mine)
    assert (moved.body["group"], moved.body["verified"]) == ("h", True), "only the platform says who is verified"
    courier = await world.post("/v1/callers", {"phone": "10086", "class": "courier", "carrier": "SF"})
    assert courier.body["phone"] == "****"
    assert [one["caller_id"] for one in (await world.get("/v1/callers", role=mine)).body["callers"]] == [caller_id]
    assert (await world.get("/v1/callers", role=others)).body == {"callers": []}
    assert (await world.get("/v1/callers?merchant_id=m1", role=others)).body == {"callers": []}
    assert len((await world.get("/v1/callers")).body["callers"]) == 2
    for key in (others, await world.key_of("merchant", merchants=[])):
        gone = await world.call("DELETE", f"/v1/callers/{caller_id}", {}, role=key)
        assert (gone.status, gone.code) == (404, "caller_not_found")
    assert (await world.call("DELETE", f"/v1/callers/{caller_id}", {}, role=mine)).status == 200
    assert (await world.get("/v1/callers", role=mine)).body == {"callers": []}
    assert await world.rows("callers") == 1
    assert CALLER not in str(await world.owner.fetch("SELECT c::text FROM callers c"))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"class": "merchant_agent"}, 400, "invalid_request"),
        ({"class": "merchant_agent", "merchant_id": "m1", "carrier": "SF"}, 400, "invalid_request"),
        ({"class": "courier"}, 400, "invalid_request"),
        ({"class": "courier", "carrier": "SF", "group": "g"}, 400, "invalid_request"),
        ({"class": "unknown", "merchant_id": "m1"}, 400, "invalid_request"),
        ({"class": "robot", "merchant_id": "nobody"}, 404, "merchant_not_found"),
        ({"class": "robot", "merchant_id": "m2"}, 404, "merchant_not_found"),
        ({"class": "courier", "carrier": "SF"}, 403, "forbidden"),
        ({"class": "robot", "merchant_id": "m1", "phone": "anonymous"}, 400, "invalid_caller"),
        ({"class": "robot", "merchant_id": "m1", "phone": "call me"}, 400, "invalid_caller"),
    ],
)
async def test_callers_that_are_not_taken(world: World, body: dict[str, Any], status: int, code: str) -> None:
    await world.stock()
    mine = await world.key_of("merchant", merchants=["m1"])
    reply = await world.post("/v1/callers", {"phone": CALLER} | body, role=mine)
    assert (reply.status, reply.code) == (status, code), reply.body


async def test_the_blacklist_is_a_merchants_own_or_the_platforms(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    mine, others = [await world.key_of("merchant", merchants=[merchant]) for merchant in ("m1", "m2")]
    new = {"phone": CALLER, "direction": "caller", "merchant_id": "m1", "reason": "rings at night"}
    added = await world.post("/v1/blacklist", new, role=mine)
    assert (added.status, added.body["phone"], added.body["reason"]) == (201, "****5678", "rings at night")
    assert (await world.post("/v1/blacklist", new, role=mine)).status == 200
    assert (await route(world, made["extension"]))["code"] == "caller_blacklisted"
    for wrong, code in (
        (new | {"merchant_id": "m2"}, "merchant_not_found"),
        ({"phone": CALLER, "direction": "caller"}, "forbidden"),
        (new | {"reason": f"rings from {CALLER}"}, "invalid_request"),
        (new | {"direction": "callee", "phone": PHONE}, "forbidden"),
        (new | {"phone": "anonymous"}, "invalid_caller"),
    ):
        assert (await world.post("/v1/blacklist", wrong, role=mine)).code == code
    entry = f"/v1/blacklist/{added.body['blacklist_id']}"
    assert (await world.get("/v1/blacklist", role=others)).body == {"entries": []}
    assert (await world.call("DELETE", entry, {}, role=others)).code == "blacklist_not_found"
    assert (await world.call("DELETE", "/v1/blacklist/x", {}, role=mine)).code == "blacklist_not_found"
    assert (await world.call("DELETE", entry, {}, role=mine)).status == 200
    assert (await world.get("/v1/blacklist")).body == {"entries": []}
    assert (await route(world, made["extension"], "c2"))["action"] == "connect"


async def test_a_policy_is_the_platforms_to_set_and_the_merchants_to_read(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    path = "/v1/merchants/m1/call-policy"
    mine, others = [await world.key_of("merchant", merchants=[merchant]) for merchant in ("m1", "m2")]
    default = await world.get(path, role=mine)
    assert default.body["own"] == {}
    assert default.body["policy"]["who"] == "anyone"
    fields = {"quiet": {"from": "11:00", "to": "13:00"}, "calls_per_day": 3}
    put = await world.call("PUT", path, fields)
    assert (put.status, put.body["own"]) == (200, fields)
    assert (await world.get(path, role=mine)).body == put.body
    assert (await world.get(path, role=others)).code == "merchant_not_found"
    assert (await world.call("PUT", path, fields, role=mine)).code == "forbidden"
    assert (await world.call("PUT", "/v1/merchants/nobody/call-policy", fields)).code == "merchant_not_found"
    assert (await world.call("PUT", path, {"who": "group"})).code == "invalid_request"
    assert (await route(world, made["extension"]))["code"] == "quiet_hours"
    assert (await world.call("PUT", path, {})).body["own"] == {}
    assert (await route(world, made["extension"], "c2"))["action"] == "connect"


async def test_one_binding_may_be_kept_to_a_group(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    path = f"/v1/bindings/{made['binding_id']}/callers"
    assert (await world.call("PUT", path, {"group": "g"})).body == {"binding_id": made["binding_id"], "group": "g"}
    assert (await route(world, made["extension"]))["code"] == "caller_not_allowed"
    new = {"phone": CALLER, "class": "merchant_agent", "merchant_id": "m1", "group": "g", "verified": True}
    assert (await world.post("/v1/callers", new)).status == 201
    assert (await route(world, made["extension"], "c2"))["action"] == "connect"
    assert (await world.call("PUT", path, {})).code == "invalid_request"
    for unknown in ("x", "019bd93c-d040-7000-b85f-ab117e4c212a", "ffffffff-ffff-7fff-bfff-ffffffffffff"):
        assert (await world.call("PUT", f"/v1/bindings/{unknown}/callers", {"group": "g"})).code == "binding_not_found"


async def test_a_complaint_is_counted_shown_and_obeyed(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    new = {"phone": CALLER, "class": "merchant_agent", "merchant_id": "m1"}
    await world.post("/v1/callers", new)
    assert (await route(world, made["extension"]))["action"] == "connect"
    await world.post("/v1/calls/records", {"items": [record("c1", made["extension"])]}, role="switch")
    world.advance(minutes=5)
    complaint = {"call_id": "c1", "mark": "complaint", "at": "2026-10-05T04:03:00Z"}
    told = await world.post("/v1/calls/marks", complaint, role="switch")
    assert (told.status, told.body) == (
        200,
        {"call_id": "c1", "mark": "complaint", "new": True, "blocked": True, "opted_out": False},
    )
    assert (await world.post("/v1/calls/marks", complaint, role="switch")).body["new"] is False
    (shown,) = (await world.get(f"/v1/calls?merchant_id=m1&{DAY}")).body["calls"]
    assert shown["marks"] == ["complaint"]
    assert (await world.get("/v1/callers")).body["callers"][0]["complaints"] == 1
    sums = await world.get(f"/v1/calls/marks?merchant_id=m1&{DAY}")
    assert sums.body == {"marks": [{"mark": "complaint", "calls": 1}]}
    foreign = await world.key_of("isv", merchants=["m2"])
    assert (await world.get(f"/v1/calls/marks?merchant_id=m1&{DAY}", role=foreign)).body == {"marks": []}
    assert (await route(world, made["extension"], "c2"))["code"] == "caller_blocked"
    taken = await world.call("DELETE", OPT_OUT, {"phone": PHONE, "scope": "caller"})
    assert taken.body["withdrawn"] == 1
    assert (await route(world, made["extension"], "c3"))["action"] == "connect"


async def test_a_call_that_was_never_routed_can_be_marked_by_its_record(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    world.advance(minutes=5)
    await world.post("/v1/calls/records", {"items": [record("c1", made["extension"])]}, role="switch")
    complaint = {"call_id": "c1", "mark": "complaint", "at": "2026-10-05T04:03:00Z"}
    assert (await world.post("/v1/calls/marks", complaint, role="switch")).body["blocked"] is True
    assert (await route(world, made["extension"], "c2"))["code"] == "caller_blocked"


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"call_id": "nobody's"}, 404, "call_not_found"),
        ({"mark": "angry"}, 400, "invalid_request"),
        ({"at": "2026-10-05T04:03:00"}, 400, "invalid_request"),
        ({"at": "2026-10-05T05:00:00Z"}, 422, "time_in_future"),
    ],
)
async def test_marks_that_are_not_taken(world: World, more: dict[str, Any], status: int, code: str) -> None:
    await world.stock()
    made = (await world.bind()).body
    await route(world, made["extension"])
    mark = {"call_id": "c1", "mark": "complaint", "at": "2026-10-05T04:00:00Z"} | more
    reply = await world.post("/v1/calls/marks", mark, role="switch")
    assert (reply.status, reply.code) == (status, code)


async def test_refused_calls_are_listed_for_the_merchant_whose_number_was_dialled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.stock()
    made = (await world.bind()).body
    await world.call("PUT", OPT_OUT, {"phone": PHONE})
    for n in range(3):
        await route(world, made["extension"], f"c{n}")
        world.advance(minutes=1)
    path = f"/v1/calls/attempts?merchant_id=m1&{DAY}"
    everything = (await world.get(path)).body["attempts"]
    assert [one["call_id"] for one in everything] == ["c0", "c1", "c2"]
    assert everything[0] == {
        "attempt_id": everything[0]["attempt_id"], "at": "2026-10-05T04:00:00Z", "call_id": "c0", "order_id": "o1",
        "binding_id": made["binding_id"], "code": "recipient_opted_out", "class": "unknown",
    }  # fmt: skip
    assert START.isoformat() not in str(everything), "times are written with a Z"
    monkeypatch.setattr("vnum.service.attempts.PAGE", 2)
    monkeypatch.setattr("vnum.api.attempts.PAGE", 2)
    first = (await world.get(path)).body
    second = (await world.get(f"{path}&after={first['next']}")).body
    assert first["attempts"] + second["attempts"] == everything
    assert "next" not in second
    foreign = await world.key_of("merchant", merchants=["m2"])
    assert (await world.get(path, role=foreign)).body == {"attempts": []}
    assert (await world.get(path, role="courier")).code == "forbidden"
    for wrong in ("&after=x", "&after=MjAyNi0xMC0wNVQwNDowMDowMCswMDowMCB4", "&from=x"):
        assert (await world.get(path + wrong)).code == "invalid_request"
    long = "/v1/calls/attempts?merchant_id=m1&from=2026-01-01T00:00:00Z&to=2026-06-01T00:00:00Z"
    assert (await world.get(long)).code == "invalid_request"


async def test_a_shop_finds_out_by_no_list_whom_its_number_reaches(world: World) -> None:
    """Were his guesses listed as callees, a call would tell which of them is the recipient."""
    await world.stock()
    made = (await world.bind()).body
    for role in ("merchant", await world.key_of("merchant", merchants=["m1"])):
        guess = {"phone": PHONE, "direction": "callee", "merchant_id": "m1"}
        assert (await world.post("/v1/blacklist", guess, role=role)).code == "forbidden"
    assert (await route(world, made["extension"]))["action"] == "connect"
    assert (await world.post("/v1/blacklist", {"phone": "10086", "direction": "callee"})).code == "invalid_phone"


async def told(world: World, role: str) -> list[str]:
    found = (await world.get(f"/v1/calls/attempts?merchant_id=m1&{DAY}", role=role)).body["attempts"]
    return sorted(one["code"] for one in found)


async def test_a_merchant_is_not_told_what_his_recipient_has_to_do_with_others(open_world: OpenWorld) -> None:
    """Complaints about another shop's calls, calls of other shops that come to the cap of all, and the platform's list
    look alike to a merchant's key; what comes of his own calls has its name."""
    async with open_world(policy=Policy(calls=PlatformPolicy(all_calls_per_day=3))) as world:
        await world.stock()
        mine = await world.key_of("merchant", merchants=["m1"])
        own = (await world.bind()).body["extension"]
        others = (await world.bind("o2", merchant_id="m2")).body["extension"]
        assert (await route(world, others, "c1"))["action"] == "connect"
        complaint = {"call_id": "c1", "mark": "complaint", "at": "2026-10-05T04:00:00Z"}
        assert (await world.post("/v1/calls/marks", complaint, role="switch")).status == 200
        assert (await route(world, own, "c2"))["code"] == "caller_blocked"
        for n in range(2):
            assert (await route(world, others, f"c3{n}", caller=OTHER_PHONE))["action"] == "connect"
        assert (await route(world, own, "c4", caller=OTHER_PHONE))["code"] == "calls_capped_by_all"
        entry = {"phone": PHONE, "direction": "callee"}
        assert (await world.post("/v1/blacklist", entry)).status == 201
        assert (await route(world, own, "c5", caller=OTHER_PHONE))["code"] == "recipient_blacklisted"
        assert await told(world, mine) == ["recipient_unavailable"] * 3
        assert await told(world, "platform") == ["caller_blocked", "calls_capped_by_all", "recipient_blacklisted"]
        ordered = {"merchant_id": "m1", "order_id": "o1", "agent_phone": OTHER_PHONE}
        assert (await world.post("/v1/calls/dial", ordered, role=mine)).code == "recipient_unavailable"
        assert (await world.post("/v1/calls/dial", ordered, role="merchant")).code == "recipient_blacklisted"
        (tried,) = (await world.get("/v1/calls/c2", role=mine)).body["tries"]
        assert tried["code"] == "recipient_unavailable"


async def test_no_phone_stands_in_what_is_kept_of_policies(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    new = {"phone": CALLER, "class": "merchant_agent", "merchant_id": "m1"}
    await world.post("/v1/callers", new)
    await world.post("/v1/blacklist", {"phone": OTHER_PHONE, "direction": "callee"})
    await route(world, made["extension"])
    await world.call("PUT", OPT_OUT, {"phone": PHONE})
    await route(world, made["extension"], "c2")
    await world.post("/v1/calls/marks", {"call_id": "c1", "mark": "complaint", "at": "2026-10-05T04:00:00Z"},
                     role="switch")  # fmt: skip
    tables = (
        "opt_outs",
        "callers",
        "blacklist",
        "contacts",
        "texted",
        "reached",
        "call_attempts",
        "call_marks",
        "audit_entries",
    )
    for table in tables:
        text = str(await world.owner.fetch(f"SELECT t::text FROM {table} t"))
        assert not [phone for phone in (PHONE, OTHER_PHONE, CALLER) if phone in text], table
