"""The embedded PostgreSQL: its folder, its settings and how it is run."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from vnum.servers.accounts import Account, postgres_account
from vnum.servers.binaries import Binary, choose_postgres
from vnum.servers.embedded import StopSteps, died
from vnum.servers.folders import (
    POSTGRES_SOCKET,
    Folders,
    check_free_space,
    check_owner,
    disk_full,
    give,
    make_socket_folder,
)
from vnum.servers.processes import Command, is_gone, spawn, stop, wait_until
from vnum.servers.reach import within_reach
from vnum.servers.roles import OWNER_ROLE, can_connect, create_missing
from vnum.servers.trouble import ServerTrouble

INITDB_LIMIT_S = 120.0

# fsync and synchronous_commit are left on: what was answered with success must survive a power cut.
SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "wal_compression": "on",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A failing statement and the row that it fails on may name a person; neither goes into a log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPostgres:
    """Fills in `embedded.Embedded`. `settings` override SETTINGS."""

    folders: Folders
    settings: Mapping[str, str]
    user_namespace: bool
    name: str = "postgres"
    # Fast shutdown, then one that recovers at the next start, then what no process withstands.
    stop_steps: StopSteps = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))

    async def prepare(self, lock: int) -> Command:
        binary = await asyncio.to_thread(choose_postgres)
        check_owner(self.folders.postgres)
        check_version(self.folders.postgres, binary)
        binary, account = await asyncio.to_thread(self._choose_account, binary)
        if not self.folders.postgres.exists():
            await self._initialise(binary, account, lock)
        await asyncio.to_thread(give, self.folders.postgres, account.files_of)
        self.folders.postgres.chmod(0o700)  # a copied folder may be open to others, which PostgreSQL refuses
        make_socket_folder(self.folders, self.name, account.files_of)
        for file in self._lock_files():
            forget_reused_process(file, self.folders.postgres)
        return self._command(binary, account, lock)

    async def answers(self, socket_folder: Path) -> bool:
        return await can_connect(socket_folder)

    async def furnish(self, socket_folder: Path) -> bool:
        try:
            return await can_connect(socket_folder) or await create_missing(socket_folder)
        except asyncpg.DiskFullError:
            raise disk_full(self.folders.data_dir, "PostgreSQL could not create its database") from None

    def _lock_files(self) -> tuple[Path, Path]:
        """PostgreSQL's own, beside our lock."""
        socket_folder = self.folders.socket_folder(self.name)
        return self.folders.postgres / "postmaster.pid", socket_folder / f"{POSTGRES_SOCKET}.lock"

    def _choose_account(self, binary: Binary) -> tuple[Binary, Account]:
        account = postgres_account(self.folders.postgres, user_namespace=self.user_namespace)
        return within_reach(binary, account, self.folders), account

    async def _initialise(self, binary: Binary, account: Account, lock: int) -> None:
        """Into a folder beside, renamed when complete: a first start cut short leaves no half database."""
        check_free_space(self.folders.data_dir)
        partial = self.folders.data_dir / "postgres.partial"
        await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        give(partial, account.files_of)
        await self._run_initdb(self._initdb_command(binary, account, partial, lock))
        partial.rename(self.folders.postgres)
        _sync(self.folders.data_dir)

    async def _run_initdb(self, command: Command) -> None:
        said = command.log.stat().st_size if command.log.exists() else 0
        process = spawn(command)
        try:
            await wait_until(lambda: is_gone(process), INITDB_LIMIT_S)
        finally:
            await stop(process, (signal.SIGKILL, 10.0))
        if process.returncode != 0:
            raise died(self, said, f"initdb ended with code {process.returncode}")

    def _initdb_command(self, binary: Binary, account: Account, folder: Path, lock: int) -> Command:
        words = ["-A", "trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions", "-U", OWNER_ROLE]
        if self.settings.get("fsync") == "off":
            words.append("--no-sync")
        return Command(
            program=binary.program.with_name("initdb"),
            arguments=["-D", str(folder), *words],
            source=binary.source,
            account=account,
            folder=self.folders.data_dir,
            log=self.folders.log(self.name),
            lock=lock,
            death_signal=signal.SIGKILL,
        )

    def _command(self, binary: Binary, account: Account, lock: int) -> Command:
        settings = {
            **SETTINGS,
            "unix_socket_directories": str(self.folders.socket_folder(self.name)),
            **self.settings,
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Command(
            program=binary.program,
            arguments=["-D", str(self.folders.postgres), *words],
            source=binary.source,
            account=account,
            folder=self.folders.postgres,
            log=self.folders.log(self.name),
            lock=lock,
            death_signal=signal.SIGINT,
        )


def _sync(folder: Path) -> None:
    """Makes a rename last: were it lost in a power cut, the next start would clear the data away."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def data_version(folder: Path) -> str | None:
    """The major version that made this data folder; None if there is none yet."""
    try:
        return (folder / "PG_VERSION").read_text("ascii").strip()
    except FileNotFoundError:
        return None


def check_version(folder: Path, binary: Binary) -> None:
    """Raises ServerTrouble `data_of_another_version`, or `not_a_database` for a folder of other things."""
    found = data_version(folder)
    if found == str(binary.major) or not folder.exists():
        return
    if found is None:
        raise ServerTrouble(
            "not_a_database",
            f"{folder} is there, but it is no PostgreSQL data folder.",
            "Move it away, then start again.",
        )
    raise ServerTrouble(
        "data_of_another_version",
        f"{folder} was made by PostgreSQL {found}; PostgreSQL {binary.major} cannot read it ({binary.source}).",
        f"Dump it with PostgreSQL {found} and load it again, or run a PostgreSQL {found} on it and name that "
        "server in VNUM_POSTGRES_DSN, or set VNUM_DATA_DIR to another folder.",
    )


def forget_reused_process(file: Path, folder: Path) -> None:
    """Removes a lock file whose process number belongs to a stranger by now, as after a reboot.

    We hold the lock, so none of our servers lives. PostgreSQL itself sees through a number that is free; it refuses to
    start only if some process bears it. One that works in the data folder may be a server started by hand: that is
    left alone.
    """
    try:
        number = int(file.read_text("utf-8", "replace").split("\n", 1)[0])
        stranger = Path(f"/proc/{number}/cwd").resolve(strict=True) != folder
    except (OSError, ValueError):
        return
    if stranger:
        file.unlink()
