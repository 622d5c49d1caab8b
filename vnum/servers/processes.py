"""Server processes: the lock that lives as long as they do, starting, stopping, and what they said last."""

import asyncio
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vnum.servers.accounts import Account, launch_words
from vnum.servers.trouble import ServerTrouble

POLL_S = 0.01
_LOG_BYTES_MAX = 10_000_000
_LOG_LINES_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run under the data folder's lock."""

    program: Path
    arguments: Sequence[str]
    source: str
    account: Account
    folder: Path
    log: Path
    lock: int
    death_signal: signal.Signals


def try_lock(path: Path) -> int | None:
    """The lock's file descriptor, or None while a server of this folder, or who is starting one, holds it.

    The lock belongs to the open file, which the server and all its children inherit: it is free exactly when
    the last of them is gone, however they ended. No process number need be trusted.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as trouble:
        os.close(descriptor)
        raise ServerTrouble(
            "no_locks",
            f"{path} cannot be locked: {trouble.strerror}.",
            "Set VNUM_DATA_DIR to a folder on a local disk.",
        ) from None
    return descriptor


def spawn(command: Command) -> "subprocess.Popen[bytes]":
    """Starts it so that it dies with us.

    The kernel ties the death signal to the THREAD that forks, not to the process. So call this from a thread
    that lives as long as the server should: the main thread or the event loop's, never a pool's worker.
    """
    words = [*launch_words(command.account, command.death_signal), str(command.program), *command.arguments]
    with command.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - the program is one of the order of choice
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=command.folder,
            env=clean_environment(),
            pass_fds=[command.lock],
            start_new_session=True,  # Ctrl-C at the terminal is for us; the servers outlive our last commit
        )


def clean_environment() -> dict[str, str]:
    """Ours without PGPORT, PGDATA and the like, which PostgreSQL would obey."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


async def stop(process: "subprocess.Popen[bytes]", *steps: tuple[signal.Signals, float]) -> None:
    """Sends each signal in turn until the process is gone, waiting so many seconds after each."""
    for number, seconds in steps:
        if process.poll() is None:
            process.send_signal(number)
        if await wait_until(lambda: is_gone(process), seconds):
            return


async def wait_until(condition: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Asks again and again; False if the time is over."""
    end = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(POLL_S)
    return True


def trim_log(log: Path) -> int:
    """Keeps one older log when this one has grown large. Returns where this start's lines begin."""
    size = log.stat().st_size if log.exists() else 0
    if size <= _LOG_BYTES_MAX:
        return size
    log.replace(log.with_suffix(".log.1"))
    return 0


def last_words(log: Path, begin: int) -> str:
    """The last lines that were written after `begin`."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read()[-20_000:].decode("utf-8", "replace").strip().splitlines()
    return "\n".join(lines[-_LOG_LINES_SHOWN:])


async def is_gone(process: "subprocess.Popen[bytes]") -> bool:
    return process.poll() is not None
