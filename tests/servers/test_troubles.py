"""What can be wrong, and that it is said: with a stable code, where, and what to do; never with a password."""

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import asyncpg
import pytest
import redis.asyncio

from tests.servers.conftest import OWN_SETTINGS
from tests.servers.test_binaries import make_program
from vnum.servers import Endpoints, ServerTrouble, external, external_postgres, open_servers, postgres
from vnum.servers.binaries import Binary
from vnum.servers.external_redis import judge
from vnum.servers.folders import folder_trouble

SECRET = "hunter2"  # noqa: S105 - looked for in every message
CLOSED_PORT = 1


async def trouble_of(
    data_dir: Path,
    postgres_dsn: str | None = None,
    postgres_admin_dsn: str | None = None,
    redis_url: str | None = None,
) -> ServerTrouble:
    servers = open_servers(
        data_dir, postgres_dsn=postgres_dsn, postgres_admin_dsn=postgres_admin_dsn, redis_url=redis_url
    )
    with pytest.raises(ServerTrouble) as caught:
        async with servers:
            pass
    assert SECRET not in caught.value.message
    assert caught.value.message == f"{caught.value.what} {caught.value.advice}"
    assert caught.value.advice
    return caught.value


async def test_a_data_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for data_dir in (tmp_path / "file", tmp_path / "file/below"):
        trouble = await trouble_of(data_dir)
        assert trouble.code == "not_a_directory"
        assert str(tmp_path / "file") in trouble.message


async def test_data_of_another_version(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres/PG_VERSION").write_text("16\n")
    trouble = await trouble_of(tmp_path)
    assert trouble.code == "data_of_another_version"
    assert "PostgreSQL 16" in trouble.message
    assert "PostgreSQL 18" in trouble.message


async def test_a_folder_of_other_things_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres/letter.txt").write_text("dear reader")
    assert (await trouble_of(tmp_path)).code == "not_a_database"
    assert os.listdir(tmp_path / "postgres") == ["letter.txt"]


async def test_a_disk_without_room_for_a_first_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=199 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    trouble = await trouble_of(tmp_path)
    assert trouble.code == "disk_full"
    assert "199 MB" in trouble.message


async def test_a_disk_that_fills_up_while_the_server_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = make_program(tmp_path / "bin/postgres", "")
    complaint = make_program(tmp_path / "bin/initdb", "could not extend file: No space left on device")
    complaint.write_text(complaint.read_text() + "exit 1\n")
    monkeypatch.setattr(postgres, "choose_postgres", lambda: Binary(program=program, version="18.6", source="a test"))
    assert (await trouble_of(tmp_path / "data")).code == "disk_full"
    assert not (tmp_path / "data/postgres").exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "disk_full"), (errno.EDQUOT, "disk_full"), (errno.EROFS, "no_permission")],
)
def test_what_the_system_refuses_is_translated(number: int, code: str, tmp_path: Path) -> None:
    assert folder_trouble(tmp_path, OSError(number, os.strerror(number), str(tmp_path))).code == code


async def test_a_server_that_dies_at_start_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(ServerTrouble) as caught:
        async with open_servers(tmp_path, postgres_settings={"shared_buffers": "plenty"}):
            pass
    assert caught.value.code == "server_died"
    assert "plenty" in caught.value.message
    assert "logs/postgres.log" in caught.value.message


async def test_one_that_fails_takes_the_other_with_it(tmp_path: Path) -> None:
    with pytest.raises(ServerTrouble):
        async with open_servers(tmp_path, postgres_settings={"shared_buffers": "plenty"}):
            pass
    assert os.listdir(tmp_path / "run/valkey") == []


# Servers that the user named.


