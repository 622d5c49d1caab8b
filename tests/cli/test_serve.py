"""`vnum serve` as its user starts it: a process of its own, with workers, embedded servers and demo keys."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

PATIENCE_S = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VNUM_")}
    environment |= {"VNUM_DATA_DIR": str(folder), "VNUM_PORT": str(port), "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-m", "vnum.cli", "serve", *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What it printed up to the line with `words`; ends when the process does."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(f"it ended without saying {words!r}: {said}")


async def ready(port: int) -> dict[str, object]:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/readyz") as response:
        answer: dict[str, object] = await response.json()
        return answer


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_S)
    return not alive


async def test_it_serves_with_workers_and_leaves_nothing_running(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port, "--demo", "--workers", "2") as process:
        said = read_until(process, f"http://127.0.0.1:{port}")
        keys = dict(re.findall(r"│ (\w+) +│ (vk_[0-9a-f]+_[0-9a-f]+)", said))
        assert set(keys) == {"platform", "merchant", "isv", "courier", "finance", "switch", "admin"}
        assert f"/grants/{keys['isv'].split('_')[1]}" in said, "whom a merchant has to grant"
        assert await ready(port) == {"status": "ready", "postgres": "up", "migrated": True, "redis": "up"}
        headers = {"Authorization": f"Bearer {keys['admin']}"}
        host = {"host": "18400913965"}
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as http,
            http.post("/v1/hosts", json=host) as response,
        ):
            assert response.status == 201
        headers = {"Authorization": f"Bearer {keys['isv']}"}
        webhook = {"url": "https://shop.example.com/hook", "events": ["call.ended"]}
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as http,
            http.post("/v1/webhooks", json=webhook) as response,
        ):
            assert response.status == 201, "the isv's key acts for a merchant"
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 3, "two servers and a second worker"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert gone(family)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_server_leaves_nothing_running(tmp_path: Path, workers: str) -> None:
    with serving(tmp_path, free_port(), "--workers", workers) as process:
        read_until(process, "Ctrl-C stops it")
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        assert gone(family)


def test_a_worker_that_ends_by_itself_ends_the_server_with_a_word(tmp_path: Path) -> None:
    with serving(tmp_path, free_port(), "--workers", "2") as process:
        read_until(process, "Ctrl-C stops it")
        family = psutil.Process(process.pid).children(recursive=True)
        next(child for child in family if "--inherited" in child.cmdline()).kill()
        assert process.wait(PATIENCE_S) == 1
        assert gone(family)


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        ran = subprocess.run(
            [sys.executable, "-m", "vnum.cli", "serve", "--demo"],
            env=os.environ | {"VNUM_DATA_DIR": str(tmp_path), "VNUM_PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
    assert ran.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ran.stderr
    assert "VNUM_PORT" in ran.stderr
    assert "vk_" not in ran.stdout
