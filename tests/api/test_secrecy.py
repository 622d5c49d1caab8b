"""A real number leaves only towards the switch; it is in no log, and in PostgreSQL only as ciphertext."""

import asyncio
import logging
from typing import Any

import pytest

from vnum.service.dialled import Slots
from vnum.store import bindings as stored

from .conftest import CALLER, HOST, OTHER_PHONE, PHONE, World, order, record

NAME = "张三丰"
SECRETS = (PHONE, OTHER_PHONE, CALLER, "02112345678", "2112345678", NAME)


async def test_no_phone_and_no_key_in_answers_logs_and_tables(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = await many_requests(world, monkeypatch)
    logged = "".join(capfd.readouterr()) + caplog.text
    assert "internal_error" in logged
    assert "vnum.http" in {line.name for line in caplog.records}
    assert "route_failed_closed" in logged
    for secret in (*SECRETS, *world.keys.values(), *(text.split("_")[2] for text in world.keys.values())):
        assert secret not in logged
        assert not [answer for answer in answers if secret in answer], secret
    tables = await world.owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    for (table,) in tables:
        rows = await world.owner.fetch(f"SELECT t::text AS row FROM {table} t")
        for row in rows:
            assert not [secret for secret in SECRETS if secret in row["row"]], table
            assert not [secret for secret in SECRETS if secret.encode().hex() in row["row"]], table


async def looked_at(world: World) -> list[str]:
    """The records that were not taken, decisions of them, and the calls, by everyone who may see them."""
    answers: list[str] = []
    kept = await world.get("/v1/calls/reviews", role="finance")
    assert len(kept.body["reviews"]) == 4
    answers.append(kept.raw.decode())
    for review in kept.body["reviews"]:
        for decision in ("accept", "retry", "discard"):
            for reason in (f"he is {PHONE}", PHONE[:3] + " " + PHONE[3:], "seen"):
                body = {"decision": decision, "reason": reason}
                reply = await world.post(f"/v1/calls/reviews/{review['review_id']}", body, role="finance")
                answers.append(reply.raw.decode())
    paths = (
        "/v1/calls/reviews?state=discarded",
        "/v1/calls/reviews?state=accepted",
        "/v1/calls/reviews?state=replaced",
        "/v1/calls?merchant_id=m1&from=2026-10-01T00:00:00Z&to=2026-11-01T00:00:00Z",
        f"/v1/calls?merchant_id=m1&from={PHONE}&to=x",
        f"/v1/calls/reviews?code={PHONE}",
        f"/v1/calls/reviews?state={PHONE}",
    )
    answers += [(await world.get(path, role="admin")).raw.decode() for path in paths]
    assert "replaced" in answers[-5]
    for reason in (f"mine is {PHONE}", "not me"):
        reply = await world.post("/v1/calls/c1/disputes", {"reason": reason}, role="merchant")
        answers.append(reply.raw.decode())
    answers.append((await world.get("/v1/disputes", role="merchant")).raw.decode())
    return answers


async def unparsable(world: World) -> None:
    """What aiohttp itself refuses, or hears broken off."""
    host, port = world.url.removeprefix("http://").split(":")
    head = f"POST /v1/bindings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.keys['platform']}\r\n"
    for text in (
        f"GET /{PHONE} {PHONE}\r\n\r\n",
        f"POST / HTTP/1.1\r\nHost: x\r\n{PHONE} {PHONE}\r\n\r\n",
        f"{head}Transfer-Encoding: chunked\r\n\r\n{PHONE}x\r\n",
        f"{head}Content-Length: 2000\r\n\r\n{PHONE}",
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(text.encode())
        writer.write_eof()
        await reader.read()
        writer.close()


async def many_requests(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Good ones and failing ones; the texts of all answers but the connect."""
    answers: list[str] = []

    async def say(path: str, body: Any, role: str = "platform", key: str | None = None) -> Any:
        reply = await world.post(path, body, role=role, key=key)
        answers.append(reply.raw.decode())
        return reply.body

    await world.stock()
    await say("/v1/bindings", order(), role="13812345678")
    made = await say("/v1/bindings", order(recipient_name=NAME), key="k1")
    await say("/v1/bindings", order(recipient_phone=OTHER_PHONE))
    await say("/v1/bindings", order("o2", recipient_phone="021-12345678-801"))
    for field in ("order_status", "mode", "ttl_days", "city_strict", "parcels", PHONE):
        await say("/v1/bindings", order("o3", **{field: PHONE}))
    await say("/v1/bindings", order("o3", recipient_phone=PHONE + "0"))
    await say("/v1/bindings", order("o3", recipient_phone=OTHER_PHONE, merchant_id="nobody"))
    await say(
        "/v1/bindings/batch", {"items": [order("o4"), PHONE, {"recipient_phone": PHONE}, order("o5", mode=PHONE)]}
    )
    await say("/v1/labels/current", {"items": [{"merchant_id": "m1", "order_id": "o1"}, {PHONE: 1}]}, "courier")
    ask = {"call_id": "c1", "caller": CALLER, "host": HOST}
    await say("/v1/calls/route", ask, "switch", "k")
    reply = await world.post("/v1/calls/route", ask | {"digits": made["extension"]}, role="switch", key="k2")
    assert reply.body["callee"] == f"+86{PHONE}"
    world.advance(hours=1)
    good = record("c1", made["extension"])
    await say("/v1/calls/records", {"items": [good, good | {"caller": PHONE}, {"caller": CALLER}, CALLER]}, "switch")
    await say("/v1/calls/records", {"items": [good | {"caller": f"{CALLER}x"}]}, "switch", "k")
    answers += await looked_at(world)
    await unparsable(world)
    async with world.session.get(f"{world.url}/v1/bindings?merchant_id=m1&order_id=o1&phone={PHONE}") as unauthorized:
        answers.append(await unauthorized.text())
    answers.append((await world.get(f"/v1/bindings?merchant_id=m1&order_id=o1&phone={PHONE}")).raw.decode())
    await say("/v1/merchants", {"merchant_id": "m4", "name": "x", "service_number": PHONE + "123"})

    async def broken(*values: object) -> None:
        raise RuntimeError(f"{values} {PHONE}")

    with monkeypatch.context() as patch:
        patch.setattr(stored, "before_bind", broken)
        patch.setattr(Slots, "look_up", broken)
        await say("/v1/bindings", order("o9"))
        await say("/v1/bindings/batch", {"items": [order("o9")]})
        await say("/v1/calls/route", ask | {"digits": made["extension"]}, "switch")
    return answers
