"""From nothing running to the first binding: `vnum serve` with servers and data of its own, as a user starts it."""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from benches.rows import RUNS, Row

VNUM = (sys.executable, "-m", "vnum.cli")
SERVERS = ("VNUM_POSTGRES_DSN", "VNUM_POSTGRES_ADMIN_DSN", "VNUM_REDIS_URL")
MERCHANT = {"merchant_id": "m1", "name": "m1"}
HOST = {"host": "18400000000"}
AIM_S = 2.0
PATIENCE_S = 120.0
LOOK_S = 0.005


async def bench_start(folder: Path) -> list[Row]:
    """Once on a folder that is not there yet, then on the data of the starts before."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {name: value for name, value in os.environ.items() if name not in SERVERS}
    settings = own | {"VNUM_DATA_DIR": str(folder / "start"), "VNUM_PORT": str(port), "VNUM_LOG_LEVEL": "warning"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        first, key = await _first(client, settings)
        seconds = [await _again(client, settings, key, f"o{n}") for n in range(RUNS)]
    again = statistics.median(seconds)
    return [
        Row(
            name="cold start on data that is there, servers stopped, to the first binding over HTTP",
            ours=again,
            unit="s",
            aim=f"<= {AIM_S:.0f} s",
            reached=again <= AIM_S,
            detail={"ours": seconds},
        ),
        Row(name="the first start ever, its data made, until the API is ready", ours=first, unit="s", runs=1),
    ]


async def _first(client: aiohttp.ClientSession, settings: Mapping[str, str]) -> tuple[float, str]:
    """Its seconds, and a platform's key; there is a merchant and a host from then on."""
    async with _serving(settings) as began:
        await _until(client, 200, "GET", "/readyz")
        took = time.perf_counter() - began
        platform, admin = _key(settings, "platform"), _key(settings, "admin")
        await _until(client, 201, "POST", "/v1/merchants", platform, MERCHANT)
        await _until(client, 201, "POST", "/v1/hosts", admin, HOST)
    return took, platform


async def _again(client: aiohttp.ClientSession, settings: Mapping[str, str], key: str, order_id: str) -> float:
    order = {"merchant_id": "m1", "order_id": order_id, "recipient_phone": "13812345678", "order_status": "shipped"}
    async with _serving(settings) as began:
        await _until(client, 201, "POST", "/v1/bindings", key, order)
        return time.perf_counter() - began


@asynccontextmanager
async def _serving(settings: Mapping[str, str]) -> AsyncIterator[float]:
    """The instant at which it was started. Its servers are stopped with it."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*VNUM, "serve", env=settings, stdout=subprocess.DEVNULL)
    try:
        yield began
    finally:
        process.terminate()
        await process.wait()


def _key(settings: Mapping[str, str], role: str) -> str:
    done = subprocess.run([*VNUM, "keys", "add", "--role", role], env=settings, capture_output=True, check=True)
    return done.stdout.decode().strip()


async def _until(
    client: aiohttp.ClientSession, status: int, method: str, path: str, key: str = "", json: object = None
) -> None:
    """Asks until it is answered so; until then nobody listens, or the servers start."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with client.request(method, path, json=json, headers=headers) as response:
                    if response.status == status:
                        return
                    assert response.status == 503, await response.text()
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(LOOK_S)
