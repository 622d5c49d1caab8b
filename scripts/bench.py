"""`make bench`: what vnum does beside the limit of the same machine in the same run.

Each row is a ratio of two rates measured in turn (A B A B ...), or a size; medians of several runs. Everything is
written to a JSON file with the machine's description, also what falls short of its aim.
"""

import argparse
import asyncio
import os
import platform
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from vnum.cli.session import set_up_logs
from vnum.engine import Engine, Parts, open_engine
from vnum.model.hosts import Host
from vnum.model.ids import new_id
from vnum.model.instants import day_of
from vnum.model.orders import OrderStatus
from vnum.servers import Endpoints, open_servers
from vnum.service.batch import Bound
from vnum.service.hosts import NewHost
from vnum.service.merchants import NewMerchant
from vnum.service.orders import BindRequest
from vnum.store.migrate import migrate

CONNECTIONS = 8
CALLERS = 64
HOSTS = 40
MERCHANTS = 20
RUNS = 5

BARE = """
WITH item AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[])
        AS i (binding_id, host, extension, merchant_id, order_id, recipient, recipient_hash)
), slot AS (
    INSERT INTO slots (cell, host, extension, binding_id, ended_at, held_until, holder_order, holder_recipient)
    SELECT 0, host, extension, binding_id, $9, $10, 1, 2 FROM item ORDER BY host, extension RETURNING binding_id
), ordered AS (
    INSERT INTO orders (cell, merchant_id, order_id, binding_id, host, extension, mode, order_status,
                        recipient_hash, bound_at, ended_at)
    SELECT 0, merchant_id, order_id, binding_id, host, extension, 'axe', 'shipped', recipient_hash, $8, $9
    FROM slot JOIN item USING (binding_id) ORDER BY merchant_id, order_id RETURNING binding_id
)
INSERT INTO bindings (cell, binding_id, merchant_id, order_id, host, extension, mode, city, city_strict, ttl_days,
                      bound_at, expires_at, ended_at, key_id, recipient, recipient_hash, recipient_name)
SELECT 0, binding_id, merchant_id, order_id, host, extension, 'axe', NULL, false, 30,
       $8, $9, $9, 1, recipient, recipient_hash, NULL
FROM ordered JOIN item USING (binding_id) ORDER BY binding_id
"""
"""The same rows, columns and indexes as a bind writes, with nothing decided."""


class Row(msgspec.Struct, kw_only=True):
    """One measured thing beside its peer. `aim` is said of `ratio`, or of `ours` where there is no peer."""

    name: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str = ""
    ratio: float | None = None
    aim: str = ""
    reached: bool | None = None
    runs: int = RUNS
    detail: dict[str, list[float]] = {}


Work = Callable[[], Awaitable[int]]


async def rate(work: Work) -> float:
    started = time.perf_counter()
    count = await work()
    return count / (time.perf_counter() - started)


async def in_turn(ours: Callable[[], Work], peer: Callable[[], Work]) -> tuple[list[float], list[float]]:
    """One warm-up of each, then A B A B ...: a machine that slows down slows both."""
    await ours()()
    await peer()()
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        rates[0].append(await rate(ours()))
        rates[1].append(await rate(peer()))
    return rates


def compared(name: str, rates: tuple[list[float], list[float]], peer_name: str, at_least: float) -> Row:
    ratio = statistics.median(a / b for a, b in zip(*rates, strict=True))
    return Row(
        name=name,
        ours=statistics.median(rates[0]),
        unit="bindings/s",
        peer=statistics.median(rates[1]),
        peer_name=peer_name,
        ratio=ratio,
        aim=f">= {at_least} x",
        reached=ratio >= at_least,
        detail={"ours": rates[0], "peer": rates[1]},
    )


def requests(count: int) -> list[BindRequest]:
    return [
        BindRequest(
            merchant_id=f"m{n % MERCHANTS}",
            order_id=secrets.token_hex(8),
            recipient_phone=f"138{secrets.randbelow(10**8):08d}",
            order_status=OrderStatus.SHIPPED,
        )
        for n in range(count)
    ]


def lanes(batches: Sequence[Sequence[BindRequest]], engine: Engine) -> Work:
    """The batches, by as many tasks as there are connections."""

    async def lane(mine: Sequence[Sequence[BindRequest]]) -> int:
        bound = 0
        for batch in mine:
            outcomes = await engine.binder.bind(batch)
            bound += sum(isinstance(outcome, Bound) and outcome.created for outcome in outcomes)
        return bound

    async def work() -> int:
        bound = sum(await asyncio.gather(*(lane(batches[n::CONNECTIONS]) for n in range(CONNECTIONS))))
        assert bound == sum(map(len, batches)), "every order is bound"
        return bound

    return work


