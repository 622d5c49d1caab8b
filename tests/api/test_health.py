"""Ready or not; and an API that stands while what is behind it falls."""

import asyncio
from typing import Any

import pytest

from vnum.api import app as app_module
from vnum.service import keys as keys_service
from vnum.service.care import Care

from .conftest import HOST, OpenWorld, World

NOWHERE = "unix:///nonexistent/valkey.sock"


async def test_ready(world: World) -> None:
    assert (await world.get("/healthz", role=None)).body == {"status": "ok"}
    reply = await world.get("/readyz", role=None)
    assert reply.status == 200
    assert reply.body == {"status": "ready", "postgres": "up", "migrated": True, "redis": "up"}


async def test_ready_without_redis_and_binding_goes_on(open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world:
        await world.stock()
        monkeypatch.setattr(world.engine.pool._redis.connection_pool, "get_connection", refused)
        reply = await world.get("/readyz", role=None)
        assert (reply.status, reply.body["redis"]) == (200, "down")
        assert (await world.bind()).status == 201
        assert (await world.get("/v1/pool", role="admin")).body["redis"] == "down"
        monkeypatch.undo()


async def refused(*_: object, **__: object) -> None:
    raise ConnectionRefusedError


async def test_not_ready_until_migrated(world: World) -> None:
    await world.owner.execute("DELETE FROM migrations WHERE name LIKE 'vnum/%'")
    reply = await world.get("/readyz", role=None)
    assert (reply.status, reply.code, reply.body["migrated"]) == (503, "store_unavailable", False)


async def test_without_postgresql(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.stock()
    made = (await world.bind()).body
    ask = {"call_id": "c", "caller": "13712345678", "host": HOST, "digits": made["extension"]}
    assert (await world.post("/v1/calls/route", ask, role="switch")).body["action"] == "connect"
    await world.engine.database.close()
    reply = await world.get("/readyz", role=None)
    assert (reply.status, reply.body["postgres"]) == (503, "down")
    assert (await world.get("/healthz", role=None)).status == 200
    monkeypatch.setattr(keys_service, "FRESH_S", -1.0)  # a key that was good a moment ago is still believed
    for reply in (
        await world.bind("o2"),
        await world.get(f"/v1/bindings/{made['binding_id']}"),
        await world.post("/v1/bindings", {}, key="k"),
    ):
        assert (reply.status, reply.code) == (503, "store_unavailable"), reply.body
    decision = await world.post("/v1/calls/route", ask, role="switch")
    assert (decision.status, decision.body["action"], decision.body["cause"]) == (200, "reject", 41)
    unseen = await world.get("/v1/hosts", role=f"vk_{'0' * 12}_{'0' * 40}")
    assert (unseen.status, unseen.code) == (503, "store_unavailable")


async def test_the_pool_is_tended_whatever_happens(open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []
    thrice = asyncio.Event()

    async def tend(_: Any) -> None:
        rounds.append(len(rounds))
        if len(rounds) == 3:
            thrice.set()
        raise RuntimeError("13812345678")

    monkeypatch.setattr(Care, "tend", tend)
    monkeypatch.setattr(app_module, "TEND_S", 0.0)
    async with open_world(), asyncio.timeout(10):
        await thrice.wait()
    ended = len(rounds)
    await asyncio.sleep(0)
    assert len(rounds) == ended


async def test_a_load_balancer_may_ask_for_the_head_only(world: World) -> None:
    for path in ("/healthz", "/readyz"):
        async with world.session.head(f"{world.url}{path}") as response:
            assert (response.status, await response.read()) == (200, b"")
