"""A world behind HTTP: a schema of its own, an engine, the app on a free port, and a key of every role."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import asyncpg
import pytest
from yarl import URL

from tests.receiver import Receiver, receiving
from vnum.api.server import serve
from vnum.engine import Engine, Parts, open_engine
from vnum.service.clock import ManualClock
from vnum.service.keys import Role
from vnum.store.migrate import drop, migrate

START = datetime(2026, 10, 5, 4, tzinfo=UTC)
HOST = "18400913965"
PHONE = "13812345678"
OTHER_PHONE = "13912345678"
CALLER = "13712345678"
_numbers = count(1)


class Servers(Protocol):
    postgres_dsn: str
    postgres_admin_dsn: str
    redis_url: str


@dataclass(slots=True)
class Reply:
    """What came back; `body` decoded if it is JSON."""

    status: int
    body: Any
    headers: Any
    raw: bytes

    @property
    def code(self) -> str | None:
        return self.body.get("code") if isinstance(self.body, dict) else None


@dataclass(slots=True)
class World:
    """Requests as text, answers as values."""

    engine: Engine
    clock: Any
    session: aiohttp.ClientSession
    url: str
    owner: Any
    parts: Parts
    keys: dict[str, str] = field(default_factory=dict)
    isvs: list[str] = field(default_factory=list)
    """Ids of isv keys: merchants in stock grant each of them."""

    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        role: str | None = "platform",
        key: str | None = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        encoded: bool = False,
    ) -> Reply:
        """`encoded` = the path is sent as it is written here."""
        sent = dict(headers or {})
        if role is not None:
            sent.setdefault("Authorization", f"Bearer {self.keys.get(role, role)}")
        if key is not None:
            sent["Idempotency-Key"] = key
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method,
            URL(self.url + path, encoded=True) if encoded else self.url + path,
            json=json,
            data=data,
            headers=sent,
        ) as response:
            raw = await response.read()
            body: Any = raw
            if "json" in response.content_type:
                body = await response.json(content_type=None)
            elif response.content_type.startswith("text/"):
                body = raw.decode()
            return Reply(response.status, body, response.headers, raw)

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.call("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> Reply:
        return await self.call("POST", path, json, **options)

    async def patch(self, path: str, json: Any = None, **options: Any) -> Reply:
        return await self.call("PATCH", path, json, **options)

    async def bind(self, order_id: str = "o1", **more: Any) -> Reply:
        return await self.post("/v1/bindings", order(order_id, **more))

    async def key_of(self, role: str, **tie: Any) -> str:
        """A fresh key of a role, tied as said; an isv's with the grants of all merchants there are."""
        made = await self.engine.keys.make(Role(role), **tie)
        if role == "isv":
            self.isvs.append(made.key_id)
            for row in await self.owner.fetch("SELECT merchant_id FROM merchants"):
                await self.engine.grants.give(row["merchant_id"], made.key_id)
        return made.text

    async def stock(self, hosts: int = 1, merchants: tuple[str, ...] = ("m1", "m2")) -> None:
        """Registers merchants and hosts, through the API."""
        for merchant in merchants:
            assert (await self.post("/v1/merchants", {"merchant_id": merchant, "name": merchant})).status == 201
            for isv in self.isvs:
                assert (await self.call("PUT", f"/v1/merchants/{merchant}/grants/{isv}")).status == 200
        for n in range(hosts):
            new = {"host": str(int(HOST) + n), "city": "杭州"}
            assert (await self.post("/v1/hosts", new, role="admin")).status == 201

    def advance(self, **by: float) -> None:
        self.clock.instant += timedelta(**by)

    async def rows(self, table: str) -> int:
        found: int = await self.owner.fetchval(f"SELECT count(*) FROM {table}")
        return found


def order(order_id: str = "o1", **more: Any) -> dict[str, Any]:
    """A request for a binding that is right in every way."""
    request = {
        "merchant_id": "m1",
        "order_id": order_id,
        "recipient_phone": PHONE,
        "order_status": "shipped",
    }
    return request | more


def record(call_id: str, extension: str, **more: Any) -> dict[str, Any]:
    """A call of 61 seconds, a minute after START."""
    call = {
        "call_id": call_id,
        "host": HOST,
        "extension": extension,
        "caller": CALLER,
        "call_time": "2026-10-05T12:01:00+08:00",
        "answer_time": "2026-10-05T12:01:10+08:00",
        "release_time": "2026-10-05T12:02:11+08:00",
    }
    return call | more


SET_BY_HAND = ManualClock(START)
"""A clock of the world's own; None = PostgreSQL's."""

OpenWorld = Callable[..., Any]


@asynccontextmanager
async def opened_world(
    endpoints: Servers, folder: Path, clock: ManualClock | None = SET_BY_HAND, **parts: Any
) -> AsyncIterator[World]:
    """A world with an empty schema, at START (clock None = PostgreSQL's); options are those of Parts."""
    schema = f"api_{next(_numbers)}_{folder.name.replace('-', '_').lower()[-20:]}"
    await migrate(endpoints.postgres_admin_dsn, schema)
    clock = ManualClock(START) if clock is SET_BY_HAND else clock
    settings = {
        "postgres_dsn": endpoints.postgres_dsn,
        "redis_url": endpoints.redis_url,
        "key_file": folder / "master.key",
        "schema": schema,
        "postgres_connections": 4,
    }
    async with AsyncExitStack() as stack:
        stack.push_async_callback(drop, endpoints.postgres_admin_dsn, schema)
        owner = await asyncpg.connect(endpoints.postgres_admin_dsn, server_settings={"search_path": schema})
        stack.push_async_callback(owner.close)
        made_of = Parts(**(settings | parts))
        engine = await stack.enter_async_context(open_engine(made_of, clock=clock))
        stack.push_async_callback(engine.pool.drop)
        serving = await stack.enter_async_context(serve(engine))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        world = World(engine, clock, session, serving.url, owner, made_of)
        for role in Role:
            world.keys[role.value] = await world.key_of(role)
        yield world


@asynccontextmanager
async def beside(world: World) -> AsyncIterator[World]:
    """Another worker on the same schema, with connections and memories of its own; its keys are the same."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(world.parts, clock=world.clock))
        serving = await stack.enter_async_context(serve(engine))
        yield replace(world, engine=engine, url=serving.url)


def texts_by(gateway: Receiver, folder: Path) -> dict[str, Any]:
    """Options of Parts with which texts leave through that gateway."""
    key = folder / "gateway.key"
    key.touch(0o600)
    key.write_text("g-secret\n")
    return {"sms_gateway_url": gateway.url, "sms_gateway_key_file": key}


@pytest.fixture
async def gateway() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture
def open_world(endpoints: Servers, tmp_path: Path) -> OpenWorld:
    """`async with open_world(...)`: options are those of Parts."""
    return partial(opened_world, endpoints, tmp_path)


@pytest.fixture
async def world(open_world: OpenWorld) -> AsyncIterator[World]:
    """An empty world, at START."""
    async with open_world() as opened:
        yield opened
