"""Single binds and routes over HTTP beside an aiohttp JSON echo: rates, tails, and processor time a request.

`vnum serve` with one worker, as it is delivered: key, sealing, durable commits. It, the echo, PostgreSQL, Valkey and
the load generator share the machine's cores; so the time that each process used for a request is told too.
"""

import asyncio
import os
import secrets
import socket
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import psutil

from benches.bindings import requests as bind_requests
from benches.engines import engine_on
from benches.http_echo import Echo
from benches.http_load import Load
from benches.rows import RUNS, Row
from vnum.engine import Engine
from vnum.model.bindings import Binding
from vnum.servers import Endpoints
from vnum.service.batch import Bound
from vnum.service.keys import Role
from vnum.service.route import RouteRequest

CONNECTIONS = 64
BATCHES_AT_ONCE = 8
BATCH = 100
BOUND = 5_000
KEA = 1_750
"""Kea's stated leases a second on PostgreSQL with 16 threads (doc/kea-performance): a figure of another machine."""

START_S = 30.0
ENCODE = msgspec.json.Encoder().encode


class Run(msgspec.Struct, kw_only=True):
    """One round: what the generator saw, and processor seconds of the server and of PostgreSQL."""

    load: Load
    server_s: float
    postgres_s: float

    @property
    def server_us(self) -> float:
        return self.server_s / self.load.requests * 1e6

    @property
    def postgres_us(self) -> float:
        return self.postgres_s / self.load.requests * 1e6


class Target(msgspec.Struct, kw_only=True):
    """Where requests go, and how they are made anew for each round."""

    server: psutil.Process
    port: int
    make: Callable[[], list[bytes]]
    connections: int = CONNECTIONS


def posted(path: str, key: str, body: bytes) -> bytes:
    """A request as a client with kept-alive connections sends it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def echoes(count: int, key: str, path: str = "/echo") -> list[bytes]:
    said = Echo(
        binding_id="0199e3b8-3f2a-7000-8c5e-0123456789ab",
        merchant_id="m11",
        order_id="0123456789abcdef",
        host="18400000017",
        extension="7576",
        number="18400000017-7576",
        mode="axe",
        state="live",
        bound_at="2026-11-22T12:34:56.123456Z",
        expires_at="2026-12-22T12:34:56.123456Z",
    )
    return [posted(path, key, ENCODE(said))] * count


def binds(count: int, key: str) -> list[bytes]:
    return [posted("/v1/bindings", key, _body(request)) for request in bind_requests(count)]


def batches(count: int, key: str) -> list[bytes]:
    items = [msgspec.Raw(_body(request)) for request in bind_requests(count)]
    return [
        posted("/v1/bindings/batch", key, ENCODE({"items": items[at : at + BATCH]})) for at in range(0, count, BATCH)
    ]


def routes(count: int, key: str, bound: Sequence[Binding]) -> list[bytes]:
    asked = (
        RouteRequest(
            call_id=secrets.token_hex(12),
            caller=f"139{secrets.randbelow(10**8):08d}",
            host=binding.host,
            digits=binding.extension,
        )
        for binding in (bound[n % len(bound)] for n in range(count))
    )
    return [posted("/v1/calls/route", key, ENCODE(request)) for request in asked]


def _body(request: object) -> bytes:
    """As a platform writes it: only the fields that are needed."""
    needed = ("merchant_id", "order_id", "recipient_phone", "order_status")
    return ENCODE({name: getattr(request, name) for name in needed})


async def bench_http(endpoints: Endpoints, folder: Path, count: int) -> list[Row]:
    async with engine_on(endpoints, folder) as engine:
        platform, switch = await engine.keys.make(Role.PLATFORM), await engine.keys.make(Role.SWITCH)
        bound, schema = await _bound(engine), await engine.database.fetchval("SELECT current_schema()")
        async with (
            _serving(_vnum(endpoints, folder, schema)) as (vnum, port),
            _serving(partial(_echo, endpoints.postgres_admin_dsn, schema)) as (echo, echo_port),
        ):
            targets = {
                "echo": Target(server=echo, port=echo_port, make=lambda: echoes(count, platform.text)),
                "keep": Target(server=echo, port=echo_port, make=lambda: echoes(count // 2, platform.text, "/keep")),
                "bind": Target(server=vnum, port=port, make=lambda: binds(count // 2, platform.text)),
                "route": Target(server=vnum, port=port, make=lambda: routes(count // 2, switch.text, bound)),
                "batch": Target(
                    server=vnum,
                    port=port,
                    make=lambda: batches(count // 2, platform.text),
                    connections=BATCHES_AT_ONCE,
                ),
            }
            runs = await _in_turn(targets, folder, engine)
            connected = await engine.database.fetchval("SELECT count(*) FROM call_keys")
            assert connected == (RUNS + 1) * (count // 2), "every call was connected, none refused"
    return _rows(runs)


async def _in_turn(targets: dict[str, Target], folder: Path, engine: Engine) -> dict[str, list[Run]]:
    """A warm-up of each, then all of them again and again: a machine that slows down slows them all."""
    runs: dict[str, list[Run]] = {name: [] for name in targets}
    for turn in range(RUNS + 1):
        for name, target in targets.items():
            run = await _run(target, folder, engine)
            assert run.load.statuses.keys() <= {"200", "201"}, f"{name}: {run.load.statuses}"
            if turn:
                runs[name].append(run)
    return runs


async def _run(target: Target, folder: Path, engine: Engine) -> Run:
    file = folder / "requests"
    file.write_bytes(msgspec.msgpack.encode(target.make()))
    backends = await _backends(engine)
    before = _seconds([target.server]), _seconds(backends)
    generator = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benches.http_load", str(target.port), str(target.connections), str(file)),
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
    )
    printed, _ = await generator.communicate()
    load = msgspec.json.decode(printed, type=Load)
    return Run(load=load, server_s=_seconds([target.server]) - before[0], postgres_s=_seconds(backends) - before[1])


async def _backends(engine: Engine) -> list[psutil.Process]:
    """PostgreSQL's processes, as far as they run on this machine."""
    pids = [record["pid"] for record in await engine.database.fetch("SELECT pid FROM pg_stat_activity")]
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    return [process for process in processes if "postgres" in process.name()]


