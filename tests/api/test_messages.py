"""Texts to recipients over HTTP: whom they reach, what is refused, and that no phone comes back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.receiver import Receiver
from vnum.model.call_policy import PlatformPolicy
from vnum.service.route import Policy

from .conftest import HOST, OTHER_PHONE, PHONE, OpenWorld, Reply, World, texts_by

NOWHERE = str(UUID(int=7))
TEMPLATE = {"template_id": "arrived", "text": "Parcel of {order} is here.", "purpose": "delivery"}


@pytest.fixture
async def world(open_world: OpenWorld, gateway: Receiver, tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(**texts_by(gateway, tmp_path)) as opened:
        await opened.stock()
        assert (await opened.post("/v1/message-templates", TEMPLATE)).status == 201
        yield opened


async def bound(world: World, order_id: str = "o1", **more: Any) -> str:
    reply = await world.bind(order_id, **more)
    assert reply.status == 201, reply.body
    return str(reply.body["recipient_token"])


async def text(world: World, token: str, role: str = "platform", key: str | None = None, **more: Any) -> Reply:
    new = {"merchant_id": "m1", "recipient_token": token, "template_id": "arrived", "params": {"order": "o1"}}
    return await world.post("/v1/messages", new | more, role=role, key=key)


async def test_a_text_reaches_the_recipient_and_nobody_sees_his_phone(world: World, gateway: Receiver) -> None:
    token = await bound(world)
    reply = await text(world, token)
    assert reply.status == 201, reply.body
    message_id = reply.body["message_id"]
    assert reply.body == {
        "message_id": message_id,
        "merchant_id": "m1",
        "order_id": "o1",
        "template_id": "arrived",
        "purpose": "delivery",
        "state": "sent",
        "created_at": "2026-10-05T04:00:00Z",
        "settled_at": "2026-10-05T04:00:00Z",
    }
    (got,) = gateway.got
    assert got.headers["authorization"] == "Bearer g-secret"
    assert got.body == {
        "message_id": message_id,
        "phone": f"+86{PHONE}",
        "text": "Parcel of o1 is here.",
        "template_id": "arrived",
    }
    assert (await world.get(f"/v1/messages/{message_id}")).body == reply.body
    assert PHONE.encode() not in reply.raw
    row = await world.owner.fetchval("SELECT m::text FROM messages m")
    assert PHONE not in row
    read = await world.owner.fetch("SELECT actors, subjects, why FROM audit_entries WHERE did = 'number.read'")
    assert [(len(one["actors"]), one["why"]) for one in read] == [(1, f"message {message_id}")]


async def test_the_token_stands_in_every_answer_and_names_the_same(world: World) -> None:
    await world.bind("o0", recipient_phone=OTHER_PHONE)
    token = await bound(world)
    again = await world.bind("o1")
    batch = await world.post(
        "/v1/bindings/batch",
        {"items": [{"merchant_id": "m1", "order_id": "o1", "recipient_phone": PHONE, "order_status": "shipped"}]},
    )
    found = await world.get("/v1/bindings?merchant_id=m1&order_id=o1", role="merchant")
    got = await world.get(f"/v1/bindings/{again.body['binding_id']}")
    tokens = [
        again.body["recipient_token"],
        batch.body["results"][0]["binding"]["recipient_token"],
        found.body["bindings"][0]["recipient_token"],
        got.body["recipient_token"],
    ]
    assert set(tokens) == {token}


async def test_an_older_token_reaches_the_orders_present_recipient(world: World, gateway: Receiver) -> None:
    token = await bound(world, ttl_days=1)
    world.advance(days=2)
    newer = await bound(world, recipient_phone=OTHER_PHONE)
    assert token != newer
    for one in (token, newer):
        assert (await text(world, one)).body["state"] == "sent"
    assert [got.body["phone"] for got in gateway.got] == [f"+86{OTHER_PHONE}"] * 2


async def test_what_is_refused(world: World, gateway: Receiver) -> None:
    token = await bound(world)
    fixed = await bound(world, "fixed", recipient_phone="0571-12345678")
    number = (await world.bind("o2", recipient_phone=OTHER_PHONE)).body["number"]
    table: list[tuple[dict[str, Any], int, str]] = [
        ({"recipient_token": fixed}, 422, "sms_not_possible"),
        ({"recipient_token": number}, 422, "sms_not_supported"),
        ({"recipient_token": HOST}, 422, "sms_not_supported"),
        ({"recipient_token": f"+86 {HOST}"}, 422, "sms_not_supported"),
        ({"recipient_token": PHONE}, 422, "recipient_token_invalid"),
        ({"recipient_token": token[:-2] + "xx"}, 422, "recipient_token_invalid"),
        ({"merchant_id": "m2"}, 422, "recipient_token_invalid"),
        ({"merchant_id": "nobody"}, 404, "merchant_not_found"),
        ({"template_id": "unknown"}, 404, "template_not_found"),
        ({"purpose": "after_sales"}, 422, "message_invalid"),
        ({"purpose": "marketing"}, 400, "invalid_request"),
        ({"params": {}}, 422, "message_invalid"),
        ({"params": {"order": "x", "more": "y"}}, 422, "message_invalid"),
        ({"params": {"order": "ring 13812345678"}}, 422, "message_invalid"),
        ({"params": {"order": "http://evil.example"}}, 422, "message_invalid"),
        ({"params": {"order": 1}}, 400, "invalid_request"),
        ({"phone": PHONE}, 400, "invalid_request"),
    ]
    for body, status, code in table:
        reply = await text(world, token, **body)
        assert (reply.status, reply.code) == (status, code), body
        assert PHONE.encode() not in reply.raw
    assert gateway.got == []
    assert await world.rows("messages") == 0
    assert await world.owner.fetchval("SELECT count(*) FROM audit_entries WHERE did = 'number.read'") == 0


async def test_erased_suspended_and_not_shipped_yet(world: World, gateway: Receiver) -> None:
    early = await bound(world, "early", order_status="waybill_issued")
    assert (await text(world, early, role="merchant")).code == "order_not_shipped"
    assert (await text(world, early)).status == 201
    token = await bound(world, recipient_phone=OTHER_PHONE)
    await world.patch("/v1/merchants/m1", {"state": "suspended"})
    assert (await text(world, token)).code == "merchant_suspended"
    await world.patch("/v1/merchants/m1", {"state": "active"})
    await world.owner.execute("UPDATE bindings SET recipient = NULL, recipient_hash = NULL")
    assert (await text(world, token)).code == "recipient_erased"
    assert len(gateway.got) == 1


@pytest.mark.parametrize(
    ("no", "sent"),
    [
        ({"merchant_id": "m1"}, False),
        ({}, False),
        ({"scope": "everything"}, False),
        ({"merchant_id": "m2"}, True),
    ],
)
async def test_whoever_opted_out_gets_no_text(world: World, gateway: Receiver, no: dict[str, Any], sent: bool) -> None:
    token = await bound(world)
    body = {"phone": PHONE} | no
    assert (await world.call("PUT", "/v1/recipients/opt-out", body)).status == 200
    reply = await text(world, token)
    assert reply.code == (None if sent else "recipient_opted_out")
    assert len(gateway.got) == sent
    assert (await world.call("DELETE", "/v1/recipients/opt-out", body)).status == 200
    assert (await text(world, token, template_id="arrived")).status == 201


@pytest.mark.parametrize("status", [400, 500, 302])
async def test_a_gateway_that_refuses(world: World, gateway: Receiver, status: int) -> None:
    gateway.answer = lambda _: status
    reply = await text(world, await bound(world))
    assert (reply.status, reply.body["state"], reply.body["failure"]) == (201, "failed", f"status {status}")


async def test_what_the_gateway_says_goes_to_nobody(world: World, gateway: Receiver) -> None:
    gateway.reply = lambda got: {"sent_to": got.body["phone"]}
    reply = await text(world, await bound(world))
    assert PHONE.encode() not in reply.raw


async def test_a_repeat_sends_nothing_again(world: World, gateway: Receiver) -> None:
    token = await bound(world)
    mine = "0199b2a4-3600-4000-8000-5c1f9e0a7d42"
    first = [await text(world, token, key="k") for _ in range(2)]
    second = [await text(world, token, message_id=mine) for _ in range(2)]
    at_once = await asyncio.gather(*(text(world, token, message_id=NOWHERE) for _ in range(5)))
    assert [reply.status for reply in (*first, *second, *at_once)] == [201] * 9
    assert first[0].body == first[1].body
    assert second[0].body == second[1].body
    assert second[0].body["message_id"] == mine
    assert len(gateway.got) == 3
    other = await text(world, token, message_id=mine, params={"order": "o2"})
    assert (other.status, other.code) == (409, "message_conflict")
    foreign = await text(world, token, message_id=mine, merchant_id="m2", role="platform")
    assert foreign.code == "message_conflict"


async def test_a_tied_key_texts_for_its_own_merchants(world: World, gateway: Receiver) -> None:
    token = await bound(world)
    own = await world.key_of("merchant", merchants=["m1"])
    other = await world.key_of("isv", merchants=["m2"])
    sent = await text(world, token, role=own)
    assert (sent.status, sent.body["state"]) == (201, "sent")
    path = f"/v1/messages/{sent.body['message_id']}"
    assert (await world.get(path, role=own)).body == sent.body
    assert (await world.get(path, role=other)).code == "message_not_found"
    assert (await text(world, token, role=other)).code == "merchant_not_found"
    assert (await text(world, token, role=other, merchant_id="m2")).code == "recipient_token_invalid"
    mine = sent.body["message_id"]
    assert (await text(world, token, role=own, message_id=mine)).body == sent.body
    assert len(gateway.got) == 1


async def policy(world: World, merchant: str = "m1", **fields: int | None) -> None:
    assert (await world.call("PUT", f"/v1/merchants/{merchant}/call-policy", fields)).status == 200


async def codes(world: World, *sent: tuple[str, str]) -> list[str | None]:
    """Of texts of (merchant, token)."""
    return [(await text(world, token, merchant_id=merchant)).code for merchant, token in sent]


async def test_a_recipient_gets_so_many_texts_of_a_merchant(world: World, gateway: Receiver) -> None:
    """On whatever order of his, by whichever key; another merchant's and another recipient's are not counted."""
    await policy(world, texts_per_hour=2, texts_per_day=3)
    one, two = await bound(world), await bound(world, "o2")
    other = await bound(world, "other", recipient_phone=OTHER_PHONE)
    of_m2 = await bound(world, "o1", merchant_id="m2")
    assert await codes(world, ("m1", one), ("m1", two), ("m1", one)) == [None, None, "texts_capped"]
    assert await codes(world, ("m1", other), ("m2", of_m2)) == [None, None]
    assert len(gateway.got) == 4
    world.advance(hours=1)
    assert await codes(world, ("m1", two), ("m1", two)) == [None, "texts_capped"]
    world.advance(hours=23)
    assert await codes(world, ("m1", two)) == [None]
    await policy(world, texts_per_hour=None, texts_per_day=None)
    assert await codes(world, *[("m1", one)] * 7) == [None] * 7
    assert await world.rows("messages") == len(gateway.got) == 13, "nothing is left of what was refused"


async def test_by_default_there_is_a_cap(world: World) -> None:
    token = await bound(world)
    assert await codes(world, *[("m1", token)] * 6) == [None] * 5 + ["texts_capped"]


async def test_all_merchants_together_are_capped_too(open_world: OpenWorld, gateway: Receiver, tmp_path: Path) -> None:
    capped = Policy(calls=PlatformPolicy(all_texts_per_hour=2, all_texts_per_day=3, texts_per_hour=None))
    async with open_world(**texts_by(gateway, tmp_path), policy=capped) as world:
        await world.stock()
        await world.post("/v1/message-templates", TEMPLATE)
        one, two = ("m1", await bound(world)), ("m2", await bound(world, merchant_id="m2"))
        assert await codes(world, one, two, one, two) == [None, None, "texts_capped", "texts_capped"]
        world.advance(hours=1)
        assert await codes(world, two, one) == [None, "texts_capped"]


async def test_a_repeat_counts_once_and_a_refused_one_may_be_sent_later(world: World, gateway: Receiver) -> None:
    await policy(world, texts_per_hour=1)
    token = await bound(world)
    ids = [str(UUID(int=n)) for n in (1, 2)]
    for _ in range(2):
        assert (await text(world, token, key="a", message_id=ids[0])).status == 201
        assert (await text(world, token, message_id=ids[0])).status == 201
        refused = await text(world, token, key="b", message_id=ids[1])
        assert (refused.status, refused.code) == (403, "texts_capped")
    world.advance(hours=1)
    assert (await text(world, token, key="b", message_id=ids[1])).body["state"] == "sent"
    assert len(gateway.got) == 2


async def test_texts_at_once_are_counted_one_after_the_other(world: World, gateway: Receiver) -> None:
    await policy(world, texts_per_hour=3)
    token = await bound(world)
    replies = await asyncio.gather(*(text(world, token) for _ in range(12)))
    assert sorted(reply.status for reply in replies) == [201] * 3 + [403] * 9
    assert len(gateway.got) == 3


async def test_counted_texts_are_forgotten(world: World) -> None:
    await text(world, await bound(world))
    await text(world, await bound(world, "o2", recipient_phone=OTHER_PHONE))
    erased = await world.post("/v1/recipients/erase", {"phone": OTHER_PHONE, "reason": "asked"}, role="admin")
    assert (erased.status, await world.rows("texted")) == (200, 1)
    world.advance(days=2, seconds=1)
    await world.engine.care.tend()
    assert await world.rows("texted") == 0


async def test_templates(world: World) -> None:
    again = await world.post("/v1/message-templates", TEMPLATE)
    assert (again.status, again.code) == (409, "template_exists")
    for body in ({"text": "{Bad}"}, {"text": "a\nb"}):
        reply = await world.post("/v1/message-templates", TEMPLATE | {"template_id": "t2"} | body)
        assert (reply.status, reply.code) == (422, "message_invalid")
    for body in ({"purpose": "marketing"}, {"template_id": "T 2"}, {"text": "x" * 501}, {"text": ""}):
        assert (await world.post("/v1/message-templates", TEMPLATE | {"template_id": "t2"} | body)).status == 400
    own = await world.key_of("merchant", merchants=["m1"])
    (listed,) = (await world.get("/v1/message-templates", role=own)).body["templates"]
    assert listed == TEMPLATE | {"allow_links": False, "allow_phones": False, "created_at": "2026-10-05T04:00:00Z"}
    assert (await world.call("DELETE", "/v1/message-templates/arrived", {})).status == 200
    assert (await world.call("DELETE", "/v1/message-templates/arrived", {})).code == "template_not_found"
    assert (await text(world, await bound(world))).code == "template_not_found"
    assert (await world.post("/v1/message-templates", TEMPLATE)).code == "template_exists"


@pytest.mark.parametrize("text", ["x", NOWHERE])
async def test_what_is_no_message(world: World, text: str) -> None:
    assert (await world.get(f"/v1/messages/{text}")).code == "message_not_found"


async def test_without_a_gateway_nothing_is_sent(open_world: OpenWorld) -> None:
    async with open_world() as world:
        await world.stock()
        await world.post("/v1/message-templates", TEMPLATE)
        reply = await text(world, await bound(world))
        assert (reply.status, reply.code) == (501, "sms_not_configured")