async def test_named_servers_are_used_and_nothing_is_made(endpoints: Endpoints, tmp_path: Path) -> None:
    async with open_servers(
        tmp_path / "data",
        postgres_dsn=endpoints.postgres_dsn,
        postgres_admin_dsn=endpoints.postgres_admin_dsn,
        redis_url=endpoints.redis_url,
    ) as named:
        assert named.postgres_source == "VNUM_POSTGRES_DSN"
        assert named.redis_source == "VNUM_REDIS_URL"
        assert named.postgres_dsn == endpoints.postgres_dsn
        assert named.postgres_admin_dsn == endpoints.postgres_admin_dsn
        assert named.redis_url == endpoints.redis_url
    assert not (tmp_path / "data").exists()


async def test_without_an_owners_dsn_the_one_dsn_serves_both(endpoints: Endpoints, tmp_path: Path) -> None:
    async with open_servers(tmp_path, postgres_dsn=endpoints.postgres_dsn, redis_url=endpoints.redis_url) as named:
        assert named.postgres_admin_dsn == endpoints.postgres_dsn


async def test_an_owners_dsn_alone_is_refused(endpoints: Endpoints, tmp_path: Path) -> None:
    trouble = await trouble_of(tmp_path, postgres_admin_dsn=endpoints.postgres_admin_dsn)
    assert trouble.code == "admin_dsn_alone"


class Case(NamedTuple):
    address: str
    code: str
    says: str = ""


@pytest.mark.parametrize(
    "case",
    [
        Case(f"postgresql://vnum:{SECRET}@localhost:{CLOSED_PORT}/vnum", "postgres_unreachable", "localhost:1"),
        Case(f"postgresql://vnum:{SECRET}@no-such-host.invalid/vnum", "postgres_unreachable", "no such host"),
        Case("postgresql:///vnum?host=/no/such/folder", "postgres_unreachable", "no such file"),
        Case(f"mysql://vnum:{SECRET}@localhost/vnum", "malformed_address"),
        Case(f"postgresql://vnum:{SECRET}/{SECRET}@localhost/vnum", "malformed_address", "percent-encoded"),
        Case(f"postgresql://vnum:1/{SECRET}@localhost/vnum", "malformed_address", "percent-encoded"),
        Case(f"host=localhost password={SECRET}", "malformed_address"),
    ],
)
async def test_a_postgres_dsn_that_does_not_work_is_an_error(case: Case, tmp_path: Path) -> None:
    trouble = await trouble_of(tmp_path, postgres_dsn=case.address)
    assert trouble.code == case.code
    assert case.says in trouble.message
    assert "VNUM_POSTGRES_DSN" in trouble.message
    assert not (tmp_path / "postgres").exists()


@pytest.mark.parametrize(
    "case",
    [
        Case(f"redis://:{SECRET}@localhost:{CLOSED_PORT}/0", "redis_unreachable", "localhost:1"),
        Case(f"redis://:{SECRET}@no-such-host.invalid/0", "redis_unreachable", "no such host"),
        Case("unix:///no/such/socket?db=0", "redis_unreachable", "no such file"),
        Case(f"http://:{SECRET}@localhost/0", "malformed_address"),
        Case(f"redis://:{SECRET}/{SECRET}@localhost/0", "malformed_address", "percent-encoded"),
        Case(f"redis://:1/{SECRET}@localhost/0", "malformed_address", "percent-encoded"),
    ],
)
async def test_a_redis_url_that_does_not_work_is_an_error(case: Case, tmp_path: Path) -> None:
    trouble = await trouble_of(tmp_path, redis_url=case.address)
    assert trouble.code == case.code
    assert case.says in trouble.message
    assert "VNUM_REDIS_URL" in trouble.message
    assert not (tmp_path / "valkey").exists()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@asynccontextmanager
async def guarded_postgres(data_dir: Path) -> AsyncIterator[str]:
    """An embedded server with a role `careful`, password `right`, that must give it. Yields a DSN without password."""
    hba = write(data_dir / "hba.conf", "local all careful scram-sha-256\nlocal all all trust\n")
    async with open_servers(data_dir, postgres_settings={**OWN_SETTINGS, "hba_file": str(hba)}) as endpoints:
        connection = await asyncpg.connect(endpoints.postgres_admin_dsn)
        await connection.execute("CREATE ROLE careful LOGIN PASSWORD 'right'")
        await connection.execute("GRANT CONNECT ON DATABASE vnum TO careful")
        await connection.close()
        yield endpoints.postgres_dsn.replace("vnum_app@", "careful:{}@")