def _seconds(processes: Sequence[psutil.Process]) -> float:
    """Processor time used so far."""
    total = 0.0
    for process in processes:
        if process.is_running():
            times = process.cpu_times()
            total += times.user + times.system
    return total


async def _bound(engine: Engine) -> list[Binding]:
    found = []
    for _ in range(BOUND // BATCH):
        outcomes = await engine.binder.bind(bind_requests(BATCH))
        found += [outcome.binding for outcome in outcomes if isinstance(outcome, Bound)]
    return found


Start = Callable[[int], subprocess.Popen[bytes]]


def _echo(dsn: str, schema: str, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benches.http_echo", str(port), dsn, schema]
    return subprocess.Popen(command, cwd=Path(__file__).parents[1])


def _vnum(endpoints: Endpoints, folder: Path, schema: str) -> Start:
    """The very command that users start."""

    def start(port: int) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "VNUM_POSTGRES_DSN": endpoints.postgres_dsn,
            "VNUM_REDIS_URL": endpoints.redis_url,
            "VNUM_MASTER_KEY_FILE": str(folder / "key"),
            "VNUM_SCHEMA": schema,
            "VNUM_PORT": str(port),
            "VNUM_RATE_PER_S": "1000000",  # limited as always, but not reached
        }
        return subprocess.Popen(
            [sys.executable, "-m", "vnum.cli", "serve"],
            cwd=Path(__file__).parents[2],
            env=environment,
            stdout=subprocess.DEVNULL,
        )

    return start


@asynccontextmanager
async def _serving(start: Start) -> AsyncIterator[tuple[psutil.Process, int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start(port)
    try:
        await _until_open(port)
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait()


async def _until_open(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


def _rows(runs: dict[str, list[Run]]) -> list[Row]:
    return [
        _rate("durable bindings over HTTP, one a request", runs, "bind", 0.5),
        _rate("an echo that keeps one row a request, for comparison", runs, "keep", None),
        _kea(runs["bind"]),
        _rate("routes over HTTP", runs, "route", 0.6),
        _tail(runs),
        _rate(f"bindings over HTTP, batches of {BATCH}", runs, "batch", None, items=BATCH),
    ]


def _rate(name: str, runs: dict[str, list[Run]], of: str, at_least: float | None, items: int = 1) -> Row:
    ours, peers = runs[of], runs["echo"]
    ratio = statistics.median(a.load.rate * items / b.load.rate for a, b in zip(ours, peers, strict=True))
    return Row(
        name=f"{name}, {CONNECTIONS if items == 1 else BATCHES_AT_ONCE} connections, 1 worker",
        ours=statistics.median(run.load.rate * items for run in ours),
        unit="/s",
        peer=statistics.median(run.load.rate for run in peers),
        peer_name="/s, aiohttp JSON echo",
        ratio=ratio,
        aim="" if at_least is None else f">= {at_least} x",
        reached=None if at_least is None else ratio >= at_least,
        detail={
            "ours": [run.load.rate * items for run in ours],
            "peer": [run.load.rate for run in peers],
            "server's processor time a request, microseconds": [run.server_us for run in ours],
            "the same of the echo": [run.server_us for run in peers],
            "PostgreSQL's processor time a request, microseconds": [run.postgres_us for run in ours],
            "share of a core that the generator used": [run.load.busy for run in ours],
            "the same against the echo": [run.load.busy for run in peers],
            "p50, ms": [run.load.p50 for run in ours],
            "p99, ms": [run.load.p99 for run in ours],
            "cores shared by server, generator, PostgreSQL and Valkey": [float(os.cpu_count() or 0)],
        },
    )


def _kea(ours: list[Run]) -> Row:
    rate = statistics.median(run.load.rate for run in ours)
    return Row(
        name="the same bindings beside Kea's stated leases on another machine",
        ours=rate,
        unit="/s",
        peer=KEA,
        peer_name="/s, Kea + PostgreSQL, 16 threads",
        ratio=rate / KEA,
        aim=">= 5 x",
        reached=rate >= 5 * KEA,
    )


def _tail(runs: dict[str, list[Run]]) -> Row:
    ratio = statistics.median(
        ours.load.p99 / echo.load.p99 for ours, echo in zip(runs["route"], runs["echo"], strict=True)
    )
    return Row(
        name=f"p99 of a route, {CONNECTIONS} connections",
        ours=statistics.median(run.load.p99 for run in runs["route"]),
        unit="ms",
        peer=statistics.median(run.load.p99 for run in runs["echo"]),
        peer_name="ms, the echo's",
        ratio=ratio,
        aim="<= 3 x",
        reached=ratio <= 3,
        detail={
            "ours": [run.load.p99 for run in runs["route"]],
            "peer": [run.load.p99 for run in runs["echo"]],
        },
    )
