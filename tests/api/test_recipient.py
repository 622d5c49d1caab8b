"""POST /v1/bindings/{binding_id}/recipient: another phone behind the same live number."""

from typing import Any

import pytest

from .conftest import CALLER, HOST, OTHER_PHONE, PHONE, World, order, record

MOVED = {"recipient_phone": OTHER_PHONE, "reason": "the recipient moved"}


async def change(world: World, binding: Any, **more: Any) -> Any:
    return await world.post(f"/v1/bindings/{binding['binding_id']}/recipient", MOVED | more)


async def reached(world: World, binding: Any, call_id: str) -> Any:
    sent = {"call_id": call_id, "caller": CALLER, "host": HOST, "digits": binding["extension"]}
    return (await world.post("/v1/calls/route", sent, role="switch")).body.get("callee")


async def test_the_next_call_reaches_the_new_phone(world: World) -> None:
    """In mid-call: the call that runs is charged as any, and nothing that is on the label changes."""
    await world.stock()
    made = (await world.bind(recipient_name="张三")).body
    before = await world.owner.fetchrow("SELECT * FROM bindings")
    assert await reached(world, made, "c1") == f"+86{PHONE}"
    reply = await change(world, made)
    assert (reply.status, reply.body) == (200, made)
    assert OTHER_PHONE.encode() not in reply.raw
    assert await reached(world, made, "c2") == f"+86{OTHER_PHONE}"
    sent = {"items": [record("c1", made["extension"], binding_id=made["binding_id"])]}
    world.advance(hours=1)
    assert (await world.post("/v1/calls/records", sent, role="switch")).body["results"][0]["status"] == "rated"
    after = await world.owner.fetchrow("SELECT * FROM bindings")
    changed = {name for name, value in before.items() if after[name] != value}
    assert changed == {"recipient", "recipient_hash"}

    assert (await world.bind(recipient_phone=OTHER_PHONE)).body == made
    assert (await world.bind()).code == "binding_conflict"
    row = await world.owner.fetchrow("SELECT * FROM recipient_changes")
    assert (row["reason"], row["order_id"]) == ("the recipient moved", "o1")
    assert row["changed_by"] == world.keys["platform"].split("_")[1]
    entry = await world.owner.fetchrow("SELECT * FROM audit_entries WHERE did = 'binding.recipient_changed'")
    assert (entry["subjects"], entry["why"]) == ([made["binding_id"]], "the recipient moved")


async def test_the_same_phone_changes_nothing(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    for written in (PHONE, f"+86 {PHONE}"):
        assert (await change(world, made, recipient_phone=written)).body == made
    assert await world.rows("recipient_changes") == 0
    assert (await change(world, made)).status == (await change(world, made)).status == 200
    assert await world.rows("recipient_changes") == 1


async def test_a_reissue_reaches_the_phone_that_was_put_last(world: World) -> None:
    await world.stock()
    made = (await world.bind(ttl_days=1)).body
    await change(world, made)
    world.advance(days=1)
    asked = {"items": [{"merchant_id": "m1", "order_id": "o1"}], "reissue": True}
    (label,) = (await world.post("/v1/labels/current", asked, role="courier")).body["results"]
    assert label["number"] != made["number"]
    assert await reached(world, label, "c") == f"+86{OTHER_PHONE}"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"recipient_phone": "12345"}, "invalid_phone"),
        ({"recipient_phone": HOST}, "invalid_phone"),
        ({"recipient_phone": ""}, "invalid_request"),
        ({"recipient_phone": None}, "invalid_request"),
        ({"reason": ""}, "invalid_request"),
        ({"reason": "x" * 501}, "invalid_request"),
        ({"reason": f"was {PHONE}"}, "invalid_request"),
        ({"order_id": "o1"}, "invalid_request"),
    ],
)
async def test_what_is_no_change(world: World, more: Any, code: str) -> None:
    await world.stock()
    made = (await world.bind()).body
    reply = await change(world, made, **more)
    assert (reply.status, reply.code) == (400, code)
    assert await reached(world, made, "c") == f"+86{PHONE}"


async def test_what_is_not_live_is_not_changed(world: World) -> None:
    await world.stock()
    expired, released = [(await world.bind(name, ttl_days=1)).body for name in ("o1", "o2")]
    await world.post(f"/v1/bindings/{released['binding_id']}/release", {"reason": "x"})
    world.advance(days=1)
    for binding, status, code in (
        (expired, 409, "binding_expired"),
        (released, 409, "binding_released"),
        ({"binding_id": "0199b2a4-3600-7000-8000-5c1f9e0a7d42"}, 404, "binding_not_found"),
        ({"binding_id": "x"}, 404, "binding_not_found"),
    ):
        reply = await change(world, binding)
        assert (reply.status, reply.code) == (status, code)


async def test_under_a_key_the_first_answer_counts(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    path = f"/v1/bindings/{made['binding_id']}/recipient"
    assert (await world.post(path, MOVED, key="k")).status == 200
    assert (await world.post(path, MOVED, key="k")).headers["Idempotency-Replayed"] == "true"
    other = await world.post(path, MOVED | {"recipient_phone": PHONE}, key="k")
    assert (other.status, other.code) == (422, "idempotency_mismatch")


async def test_of_a_month_whose_key_is_gone_nothing_is_sealed(world: World) -> None:
    await world.stock()
    made = (await world.post("/v1/bindings", order())).body
    await world.owner.execute("UPDATE data_keys SET wrapped = NULL, destroyed_at = now() WHERE purpose = 'month'")
    await world.engine.vault.refresh()
    assert (await change(world, made)).code == "recipient_erased"


async def test_no_number_is_led_to_who_wants_none(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    sent = {"phone": OTHER_PHONE, "scope": "everything"}
    assert (await world.call("PUT", "/v1/recipients/opt-out", sent)).status < 300
    reply = await change(world, made)
    assert (reply.status, reply.code) == (422, "recipient_opted_out")
    assert await reached(world, made, "c") == f"+86{PHONE}"
