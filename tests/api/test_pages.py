"""Lists that grow are answered in pages: `next` of one is `after` of the next, and nothing stands twice or is lost."""

from typing import Any
from unittest.mock import MagicMock

import pytest
from msgspec import inspect

from vnum.api.app import endpoints
from vnum.api.openapi.schemas import fields_of

from .conftest import HOST, World
from .test_tariffs import SIXES

WHOLE = {
    "/v1/bindings": "one order has one binding",
    "/v1/bills/daily": "page_no and page_size, as finance people know them",
    "/v1/calls/marks": "a count of each mark",
    "/v1/calls/{call_id}": "the tries, states and disputes of one call",
    "/v1/invoices/{invoice_id}": "the lines of one invoice",
    "/v1/labels/{merchant_id}/{order_id}": "the parcels of one order",
    "/v1/notes/{note_number}": "the lines of one note",
    "/v1/waybills/{carrier}/{waybill_no}": "the orders of one parcel",
    "/v1/invoices/{invoice_id}/notes": "few people correct one invoice often",
    "/v1/merchants/{merchant_id}/tariffs": "a merchant changes his tariff now and then",
    "/v1/orders/{merchant_id}/{order_id}/parcels": "the parcels of one order",
    "/v1/pool": "the operator's overview sums up all hosts",
    "/v1/usage/daily": "92 dates at most",
    "/v1/webhooks/{webhook_id}": "the events of one subscription",
    "/v1/retention": "the months that are kept",
    "/v1/keys/{key_id}": "the secrets of one key, two at most",
}
"""Lists without a cursor, and why they need none."""


def test_every_list_has_a_cursor_or_a_reason() -> None:
    lacking = []
    for endpoint in endpoints(MagicMock()):
        if endpoint.method != "GET" or endpoint.told is None or endpoint.told.gives is None:
            continue
        given = fields_of(endpoint.told.gives)
        taken = {field.encode_name for field in fields_of(endpoint.takes)}
        lists = any(isinstance(field.type, inspect.ListType) for field in given)
        paged = "next" in {field.encode_name for field in given} and "after" in taken
        if lists and not paged and endpoint.path not in WHOLE:
            lacking.append(endpoint.path)
    assert lacking == [], "give it `after` and `next`, or a reason in the table above"


async def pages(world: World, path: str, name: str, role: str) -> list[list[Any]]:
    found, after = [], ""
    while True:
        reply = await world.get(f"{path}{after}", role=role)
        assert reply.status == 200, reply.body
        found.append(reply.body[name])
        if "next" not in reply.body:
            return found
        after = f"?after={reply.body['next']}"


async def test_hosts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vnum.api.hosts.PAGE", 2)
    for count in (1, 2, 5):
        for n in range(count):
            await world.post("/v1/hosts", {"host": str(int(HOST) + n)}, role="admin")
        found = await pages(world, "/v1/hosts", "hosts", "admin")
        assert [len(page) for page in found] == {1: [1], 2: [2], 5: [2, 2, 1]}[count]
        assert [host["host"] for page in found for host in page] == [str(int(HOST) + n) for n in range(count)]


async def test_tariffs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vnum.api.tariffs.PAGE", 2)
    for day in (1, 2, 3):
        new = SIXES | {"tariff_id": "a:b", "effective_from": f"2026-12-0{day}T00:00:00+08:00"}
        assert (await world.post("/v1/tariffs", new, role="finance")).status == 201
    found = await pages(world, "/v1/tariffs", "tariffs", "finance")
    versions = [[(one["tariff_id"], one["version"]) for one in page] for page in found]
    assert versions == [[("a:b", 1), ("a:b", 2)], [("a:b", 3), ("default", 1)]]
    for wrong in ("x", "a:", ":x", "a:-1"):
        reply = await world.get(f"/v1/tariffs?after={wrong}", role="finance")
        assert (reply.status, reply.code) == (400, "invalid_request"), wrong
