"""Several processes on one data folder: joining, starting at once, dying."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.conftest import OWN_SETTINGS, Opener, is_alive, wait_for
from tests.servers.test_embedded import ask_postgres, ask_redis
from vnum.servers import launch, open_servers
from vnum.servers.accounts import LAUNCHER
from vnum.servers.processes import try_lock

JOINED = " (running already)"


def nobody_holds(lock: Path) -> bool:
    descriptor = try_lock(lock)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def test_a_second_process_joins_and_leaves_the_servers_running(
    tmp_path: Path, start_opener: Callable[..., Opener]
) -> None:
    owner = start_opener(tmp_path)
    first = owner.read()
    guest = start_opener(tmp_path)
    second = guest.read()
    assert second == {
        **first,
        "postgres_source": first["postgres_source"] + JOINED,
        "redis_source": first["redis_source"] + JOINED,
    }
    guest.close()
    assert all(is_alive(pid) for pid in owner.server_pids())
    owner.close()
    assert not any(is_alive(pid) for pid in owner.server_pids())


def test_two_that_start_at_once_share_one_pair(tmp_path: Path, start_opener: Callable[..., Opener]) -> None:
    openers = [start_opener(tmp_path) for _ in range(2)]
    reports = [opener.read() for opener in openers]
    for server in ("postgres", "redis"):
        assert sorted(report[f"{server}_source"].endswith(JOINED) for report in reports) == [False, True]
    assert openers[0].server_pids() == openers[1].server_pids()


@pytest.mark.parametrize("user_namespace", [True, False])
async def test_a_killed_process_leaves_no_server_and_loses_nothing(
    open_folder: Path, start_opener: Callable[..., Opener], user_namespace: bool
) -> None:
    owner = start_opener(open_folder, user_namespace=user_namespace)
    endpoints = owner.read()
    await ask_postgres(endpoints["postgres_admin_dsn"], "CREATE TABLE kept AS SELECT 42 AS number")
    owner.process.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(is_alive(pid) for pid in owner.server_pids()))
    wait_for(lambda: all(nobody_holds(open_folder / f"run/{server}.lock") for server in ("postgres", "valkey")))
    async with open_servers(open_folder, postgres_settings=OWN_SETTINGS) as again:
        assert await ask_postgres(again.postgres_admin_dsn, "SELECT number FROM kept") == 42


async def test_a_start_right_after_a_kill_does_not_join_the_dying_servers(
    tmp_path: Path, start_opener: Callable[..., Opener]
) -> None:
    owner = start_opener(tmp_path)
    owner.read()
    owner.process.send_signal(signal.SIGKILL)
    owner.process.wait()  # it is gone now, while its servers still answer for some milliseconds
    async with open_servers(tmp_path, postgres_settings=OWN_SETTINGS) as again:
        assert await ask_postgres(again.postgres_dsn, "SELECT 1") == 1
        assert await ask_redis(again, "PING")


async def test_a_crashed_postgres_is_recovered(tmp_path: Path, start_opener: Callable[..., Opener]) -> None:
    owner = start_opener(tmp_path)
    endpoints = owner.read()
    await ask_postgres(endpoints["postgres_admin_dsn"], "CREATE TABLE kept AS SELECT 42 AS number")
    os.kill(owner.server_pids()[0], signal.SIGKILL)
    owner.close()
    async with open_servers(tmp_path, postgres_settings=OWN_SETTINGS) as again:
        assert await ask_postgres(again.postgres_admin_dsn, "SELECT number FROM kept") == 42


async def test_a_start_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    async def enter() -> None:
        async with open_servers(tmp_path, postgres_settings=OWN_SETTINGS):
            raise AssertionError("it was to be given up before")

    start = asyncio.create_task(enter())
    while not os.path.exists(tmp_path / "run/valkey/valkey.sock"):  # noqa: ASYNC110, ASYNC240 - made by a server
        await asyncio.sleep(0.001)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    wait_for(lambda: all(nobody_holds(tmp_path / f"run/{server}.lock") for server in ("postgres", "valkey")))


def test_the_launcher_starts_nothing_for_a_parent_that_died_before() -> None:
    not_the_parent = os.getppid()
    words = [sys.executable, "-I", "-S", str(LAUNCHER), str(not_the_parent), "15", "same", "/bin/sh", "-c", "exit 0"]
    assert subprocess.run(words).returncode == launch.PARENT_GONE
