"""Engines for tests, on the session's real servers: a schema of their own, migrated once and wiped before each use.

`World` is what a test holds: an engine, the clock it goes by, and short words for the usual steps.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from vnum.engine import Engine, Parts, assemble, open_engine
from vnum.model.acting import Acting, act, acting
from vnum.model.bindings import Binding
from vnum.model.hosts import Host
from vnum.model.orders import OrderStatus
from vnum.model.refusals import Refusal
from vnum.pool.redis_pool import RedisPool
from vnum.servers import Endpoints
from vnum.service.batch import Bound, Outcome
from vnum.service.clock import ManualClock
from vnum.service.hosts import NewHost
from vnum.service.merchants import NewMerchant
from vnum.service.orders import BindRequest
from vnum.service.route import Decision, RouteRequest
from vnum.store.migrate import drop, migrate

START = datetime(2026, 10, 10, 9, 30, tzinfo=UTC)
DAY = timedelta(hours=24)
TICK = timedelta(microseconds=1)
HOST = "18400913965"

WIPE = """
DO $$
DECLARE tables text;
BEGIN
    SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') INTO tables FROM pg_tables
    WHERE schemaname = current_schema() AND tablename NOT IN ('migrations', 'tariffs');
    EXECUTE 'TRUNCATE ' || tables;
    DELETE FROM tariffs WHERE tariff_id <> 'default' OR version > 1;
END $$
"""


def phone(n: int) -> str:
    """A mobile."""
    return f"139{n:08}"


def host_number(n: int) -> str:
    return f"184{n:08}"


def request(order: str, number: int = 1, *, merchant: str = "m", **rest: Any) -> BindRequest:
    """A request for an order of a shipped parcel; `number` names the recipient's phone."""
    rest.setdefault("order_status", OrderStatus.SHIPPED)
    return BindRequest(merchant_id=merchant, order_id=order, recipient_phone=phone(number), **rest)


class World:
    """One engine and short words for what tests do with it. `clock` is None where PostgreSQL's own is used."""

    def __init__(self, engine: Engine, owner: Any, clock: ManualClock | None, parts: Parts) -> None:
        self.engine = engine
        self.owner = owner
        self.clock = clock
        self.parts = parts

    @property
    def now(self) -> datetime:
        assert self.clock is not None
        return self.clock.instant

    def pass_time(self, span: timedelta) -> None:
        assert self.clock is not None
        self.clock.instant += span

    async def host(self, number: str = HOST, **rest: Any) -> Host:
        """A host, by default with nine slots (one digit) and one day of quarantine."""
        terms = {"host": number, "ext_digits": 1, "quarantine_days": 1} | rest
        return await self.engine.hosts.add(msgspec.convert(terms, NewHost))

    async def merchant(self, merchant_id: str = "m", **rest: Any) -> None:
        await self.engine.merchants.add(NewMerchant(merchant_id=merchant_id, name=merchant_id, **rest))

    async def try_bind(self, order: str, number: int = 1, **rest: Any) -> Outcome:
        return (await self.engine.binder.bind([request(order, number, **rest)]))[0]

    async def bind(self, order: str, number: int = 1, **rest: Any) -> Binding:
        """A binding that must come about."""
        outcome = await self.try_bind(order, number, **rest)
        assert isinstance(outcome, Bound), outcome
        return outcome.binding

    async def refusal(self, order: str, number: int = 1, **rest: Any) -> Refusal:
        """A refusal that must come about."""
        outcome = await self.try_bind(order, number, **rest)
        assert isinstance(outcome, Refusal), outcome
        return outcome

    async def fill(self, count: int = 9, *, first: int = 1, **rest: Any) -> list[Binding]:
        """Bindings of as many orders, each with a recipient of its own."""
        outcomes = await self.engine.binder.bind([request(f"fill-{n}", n, **rest) for n in range(first, first + count)])
        bound = [outcome.binding for outcome in outcomes if isinstance(outcome, Bound)]
        assert len(bound) == count, outcomes
        return bound

    async def dial(self, binding: Binding, caller: str = "13800000000", call_id: str = "call") -> Decision:
        return await self.engine.routes.route(
            RouteRequest(call_id=call_id, caller=caller, host=binding.host, digits=binding.extension)
        )

    async def count(self, query: str, *args: object) -> int:
        return int(await self.owner.fetchval(f"SELECT count(*) FROM {query}", *args))


@contextmanager
def tied(merchants: Collection[str] | None = None, carrier: str | None = None) -> Iterator[None]:
    """Whatever runs in here is done by a key that is tied so."""
    before = acting()
    act(Acting("k", None if merchants is None else frozenset(merchants), carrier))
    try:
        yield
    finally:
        act(before)


def on_pool(world: World, pool: RedisPool, **changed: Any) -> World:
    """The same world with another pool (and other parts), and nothing remembered of the hosts."""
    parts = msgspec.structs.replace(world.parts, **changed)
    database = world.engine.database
    engine = assemble(parts, database, pool, world.engine.vault, world.clock)
    return World(engine, world.owner, world.clock, parts)


def slot_of(binding: Binding) -> tuple[str, str]:
    return binding.host, binding.extension


def the(error: Any) -> Refusal:
    """The refusal in what `pytest.raises(Refused)` caught."""
    refusal: Refusal = error.value.refusal
    return refusal


def unknown_id(binding: Binding) -> UUID:
    """An id of the same month and cell that names nothing."""
    return UUID(int=binding.binding_id.int ^ 1)


def connect_owner(endpoints: Endpoints, schema: str) -> Any:
    """A session of the schema's owner, to look behind the engine."""
    settings = {"search_path": schema, "timezone": "UTC"}
    return asyncpg.connect(endpoints.postgres_admin_dsn, server_settings=settings)


@asynccontextmanager
async def open_world(
    endpoints: Endpoints, schema: str, folder: Path, *, clock: ManualClock | None, wipe: bool = True, **parts: Any
) -> AsyncIterator[World]:
    """An engine on a migrated schema, wiped first, with Redis keys of its own, dropped first."""
    chosen = Parts(
        postgres_dsn=endpoints.postgres_dsn,
        redis_url=endpoints.redis_url,
        key_file=folder / "master.key",
        schema=schema,
        **({"postgres_connections": 3} | parts),
    )
    owner = await connect_owner(endpoints, schema)
    try:
        if wipe:
            await owner.execute(WIPE)
        async with open_engine(chosen, clock=clock) as engine:
            if wipe:
                await engine.pool.drop()
            yield World(engine, owner, clock, chosen)
    finally:
        await owner.close()


@pytest.fixture(scope="session")
def schema(endpoints: Endpoints) -> Iterator[str]:
    """A migrated schema; a folder of tests shares it, `world` wipes it."""
    name = f"tests_{id(endpoints)}_{next(_NUMBERS)}"
    asyncio.run(migrate(endpoints.postgres_admin_dsn, name))
    yield name
    asyncio.run(drop(endpoints.postgres_admin_dsn, name))


_NUMBERS = iter(range(1_000_000))


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
async def bare_world(endpoints: Endpoints, schema: str, key_folder: Path) -> AsyncIterator[World]:
    """An engine with a clock set by hand; no host, no merchant."""
    async with open_world(endpoints, schema, key_folder, clock=ManualClock(START)) as world:
        yield world


@pytest.fixture
async def world(bare_world: World) -> World:
    """With merchant "m" and one host of nine slots and a day of quarantine."""
    await bare_world.merchant()
    await bare_world.host()
    return bare_world
