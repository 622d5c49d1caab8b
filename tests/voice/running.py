"""Programs beside the tests: a vnum server, and whatever else is a process that may be killed and started again."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from vnum.voice.softphone.sip import LOOPBACK

PATIENCE_S = 60
AHEAD = Path(__file__).with_name("ahead.py")
VNUM = (sys.executable, "-m", "vnum.cli")


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@dataclass
class Program:
    """`ready` = words that it prints when it can be used; `said` = all its lines, of every start."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    ready: str
    said: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _process: asyncio.subprocess.Process | None = None
    _reader: "asyncio.Task[None] | None" = None

    async def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VNUM_")}
        process = self._process = await asyncio.create_subprocess_exec(
            *self.arguments,
            env={**environment, **self.environment, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
        )
        begun = len(self.said)
        self._reader = asyncio.create_task(self._read(process))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._until(self.ready, begun), PATIENCE_S)
        told = self.said[begun:]
        assert any(self.ready in line for line in told), "\n".join([*map(str, self.arguments), *told[-40:]])

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.said.append(line.decode(errors="replace").rstrip())
            self._news.set()
        self._news.set()

    async def _until(self, words: str, begun: int = 0) -> None:
        """Until it has printed that, or ended."""
        while not any(words in line for line in self.said[begun:]):
            assert self._reader is not None
            if self._reader.done():
                return
            self._news.clear()
            await self._news.wait()

    @property
    def process(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def heard(self, words: str) -> None:
        """Until it has printed that."""
        await asyncio.wait_for(self._until(words), PATIENCE_S)

    def used_s(self) -> float:
        """Seconds of CPU, of all its starts."""
        with suppress(psutil.NoSuchProcess, AssertionError):
            times = self.process.cpu_times()
            return self.cpu_s + times.user + times.system
        return self.cpu_s

    async def kill(self) -> None:
        """With SIGKILL, it and its children."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self.cpu_s = self.used_s()
        family = [self.process, *self.process.children(recursive=True)]
        for one in family if number is signal.SIGKILL else family[:1]:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(number)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            raise
        finally:
            if self._reader is not None:
                await self._reader


async def ahead(program: Program, seconds: float) -> None:
    """Sets the clock of a program that was started by `ahead.py`."""
    program.tell(f"{seconds:.6f}")
    await program.heard(f"ahead by {seconds:.6f}")


def server(settings: Mapping[str, str], *, ahead_s: float | None = None) -> Program:
    """`vnum serve`; with `ahead_s` its clock is so far ahead, and `ahead` sets it anew while it runs."""
    if ahead_s is None:
        return Program([*VNUM, "serve"], settings, "Ctrl-C stops it")
    return Program([sys.executable, str(AHEAD), str(ahead_s), "serve"], settings, "Ctrl-C stops it")