async def test_a_login_that_postgres_refuses(tmp_path: Path) -> None:
    async with guarded_postgres(tmp_path / "theirs") as dsn:
        ours = tmp_path / "ours"
        assert (await trouble_of(ours, postgres_dsn=dsn.format(SECRET))).code == "postgres_login"
        assert (await trouble_of(ours, postgres_dsn=dsn.replace(":{}", ""))).code == "postgres_login"
        elsewhere = dsn.format("right").replace("/vnum?", "/other?")
        assert (await trouble_of(ours, postgres_dsn=elsewhere)).code == "postgres_database"


async def test_a_login_that_redis_refuses(tmp_path: Path) -> None:
    async with open_servers(tmp_path / "theirs", postgres_settings=OWN_SETTINGS) as endpoints:
        client = redis.asyncio.Redis.from_url(endpoints.redis_url)
        await client.config_set("requirepass", "right")
        await client.aclose()
        for address in (endpoints.redis_url, endpoints.redis_url.replace("unix://", f"unix://:{SECRET}@")):
            assert (await trouble_of(tmp_path / "ours", redis_url=address)).code == "redis_login"


@asynccontextmanager
async def some_web_server() -> AsyncIterator[str]:
    """Host and port of a program that is neither PostgreSQL nor Redis."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


async def test_an_address_that_another_program_has_taken(tmp_path: Path) -> None:
    async with some_web_server() as place:
        for servers, code in (
            ({"postgres_dsn": f"postgresql://vnum:{SECRET}@{place}/vnum"}, "not_postgres"),
            ({"redis_url": f"redis://:{SECRET}@{place}/0"}, "not_redis"),
        ):
            trouble = await trouble_of(tmp_path, **servers)
            assert trouble.code == code
            assert place in trouble.message


async def test_the_two_servers_taken_for_each_other(
    endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "CONNECT_LIMIT_S", 0.5)  # Redis waits for an end of line that never comes
    redis_socket = endpoints.redis_url.removeprefix("unix://").partition("?")[0]
    postgres_socket = endpoints.postgres_dsn.partition("host=")[2].partition("&")[0] + "/.s.PGSQL.5432"
    (tmp_path / ".s.PGSQL.5432").symlink_to(redis_socket)
    wrong_dsn = f"postgresql://vnum@/vnum?host={quote(str(tmp_path))}"
    assert (await trouble_of(tmp_path / "data", postgres_dsn=wrong_dsn)).code == "not_postgres"
    assert (await trouble_of(tmp_path / "data", redis_url=f"unix://{postgres_socket}")).code == "not_redis"


async def test_a_postgres_of_an_unsupported_version(
    endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_postgres, "POSTGRES_MAJORS", range(15, 18))
    trouble = await trouble_of(tmp_path, postgres_dsn=endpoints.postgres_dsn)
    assert trouble.code == "postgres_version"
    assert "15 to 17" in trouble.message


@pytest.mark.parametrize(
    ("info", "found"),
    [
        ({"redis_version": "7.0.15"}, "Redis 7.0.15"),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "Valkey 9.1.2"),
        ({"redis_version": "6.2.7"}, None),
    ],
)
def test_redis_below_7_is_refused(info: Mapping[str, str], found: str | None) -> None:
    if found:
        judged = judge(info, "VNUM_REDIS_URL")
        assert f"{judged.product} {judged.version}" == found
        return
    with pytest.raises(ServerTrouble, match=r"6\.2\.7") as caught:
        judge(info, "VNUM_REDIS_URL")
    assert caught.value.code == "redis_version"
