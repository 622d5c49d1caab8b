"""Who the servers run as: root in a namespace, root as nobody, ordinary users, users without a name."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers.conftest import OWN_SETTINGS, Opener, environment
from tests.servers.test_embedded import ask_postgres
from vnum.servers import ServerTrouble, open_servers, postgres
from vnum.servers.accounts import Account, postgres_account, unreadable
from vnum.servers.binaries import choose_postgres

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run servers as another user")
NAMELESS = 54_321  # in no user database


def nobody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


@pytest.fixture(scope="session")
def public_python() -> str:
    """An interpreter that another user can run, with our packages: not one below a closed home folder."""
    of_the_system = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
    for python in (sys.executable, of_the_system):
        if python and nobody_can_run(python):
            return python
    pytest.skip("no interpreter or packages here that another user may read")


def nobody_can_run(python: str) -> bool:
    try:
        subprocess.run(
            [python, "-c", "import asyncpg, redis.asyncio, vnum.servers"],
            env=environment(),
            cwd="/",
            user=nobody().pw_uid,
            group=nobody().pw_gid,
            extra_groups=[],
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def owner_of(path: Path) -> int:
    return path.stat().st_uid


@AS_ROOT
def test_root_keeps_its_files_in_a_namespace(tmp_path: Path, start_opener: Callable[..., Opener]) -> None:
    account = postgres_account(tmp_path / "postgres", user_namespace=True)
    if not account.spec.startswith("namespace:"):
        pytest.skip("user namespaces are refused here")
    tmp_path.chmod(0o700)
    start_opener(tmp_path).read()
    assert owner_of(tmp_path / "postgres/PG_VERSION") == 0


@AS_ROOT
def test_where_namespaces_are_refused_nobody_owns_the_data_and_nothing_else(
    open_folder: Path, start_opener: Callable[..., Opener]
) -> None:
    data_dir = open_folder / "data"
    report = start_opener(data_dir, user_namespace=False).read()
    assert owner_of(data_dir / "postgres/PG_VERSION") == nobody().pw_uid
    assert owner_of(Path(f"/proc/{report['postgres_pid']}")) == nobody().pw_uid
    for path in (data_dir, data_dir / "run", data_dir / "logs", data_dir / "valkey"):
        assert owner_of(path) == 0
        assert path.stat().st_mode & 0o066 == 0


@AS_ROOT
async def test_nobody_keeps_what_was_made_for_him(open_folder: Path) -> None:
    for namespace in (False, True):
        async with open_servers(open_folder, postgres_settings=OWN_SETTINGS, user_namespace=namespace) as endpoints:
            assert await ask_postgres(endpoints.postgres_dsn, "SELECT 1") == 1
    assert owner_of(open_folder / "postgres/PG_VERSION") == nobody().pw_uid


@AS_ROOT
async def test_a_namespaces_data_goes_over_to_nobody(open_folder: Path) -> None:
    for namespace in (True, False):
        async with open_servers(open_folder, postgres_settings=OWN_SETTINGS, user_namespace=namespace) as endpoints:
            assert await ask_postgres(endpoints.postgres_dsn, "SELECT 1") == 1


@AS_ROOT
async def test_programs_that_nobody_can_read_are_copied_once(
    open_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = choose_postgres()
    assert wheel.wheel_root
    closed = tmp_path / "closed"
    shutil.copytree(wheel.wheel_root, closed / wheel.wheel_root.name)
    shutil.copytree(f"{wheel.wheel_root}.libs", closed / f"{wheel.wheel_root.name}.libs")
    closed.chmod(0o700)
    root = closed / wheel.wheel_root.name
    program = root / wheel.program.relative_to(wheel.wheel_root)
    monkeypatch.setattr(postgres, "choose_postgres", lambda: replace(wheel, program=program, wheel_root=root))
    for _ in range(2):
        async with open_servers(open_folder, postgres_settings=OWN_SETTINGS, user_namespace=False) as endpoints:
            assert "(copied to" in endpoints.postgres_source
            assert await ask_postgres(endpoints.postgres_dsn, "SELECT 1") == 1


@AS_ROOT
async def test_a_folder_that_nobody_can_enter_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    with pytest.raises(ServerTrouble, match="VNUM_DATA_DIR") as trouble:
        async with open_servers(tmp_path / "closed/data", user_namespace=False):
            pass
    assert trouble.value.code == "out_of_reach"


@AS_ROOT
def test_an_ordinary_user_runs_both_and_root_may_follow(
    open_folder: Path, start_opener: Callable[..., Opener], public_python: str
) -> None:
    os.chown(open_folder, nobody().pw_uid, nobody().pw_gid)
    users = start_opener(open_folder, python=public_python, user=nobody().pw_uid)
    assert owner_of(Path(f"/proc/{users.read()['postgres_pid']}")) == nobody().pw_uid
    users.close()
    roots = start_opener(open_folder)
    report = roots.read()
    for server in ("postgres", "valkey"):
        assert owner_of(Path(f"/proc/{report[f'{server}_pid']}")) == nobody().pw_uid
    roots.close()
    users_again = start_opener(open_folder, python=public_python, user=nobody().pw_uid)
    assert "postgres_pid" in users_again.read()


@AS_ROOT
def test_a_user_without_a_name_runs_both(
    open_folder: Path, start_opener: Callable[..., Opener], public_python: str
) -> None:
    os.chown(open_folder, NAMELESS, NAMELESS)
    report = start_opener(open_folder, python=public_python, user=NAMELESS).read()
    if report.get("trouble") == "no_account":
        pytest.skip("user namespaces are refused here")
    assert owner_of(open_folder / "postgres/PG_VERSION") == NAMELESS


@AS_ROOT
def test_a_closed_data_folder_is_refused_in_words(
    open_folder: Path, start_opener: Callable[..., Opener], public_python: str
) -> None:
    report = start_opener(open_folder / "data", python=public_python, user=nobody().pw_uid).read()
    assert report["trouble"] == "no_permission"
    assert str(open_folder / "data") in report["message"]


def test_an_account_that_is_refused_is_told_from_paths_that_are(tmp_path: Path) -> None:
    assert unreadable(Account(spec="same"), [tmp_path, tmp_path / "missing"]) == [str(tmp_path / "missing")]
    if os.geteuid() != 0:
        assert unreadable(Account(spec="0:0"), [tmp_path]) is None
