"""`vnum switch` as a process of its own, as in service, for as long as a demo runs."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from vnum.servers.accounts import SAME, launch_words
from vnum.voice.softphone.sip import LOOPBACK, Address

READY_S: Final = 60.0
STOP_S: Final = 10.0


class SwitchTrouble(Exception):
    """The switch did not come up; what it said."""


@asynccontextmanager
async def running_switch(folder: Path, *, api: str, key: str, trunk: Address) -> AsyncIterator[Address]:
    """Where it takes calls. Raises SwitchTrouble."""
    key_file = folder / "switch.key"
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key)
    listen = LOOPBACK, free_port(socket.SOCK_DGRAM)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VNUM_SWITCH_")} | {
        "VNUM_LOG_LEVEL": "error",
        "VNUM_SWITCH_LISTEN": f"{listen[0]}:{listen[1]}",
        "VNUM_SWITCH_TRUNK": f"sip:{trunk[0]}:{trunk[1]}",
        "VNUM_SWITCH_API": api,
        "VNUM_SWITCH_KEY_FILE": str(key_file),
        "VNUM_SWITCH_SPOOL": str(folder / "spool"),
        "VNUM_SWITCH_METRICS": f"{LOOPBACK}:{free_port(socket.SOCK_STREAM)}",
    }
    words = [*launch_words(SAME, signal.SIGTERM), sys.executable, "-m", "vnum.cli", "switch"]
    process = await asyncio.create_subprocess_exec(*words, stdout=PIPE, stderr=STDOUT, env=environment)
    try:
        await _until_ready(process)
        yield listen
    finally:
        await _stopped(process)


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as tried:
        tried.bind((LOOPBACK, 0))
        port: int = tried.getsockname()[1]
        return port


async def _until_ready(process: Process) -> None:
    assert process.stdout is not None
    said = []
    with suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            while line := (await process.stdout.readline()).decode("utf-8", "replace"):
                said.append(line)
                if line.startswith("ready"):
                    return
    raise SwitchTrouble("the switch did not come up: " + ("".join(said).strip() or "it said nothing"))


async def _stopped(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_S):
            await process.communicate()  # so that it can say its last words
    except TimeoutError:
        process.kill()
        await process.wait()
