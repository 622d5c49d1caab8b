"""Asterisk for the call suite: the files of deploy/asterisk with ports and folders of the test's, and its processes."""

import secrets
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.voice.obtained import ROOT, obtained
from tests.voice.running import Program, free_port
from tests.voice.switches import RING_S, ROUTE_TIMEOUT_S, WARNING_S, Setup
from vnum.voice.softphone.sip import LOOPBACK, Address

DEPLOYED = ROOT / "deploy" / "asterisk"
PROMPTS = ROOT / "vnum" / "voice" / "prompts"
RECORDS = ROOT / "deploy" / "vnum_records.py"
BROUGHT_BY_THE_PACKAGE = ("acl", "features", "pjproject", "udptl")


@dataclass
class Asterisk:
    """Asterisk, and beside it the programs that post its records and take orders."""

    name: str = "asterisk"
    prompts: bool = True
    shifts: bool = False
    address: Address = (LOOPBACK, 0)
    folder: Path = Path()
    program: Program = field(default_factory=lambda: Program([], {}, ""))
    poster: Program = field(default_factory=lambda: Program([], {}, ""))
    dialler: Program = field(default_factory=lambda: Program([], {}, ""))

    async def start(self, setup: Setup) -> None:
        starter = obtained("asterisk")
        self.address = LOOPBACK, free_port(socket.SOCK_DGRAM)
        self.folder = setup.folder / "asterisk"
        self._render(setup, starter)
        self.program = Program([str(starter), "-f", "-C", str(self._etc / "asterisk.conf")], {}, "Asterisk Ready")
        self.poster = Program([*self._records, "post", str(self._settings)], {}, "posting")
        self.dialler = Program([sys.executable, str(self._etc / "vnum_dials.py"), str(self._settings)], {}, "taking")
        await self.restart()

    async def restart(self) -> None:
        """As the service is started: calls that a crash cut off are ended first."""
        cutting = Program([*self._records, "cut", str(self._settings)], {}, "calls were cut off")
        await cutting.start()
        await self.poster.start()
        await self.dialler.start()
        await self.program.start()

    async def shift(self, ahead_s: float) -> None:
        raise NotImplementedError("Asterisk goes by the machine's clock")

    async def kill(self) -> None:
        await self.program.kill()
        await self.poster.kill()
        await self.dialler.kill()

    async def stop(self) -> None:
        await self.program.stop()
        await self.poster.stop()
        await self.dialler.stop()

    def unposted(self) -> int:
        if not self.records.exists():
            return 0
        posted = self.records.with_name(self.records.name + ".posted")
        offset = int(posted.read_text().split()[1]) if posted.exists() else 0
        return sum(line.startswith(b"ended,") for line in self.records.read_bytes()[offset:].splitlines())

    def cpu_s(self) -> float:
        return self.program.used_s() + self.poster.used_s() + self.dialler.used_s()

    def logs(self) -> str:
        messages = self.folder / "log" / "messages.log"
        return "\n".join(
            [
                *self.program.said,
                *self.poster.said,
                *self.dialler.said,
                messages.read_text() if messages.exists() else "",
            ]
        )

    @property
    def records(self) -> Path:
        """What `vnum records import --format asterisk` reads."""
        return self.folder / "log" / "vnum.csv"

    @property
    def _etc(self) -> Path:
        return self.folder / "etc"

    @property
    def _settings(self) -> Path:
        return self._etc / "vnum_settings.conf"

    @property
    def _records(self) -> list[str]:
        return [sys.executable, str(RECORDS)]

    def _render(self, setup: Setup, starter: Path) -> None:
        for made in ("var", "run", "log", "spool", "cache"):
            (self.folder / made).mkdir(parents=True)
        shutil.copytree(DEPLOYED, self._etc)
        for name in BROUGHT_BY_THE_PACKAGE:
            (self._etc / f"{name}.conf").touch()
        installed = starter.parent / "root"
        folders = {
            "/var/cache/asterisk": self.folder / "cache",
            "/etc/asterisk": self._etc,
            "/usr/lib/x86_64-linux-gnu/asterisk/modules": next(installed.glob("usr/lib/*/asterisk/modules")),
            "/var/lib/asterisk": self.folder / "var",
            "=> /usr/share/asterisk": f"=> {installed / 'usr/share/asterisk'}",
            "/var/spool/asterisk": self.folder / "spool",
            "/var/run/asterisk": self.folder / "run",
            "/var/log/asterisk": self.folder / "log",
        }
        self._set("asterisk.conf", folders | {"maxload = 4.0": "maxload = 0.0"})
        self._set(
            "vnum_settings.conf",
            {
                "http://127.0.0.1:8080": setup.api_url,
                "/etc/asterisk/vnum.key": setup.key_file,
                "/usr/share/asterisk/sounds/vnum": PROMPTS,
                "/var/log/asterisk": self.folder / "log",
                "/var/spool/asterisk": self.folder / "spool",
                "VNUM_ROUTE_SECONDS = 3": f"VNUM_ROUTE_SECONDS = {ROUTE_TIMEOUT_S:.0f}",
                "VNUM_RING_SECONDS = 30": f"VNUM_RING_SECONDS = {RING_S}",
                "VNUM_WARNING_MS = 10000": f"VNUM_WARNING_MS = {WARNING_S * 1000:.0f}",
            },
        )
        self._set(
            "vnum_trunk.conf",
            {
                "0.0.0.0:5060": f"{LOOPBACK}:{self.address[1]}",
                "match = 192.0.2.10": f"match = {LOOPBACK}",
                "sip:192.0.2.10:5060": f"sip:{setup.trunk[0]}:{setup.trunk[1]}",
            },
        )
        first = 20_000 + 200 * secrets.randbelow(100)
        self._set("rtp.conf", {"10000": str(first), "20000": str(first + 198)})

    def _set(self, name: str, values: Mapping[str, object]) -> None:
        file = self._etc / name
        text = file.read_text()
        for written, value in values.items():
            assert written in text, (name, written)
            text = text.replace(written, str(value))
        file.write_text(text)
