"""Switches that are obtained for tests, into a folder that is kept, and run with the files of deploy/.

What is theirs alone stands in `asterisk.py` and `kamailio.py`: which ports and folders of the test's go into which
file, and what is run beside the switch.
"""

import os
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.voice.running import Program, free_port
from tests.voice.switches import NotToBeHad, Setup
from vnum.voice.softphone.sip import LOOPBACK, Address

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "deploy" / "vnum_records.py"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vnum"
UNOBTAINED = 3


def obtained(name: str) -> Path:
    """The switch's starter. Raises NotToBeHad."""
    script = ROOT / "scripts" / "obtain_switch.py"
    done = subprocess.run([sys.executable, script, name, CACHE / name], capture_output=True, text=True)
    if done.returncode == UNOBTAINED:
        raise NotToBeHad(f"{name}: {done.stdout.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return CACHE / name / name


@dataclass
class Obtained(ABC):
    """A switch that goes by the machine's clock. Its records are posted by a program beside it."""

    name: str
    prompts: bool
    shifts: bool = False
    address: Address = (LOOPBACK, 0)
    folder: Path = Path()
    programs: list[Program] = field(default_factory=list)
    """As they are started; the switch is the last."""

    async def start(self, setup: Setup) -> None:
        starter = obtained(self.name)
        self.address = LOOPBACK, free_port(socket.SOCK_DGRAM)
        self.folder = setup.folder / self.name
        self.render(setup, starter)
        self.programs = [self._program("post", "posting"), *self.beside(), Program(self.words(starter), {}, self.ready)]
        await self.restart()

    async def restart(self) -> None:
        """As the service is started: calls that a crash cut off are ended first."""
        await self._program("cut", "calls were cut off").start()
        for program in self.programs:
            await program.start()

    async def shift(self, ahead_s: float) -> None:
        raise NotImplementedError(f"{self.name} goes by the machine's clock")

    async def kill(self) -> None:
        for program in reversed(self.programs):
            await program.kill()

    async def stop(self) -> None:
        for program in reversed(self.programs):
            await program.stop()

    def cpu_s(self) -> float:
        return sum(program.used_s() for program in self.programs)

    def logs(self) -> str:
        return "\n".join(line for program in self.programs for line in program.said)

    def unposted(self) -> int:
        return len(self.to_post()) + len(self._behind("marked", "marked"))

    def to_post(self) -> set[str]:
        """Ids of calls whose record was not taken yet."""
        return self._behind("posted", "ended")

    def _behind(self, way: str, kind: str) -> set[str]:
        """Ids of calls with such a line in the file behind what was posted of it."""
        if not self.records.exists():
            return set()
        posted = self.records.with_name(f"{self.records.name}.{way}")
        offset = int(posted.read_text().split()[1]) if posted.exists() else 0
        cells = [line.split(",") for line in self.records.read_bytes()[offset:].decode().splitlines()]
        return {call_id for found, call_id, *_ in cells if found == kind}

    def set(self, file: Path, values: Mapping[str, object]) -> None:
        """Writes values where the deployed file has others."""
        text = file.read_text()
        for written, value in values.items():
            assert written in text, (file.name, written)
            text = text.replace(written, str(value))
        file.write_text(text)

    def _program(self, does: str, ready: str) -> Program:
        return Program([sys.executable, str(RECORDS), does, str(self.settings)], {}, ready)

    def beside(self) -> list[Program]:
        """What is run besides the poster."""
        return []

    @abstractmethod
    def render(self, setup: Setup, starter: Path) -> None:
        """Into `folder`."""

    @abstractmethod
    def words(self, starter: Path) -> Sequence[str]:
        """How it is started in the foreground."""

    @property
    @abstractmethod
    def ready(self) -> str:
        """What it prints when it takes calls."""

    @property
    @abstractmethod
    def settings(self) -> Path:
        """Where ports, folders and times stand."""

    @property
    @abstractmethod
    def records(self) -> Path:
        """What `vnum records import --format asterisk` reads."""
