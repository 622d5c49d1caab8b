"""Kamailio for the call suite: the files of deploy/kamailio with ports and folders of the test's, and its processes."""

import shutil
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.voice.obtained import ROOT, obtained
from tests.voice.running import Program, free_port
from tests.voice.switches import RING_S, ROUTE_TIMEOUT_S, Setup
from vnum.voice.softphone.sip import LOOPBACK, Address

DEPLOYED = ROOT / "deploy" / "kamailio"
RECORDS = ROOT / "deploy" / "vnum_records.py"
MEMORY = ("-m", "64", "-M", "8")


@dataclass
class Kamailio:
    """Kamailio, and beside it the program that posts its records."""

    name: str = "kamailio"
    prompts: bool = False
    shifts: bool = False
    address: Address = (LOOPBACK, 0)
    folder: Path = Path()
    program: Program = field(default_factory=lambda: Program([], {}, ""))
    poster: Program = field(default_factory=lambda: Program([], {}, ""))

    async def start(self, setup: Setup) -> None:
        starter = obtained("kamailio")
        self.address = LOOPBACK, free_port(socket.SOCK_DGRAM)
        self.folder = setup.folder / "kamailio"
        (self.folder / "spool").mkdir(parents=True)
        self._render(setup)
        words = [str(starter), "-f", str(self.folder / "kamailio.cfg"), "-Y", str(self.folder), "-DD", "-E", *MEMORY]
        self.program = Program(words, {}, "calls are taken")
        self.poster = Program([*self._records, "post", str(self._settings)], {}, "posting")
        await self.restart()

    async def restart(self) -> None:
        """As the service is started: calls that a crash cut off are ended first."""
        cutting = Program([*self._records, "cut", str(self._settings)], {}, "calls were cut off")
        await cutting.start()
        await self.poster.start()
        await self.program.start()

    async def shift(self, ahead_s: float) -> None:
        raise NotImplementedError("Kamailio goes by the machine's clock")

    async def kill(self) -> None:
        await self.program.kill()
        await self.poster.kill()

    async def stop(self) -> None:
        await self.program.stop()
        await self.poster.stop()

    def unposted(self) -> int:
        """By their calls: a line that is being moved stands in both places for a moment."""
        found = {file.stem for file in (self.folder / "spool").glob("*.ended")}
        if self.records.exists():
            posted = self.records.with_name(self.records.name + ".posted")
            offset = int(posted.read_text().split()[1]) if posted.exists() else 0
            cells = [line.split(",") for line in self.records.read_bytes()[offset:].decode().splitlines()]
            found |= {call_id for kind, call_id, *_ in cells if kind == "ended"}
        return len(found)

    def cpu_s(self) -> float:
        """Its workers are processes."""
        workers = 0.0
        with suppress(psutil.NoSuchProcess, AssertionError):
            for one in self.program.process.children(recursive=True):
                workers += sum(one.cpu_times()[:2])
        return self.program.used_s() + workers + self.poster.used_s()

    def logs(self) -> str:
        return "\n".join([*self.program.said, *self.poster.said])

    @property
    def records(self) -> Path:
        """What `vnum records import --format asterisk` reads."""
        return self.folder / "vnum.csv"

    @property
    def _settings(self) -> Path:
        return self.folder / "vnum_settings.cfg"

    @property
    def _records(self) -> list[str]:
        return [sys.executable, str(RECORDS)]

    def _render(self, setup: Setup) -> None:
        shutil.copytree(DEPLOYED, self.folder, dirs_exist_ok=True)
        self._set(
            {
                "192.0.2.20:5060": f"{LOOPBACK}:{self.address[1]}",
                '"192.0.2.10"': f'"{LOOPBACK}"',
                "192.0.2.10:5060": f"{setup.trunk[0]}:{setup.trunk[1]}",
                "http://127.0.0.1:8080": setup.api_url,
                "/etc/kamailio/vnum.key": setup.key_file,
                "/var/lib/vnum": self.folder,
                "VNUM_ROUTE_SECONDS 3": f"VNUM_ROUTE_SECONDS {ROUTE_TIMEOUT_S:.0f}",
                "VNUM_RING_SECONDS 30": f"VNUM_RING_SECONDS {RING_S}",
            }
        )

    def _set(self, values: Mapping[str, object]) -> None:
        text = self._settings.read_text()
        for written, value in values.items():
            assert written in text, written
            text = text.replace(written, str(value))
        self._settings.write_text(text)
