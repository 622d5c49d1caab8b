"""The pool: the cost of a binding when it is nearly empty, its memory, its rebuild."""

import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from benches.bindings import lanes, requests
from benches.engines import engine_on
from benches.rows import RUNS, Row, in_turn
from vnum.engine import Engine
from vnum.model.hosts import Host
from vnum.model.instants import day_of
from vnum.servers import Endpoints


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