def singly(count: int, engine: Engine) -> Work:
    """Callers that each bind one order after the other; group commit puts those of a moment into one statement."""
    each = [requests(count // CALLERS) for _ in range(CALLERS)]

    async def caller(mine: Sequence[BindRequest]) -> int:
        outcomes = [await engine.binder.bind_one(request) for request in mine]
        return sum(isinstance(outcome, Bound) and outcome.created for outcome in outcomes)

    async def work() -> int:
        bound = sum(await asyncio.gather(*map(caller, each)))
        assert bound == sum(map(len, each)), "every order is bound"
        return bound

    return work


def bare(pool: asyncpg.Pool, count: int, size: int) -> Work:
    """Statements of the same shape with everything prepared beforehand."""
    now = datetime.now(UTC)
    ends, held = now + timedelta(days=30), now + timedelta(days=120)
    batches = [_bare_columns(now, size) for _ in range(count // size)]

    async def lane(mine: Sequence[list[list[object]]]) -> int:
        async with pool.acquire() as connection:
            statement = await connection.prepare(BARE)
            for columns in mine:
                await statement.fetch(*columns, now, ends, held)
        return len(mine) * size

    async def work() -> int:
        return sum(await asyncio.gather(*(lane(batches[n::CONNECTIONS]) for n in range(CONNECTIONS))))

    return work


def _bare_columns(now: datetime, size: int) -> list[list[object]]:
    ids = [new_id(0, now, secrets.token_bytes(8)) for _ in range(size)]
    tokens = [secrets.token_hex(8) for _ in range(size)]
    # Hosts of the peer are random, so that its rows fall as far apart in the index as ours; four digits after.
    slots = [f"{secrets.randbelow(10**11):011d}" for _ in range(size)]
    return [
        list(ids),
        list(slots),
        [f"{secrets.randbelow(10**4):04d}" for _ in range(size)],
        [f"m{n % MERCHANTS}" for n in range(size)],
        list(tokens),
        [secrets.token_bytes(42) for _ in range(size)],
        [secrets.token_bytes(16) for _ in range(size)],
    ]


@asynccontextmanager
async def engine_on(endpoints: Endpoints, folder: Path, hosts: int = HOSTS):
    """A fresh schema with merchants and hosts."""
    schema = f"bench_{secrets.token_hex(4)}"
    await migrate(endpoints.postgres_admin_dsn, schema)
    parts = Parts(
        postgres_dsn=endpoints.postgres_dsn,
        redis_url=endpoints.redis_url,
        key_file=folder / "key",
        schema=schema,
        postgres_connections=CONNECTIONS,
    )
    async with open_engine(parts) as engine:
        for n in range(MERCHANTS):
            await engine.merchants.add(NewMerchant(merchant_id=f"m{n}", name=f"m{n}"))
        for n in range(hosts):
            await engine.hosts.add(NewHost(host=f"184{n:08d}"))
        yield engine
        await engine.pool.drop()
    admin = await asyncpg.connect(endpoints.postgres_admin_dsn)
    await admin.execute(f"DROP SCHEMA {schema} CASCADE")
    await admin.close()


async def bench_bindings(endpoints: Endpoints, folder: Path, count: int) -> list[Row]:
    peer = f"bare SQL on {CONNECTIONS} connections"
    async with engine_on(endpoints, folder) as engine, engine_on(endpoints, folder, hosts=1) as other:
        single = await in_turn(lambda: singly(count // 2, engine), lambda: bare(other.database, count // 4, 1))
        batches = await in_turn(
            lambda: lanes([requests(100) for _ in range(count // 100)], engine),
            lambda: bare(other.database, count, 100),
        )
    return [
        compared(f"durable bindings, one a request, {CALLERS} callers", single, f"{peer}, one a statement", 0.5),
        compared("durable bindings, batches of 100", batches, f"{peer}, 100 a statement", 0.5),
    ]


async def bench_occupancy(endpoints: Endpoints, folder: Path, count: int) -> Row:
    """The same bindings on empty hosts and on hosts that are 98 % held."""
    hosts = max(8, -(-count * (RUNS + 2) // 190))
    async with engine_on(endpoints, folder) as empty, engine_on(endpoints, folder, hosts=hosts) as full:
        await _fill(full, 0.98)
        await full.care.rebuild()
        batches = lambda: [requests(100) for _ in range(count // 100)]  # noqa: E731
        rates = await in_turn(lambda: lanes(batches(), full), lambda: lanes(batches(), empty))
    cost = statistics.median(b / a for a, b in zip(*rates, strict=True))
    return Row(
        name="cost of a binding at 98 % occupancy",
        ours=statistics.median(rates[0]),
        unit="bindings/s",
        peer=statistics.median(rates[1]),
        peer_name="the same at 0 %",
        ratio=cost,
        aim="cost <= 1.2 x",
        reached=cost <= 1.2,
        detail={"at 98 %": rates[0], "at 0 %": rates[1]},
    )


async def _fill(engine: Engine, share: float) -> None:
    """Holds a share of every host's slots, spread evenly, as earlier bindings would."""
    await engine.database.execute(
        """INSERT INTO slots (cell, host, extension, binding_id, ended_at, held_until)
           SELECT 0, host, lpad(n::text, 4, '0'), gen_random_uuid(),
                  now() + interval '9 days', now() + interval '99 days'
           FROM hosts, generate_series(1, 9999) AS n WHERE (n * 7919) % 10000 < 10000 * $1::float8""",
        share,
    )
    await engine.registry.refresh(force=True)


async def bench_memory(endpoints: Endpoints, folder: Path, slots: int) -> list[Row]:
    """All slots of enough hosts taken and moved by the pool's own scripts; and the rebuild of as many."""
    hosts = -(-slots // 9_999)
    async with engine_on(endpoints, folder, hosts=hosts) as engine:
        now = datetime.now(UTC)
        await engine.care.rebuild()
        started = time.perf_counter()
        for host in engine.registry.all:
            await _take_all(engine, host, now)
        took = time.perf_counter() - started
        used = await engine.pool.memory_bytes()
        capacity = sum(host.size for host in engine.registry.all)
        await _fill(engine, 1.0)
        rebuild_started = time.perf_counter()
        await engine.care.rebuild()
        rebuild = time.perf_counter() - rebuild_started
    return [
        Row(
            name=f"pool memory at {capacity:,} slots, all bound",
            ours=used / capacity,
            unit="bytes a slot",
            aim="<= 3",
            reached=used / capacity <= 3,
            runs=1,
            detail={"take and move, microseconds a slot": [took / capacity * 1e6]},
        ),
        Row(
            name=f"rebuild of {capacity:,} held slots",
            ours=rebuild,
            unit="s",
            aim="<= 10",
            reached=rebuild <= 10,
            runs=1,
        ),
    ]


async def _take_all(engine: Engine, host: Host, now: datetime) -> None:
    until = day_of(now) + 120
    while True:
        taken = await engine.pool.take(host, 500, day_of(now))
        assert taken is not None
        if not taken.indices:
            return
        await engine.pool.move(host.cell, {host.host: [(index, until) for index in taken.indices]})


def machine() -> dict[str, object]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "uvloop": uvloop.__version__,
        "asyncpg": asyncpg.__version__,
    }


def show(rows: Sequence[Row]) -> None:
    table = Table(title=f"medians of {RUNS} runs")
    for column in ("what", "vnum", "peer", "ratio", "aim", ""):
        table.add_column(column)
    for row in rows:
        peer = "" if row.peer is None else f"{row.peer:,.0f} ({row.peer_name})"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        reached = "[green]reached[/]" if row.reached else "[red]short[/]"
        table.add_row(row.name, f"{row.ours:,.2f} {row.unit}", peer, ratio, row.aim, reached)
    Console().print(table)


async def measure(scale: float) -> tuple[list[Row], dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="vnum-bench-") as name:
        folder = Path(name)
        async with open_servers(folder) as endpoints:
            rows = await bench_bindings(endpoints, folder, int(10_000 * scale))
            rows.append(await bench_occupancy(endpoints, folder, int(4_000 * scale)))
            rows += await bench_memory(endpoints, folder, int(1_000_000 * scale))
            sources = {"postgres": endpoints.postgres_source, "redis": endpoints.redis_source}
    return rows, {server: source.partition(":")[0] for server, source in sources.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    parser.add_argument("--scale", type=float, default=1.0, help="1 = the figures of the README; less = quicker")
    arguments = parser.parse_args()
    set_up_logs("warning")
    rows, servers = uvloop.run(measure(arguments.scale))
    report = {"machine": machine(), "servers": servers, "rows": rows}
    arguments.out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    show(rows)
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
