"""Requests that nobody would think of: made of the API's description, answered as it says."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fuzzing import Tally, fuzz
from tests.receiver import Receiver

from .conftest import HOST, OpenWorld, World, record, texts_by

EXAMPLES = int(os.environ.get("FUZZ", "6"))
"""Generated requests an operation, beside those of the corners of its schema."""

SEED = int(os.environ.get("FUZZ_SEED", "1"))


Stocked = tuple[World, dict[str, list[object]]]


@pytest.fixture
async def stocked(open_world: OpenWorld, gateway: Receiver, tmp_path: Path) -> AsyncIterator[Stocked]:
    """A world in which there is one of everything, and the names of it. Texts go to a gateway of its own."""
    async with open_world(**texts_by(gateway, tmp_path)) as world:
        await world.engine.dial_taker.bell.close()  # who asks for orders is answered at once: nobody makes any
        yield world, await stock(world)


async def stock(world: World) -> dict[str, list[object]]:
    await world.stock(hosts=3, merchants=("shop-1", "shop-2"))
    bindings = [
        (await world.bind(f"A100{n}", merchant_id="shop-1", recipient_phone=f"0571-1234567{n}")).body for n in range(4)
    ]
    first = bindings[0]
    records = [
        record("c-1", first["extension"], host=first["host"]),
        record("c-1", first["extension"], host=first["host"], release_time="2026-10-05T12:09:00+08:00"),
        record("c-2", first["extension"], host=first["host"]),
        record("c-3", "0000"),
    ]
    for one in records:
        await world.post("/v1/calls/records", {"items": [one]}, role="switch")
    await world.post("/v1/calls/c-2/disputes", {"reason": "too long"}, role="finance")
    await world.post(f"/v1/bindings/{bindings[1]['binding_id']}/release", {"reason": "signed"})
    world.advance(days=29)
    assert (await world.post("/v1/invoices/close", {"period": "2026-10"}, role="finance")).status == 200
    (invoice,) = (await world.get("/v1/invoices?merchant_id=shop-1", role="finance")).body["invoices"]
    note = {"reason": "cut off", "lines": [{"call_id": "c-1", "amount": "-0.01"}]}
    made = await world.post(f"/v1/invoices/{invoice['number']}/notes", note, role="finance")
    assert made.status == 201, made.body
    reviews = (await world.get("/v1/calls/reviews", role="finance")).body["reviews"]
    disputes = (await world.get("/v1/disputes", role="finance")).body["disputes"]
    return await _newer(world) | {
        "merchant_id": ["shop-1", "shop-2", "nobody"],
        "order_id": ["A1000", "A1001", "A1002", "A1009"],
        "binding_id": [one["binding_id"] for one in bindings],
        "host": [HOST, first["host"], *(f"1840000000{n}" for n in range(10))],
        "call_id": ["c-1", "c-2", "c-9"],
        "period": ["2026-10", "2026-11", "2026-09"],
        "invoice_id": [invoice["number"]],
        "note_number": [made.body["number"]],
        "review_id": [one["review_id"] for one in reviews],
        "dispute_id": [str(one["dispute_id"]) for one in disputes],
        "tariff_id": ["default", "other"],
        "recipient_phone": ["0571-12345670", "0571-12345679"],
        "caller": ["02112345678", "anonymous"],
        "order_status": ["shipped", "waybill_issued"],
    }


async def _newer(world: World) -> dict[str, list[object]]:
    """A caller, a listing, a subscription, a template and a text; and their names."""
    agent = {"phone": "0571-87650001", "class": "merchant_agent", "merchant_id": "shop-1"}
    listed = {"phone": "0571-87650002", "direction": "caller", "merchant_id": "shop-1"}
    hook = {"url": "https://shop.example.com/hook", "events": ["binding.released"], "merchant_id": "shop-1"}
    template = {"template_id": "arrived", "text": "Parcel of {order} is here.", "purpose": "delivery"}
    made = {
        path: (await world.post(f"/v1/{path}", body)).body
        for path, body in {
            "callers": agent,
            "blacklist": listed,
            "webhooks": hook,
            "message-templates": template,
        }.items()
    }
    bound = (await world.bind("A1100", merchant_id="shop-1")).body
    text = {"merchant_id": "shop-1", "recipient_token": bound["recipient_token"], "template_id": "arrived"}
    sent = (await world.post("/v1/messages", text | {"params": {"order": "A1000"}})).body
    return {
        "caller_id": [made["callers"]["caller_id"]],
        "blacklist_id": [made["blacklist"]["blacklist_id"]],
        "webhook_id": [made["webhooks"]["webhook_id"]],
        "template_id": ["arrived", "other"],
        "recipient_token": [bound["recipient_token"]],
        "message_id": [sent["message_id"]],
    }


async def sent(stocked: Stocked, document: dict[str, Any], **options: Any) -> Tally:
    """With keys of all roles, tied and not."""
    world, names = stocked
    keys = {role: [key] for role, key in world.keys.items()}
    for role in ("merchant", "isv", "finance"):
        keys[role].append(await world.key_of(role, merchants=("shop-1",)))
    keys["courier"].append(await world.key_of("courier", carrier="SF"))
    return await asyncio.to_thread(fuzz, world.url, document, keys, names, seed=SEED, **options)


async def described(world: World) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((await world.get("/openapi.json", role=None)).raw)
    return document


@pytest.mark.timeout(3600)
async def test_every_request_is_answered_as_described(stocked: Stocked) -> None:
    tally = await sent(stocked, await described(stocked[0]), examples=EXAMPLES, progress="FUZZ" in os.environ)
    print(f"\n{tally}")
    assert tally.failures == {}, tally
    assert tally.errors == [], tally
    assert not any(status >= 500 for status in tally.by_status), tally
    assert tally.requests >= 20_000 or "FUZZ" not in os.environ, tally


async def test_a_description_that_is_not_true_is_found(stocked: Stocked) -> None:
    """Else the test above could not fail."""
    document = await described(stocked[0])
    paths = {path: document["paths"][path] for path in ("/healthz", "/v1/calls/route", "/v1/pool", "/v1/hosts")}
    schemas = document["components"]["schemas"]
    schemas["Alive"]["properties"]["status"] = {"type": "integer"}
    del schemas["HostUse"]["properties"]["free"]
    schemas["HostUse"]["required"].remove("free")
    paths["/v1/calls/route"]["post"]["x-codes-within"] = []
    del paths["/v1/hosts"]["post"]["responses"]["400"]
    tally = await sent(stocked, document | {"paths": paths}, examples=4)
    found = {tuple(failure.split(" ")[1:3]) for failure in tally.failures}
    assert {
        ("/healthz", "response_schema_conformance"),
        ("/v1/calls/route", "declared_codes"),
        ("/v1/pool", "response_schema_conformance"),
        ("/v1/hosts", "status_code_conformance"),
    } <= found
