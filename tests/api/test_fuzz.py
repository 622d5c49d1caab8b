"""Requests that nobody would think of: made of the API's description, answered as it says."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fuzzing import fuzz

from .conftest import HOST, OpenWorld, World, record

EXAMPLES = int(os.environ.get("FUZZ", "6"))
"""Generated requests an operation, beside those of the corners of its schema."""

SEED = int(os.environ.get("FUZZ_SEED", "1"))


@pytest.fixture
async def stocked(open_world: OpenWorld) -> AsyncIterator[tuple[World, dict[str, list[object]]]]:
    """A world in which there is one of everything, and the names of it."""
    async with open_world() as world:
        yield world, await stock(world)


async def stock(world: World) -> dict[str, list[object]]:
    await world.stock(hosts=3)
    bindings = [(await world.bind(f"o{n}", recipient_phone=f"0571-1234567{n}")).body for n in range(4)]
    first = bindings[0]
    records = [
        record("c1", first["extension"], host=first["host"]),
        record("c1", first["extension"], host=first["host"], release_time="2026-10-05T12:09:00+08:00"),
        record("c2", first["extension"], host=first["host"]),
        record("c3", "0000"),
    ]
    for one in records:
        await world.post("/v1/calls/records", {"items": [one]}, role="switch")
    await world.post("/v1/calls/c2/disputes", {"reason": "too long"}, role="finance")
    await world.post(f"/v1/bindings/{bindings[1]['binding_id']}/release", {"reason": "signed"})
    world.advance(days=29)
    assert (await world.post("/v1/invoices/close", {"period": "2026-10"}, role="finance")).status == 200
    (invoice,) = (await world.get("/v1/invoices?merchant_id=m1", role="finance")).body["invoices"]
    note = {"reason": "cut off", "lines": [{"call_id": "c1", "amount": "-0.01"}]}
    made = await world.post(f"/v1/invoices/{invoice['number']}/notes", note, role="finance")
    assert made.status == 201, made.body
    reviews = (await world.get("/v1/calls/reviews", role="finance")).body["reviews"]
    disputes = (await world.get("/v1/disputes", role="finance")).body["disputes"]
    return {
        "merchant_id": ["m1", "m2", "nobody"],
        "order_id": ["o0", "o1", "o2", "o9"],
        "binding_id": [one["binding_id"] for one in bindings],
        "host": [HOST, first["host"], "18400000000"],
        "call_id": ["c1", "c2", "c9"],
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


@pytest.mark.timeout(3600)
async def test_every_request_is_answered_as_described(stocked: tuple[World, dict[str, list[object]]]) -> None:
    world, names = stocked
    keys = {role: [key] for role, key in world.keys.items()}
    for role in ("merchant", "isv", "finance"):
        keys[role].append(await world.key_of(role, merchants=("m1",)))
    keys["courier"].append(await world.key_of("courier", carrier="SF"))
    document: dict[str, Any] = json.loads((await world.get("/openapi.json", role=None)).raw)
    long = "FUZZ" in os.environ
    tally = await asyncio.to_thread(fuzz, world.url, document, keys, names, examples=EXAMPLES, seed=SEED, progress=long)
    print(f"\n{tally}")
    assert tally.failures == {}, tally
    assert tally.errors == [], tally
    assert not any(status >= 500 for status in tally.by_status), tally
    unmet = [name for name, seen in tally.by_operation.items() if not any(status < 300 for status in seen)]
    print("never done:", unmet)
