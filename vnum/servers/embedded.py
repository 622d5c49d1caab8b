"""How an embedded server is started, or joined if it runs already; PostgreSQL and Valkey fill in the rest."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from vnum.servers.folders import FOLDER_ERRORS, Folders, disk_full, folder_trouble
from vnum.servers.notes import Note, leave_note, read_note
from vnum.servers.processes import POLL_S, Command, last_words, spawn, stop, trim_log, try_lock
from vnum.servers.trouble import ServerTrouble

# Replaying a log after a power cut takes long, and is not to be cut short.
START_LIMIT_S = 300.0

StopSteps = Sequence[tuple[signal.Signals, float]]
log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Embedded(Protocol):
    """One kind of server on one set of folders."""

    @property
    def name(self) -> str: ...

    @property
    def folders(self) -> Folders: ...

    @property
    def stop_steps(self) -> StopSteps: ...

    async def prepare(self, lock: int) -> Command:
        """Makes or checks its folders, and says what to run. The lock is held."""

    async def answers(self, socket_folder: Path) -> bool:
        """Whether it is ready for our use."""

    async def furnish(self, socket_folder: Path) -> bool:
        """The same, for who started it: creates what is missing as soon as it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that answers. `started` is None if another process started it, which alone may stop it."""

    socket_folder: Path
    source: str
    started: "Started | None" = None

    async def close(self) -> None:
        if self.started is not None:
            await self.started.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A server of ours. `note` is the descriptor that shows others that we live."""

    process: "subprocess.Popen[bytes]"
    note: int
    stop_steps: StopSteps

    async def close(self) -> None:
        os.close(self.note)  # first, so that nobody joins a server that is about to end
        await stop(self.process, *self.stop_steps)


async def start_or_join(server: Embedded) -> Running:
    """Starts the server if nobody runs it on these folders, else joins it. Raises ServerTrouble."""
    try:
        return await _start_or_join(server)
    except OSError as trouble:
        if trouble.errno not in FOLDER_ERRORS:
            raise
        raise folder_trouble(server.folders.data_dir, trouble) from trouble


async def _start_or_join(server: Embedded) -> Running:
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        lock = try_lock(server.folders.lock(server.name))
        running = await _join(server) if lock is None else await _start(server, lock)
        if running is not None:
            log.info("server_ready", server=server.name, source=running.source, started=running.started is not None)
            return running
        await asyncio.sleep(POLL_S)
    raise _not_ready(server)


async def _join(server: Embedded) -> Running | None:
    """None while it cannot be joined: it is being started, or it ends because its owner did."""
    path = server.folders.note(server.name)
    note = read_note(path)
    if note is None or not await server.answers(note.socket_folder) or read_note(path) != note:
        return None  # asked again, as its owner may have gone while it answered
    return Running(socket_folder=note.socket_folder, source=f"{note.source} (running already)")


async def _start(server: Embedded, lock: int) -> Running:
    try:
        said = trim_log(server.folders.log(server.name))
        command = await server.prepare(lock)
        folder = server.folders.socket_folder(server.name)
        note = leave_note(server.folders.note(server.name), Note(socket_folder=folder, source=command.source))
        started = Started(process=spawn(command), note=note, stop_steps=server.stop_steps)
    finally:
        os.close(lock)  # from here on the server alone holds it
    try:
        await _until_ready(server, started.process, folder, said)
    except BaseException:
        await started.close()
        raise
    return Running(socket_folder=folder, source=command.source, started=started)


async def _until_ready(server: Embedded, process: "subprocess.Popen[bytes]", folder: Path, said: int) -> None:
    end = time.monotonic() + START_LIMIT_S
    while not await server.furnish(folder):
        if process.poll() is not None:
            raise died(server, said, f"it ended with code {process.returncode}")
        if time.monotonic() > end:
            raise _not_ready(server)
        await asyncio.sleep(POLL_S)


def died(server: Embedded, said: int, how: str) -> ServerTrouble:
    """Why a server ended before it was ready, in its own words."""
    log_file = server.folders.log(server.name)
    words = last_words(log_file, said)
    if "No space left" in words:
        return disk_full(server.folders.data_dir, f"{server.name} said:\n{words}\n")
    return ServerTrouble(
        "server_died",
        f"{server.name} could not be started on {server.folders.data_dir}: {how}. Its last words:\n{words}\n",
        f"All that it said stands in {log_file}.",
    )


def _not_ready(server: Embedded) -> ServerTrouble:
    return ServerTrouble(
        "server_not_ready",
        f"{server.name} on {server.folders.data_dir} was not ready within {START_LIMIT_S:.0f} s.",
        f"What it is doing stands in {server.folders.log(server.name)}.",
    )
