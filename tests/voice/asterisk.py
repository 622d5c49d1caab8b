"""Asterisk for the call suite: the files of deploy/asterisk with ports and folders of the test's, and its processes."""

import secrets
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.voice.obtained import ROOT, Obtained
from tests.voice.running import Program
from tests.voice.switches import RING_S, ROUTE_TIMEOUT_S, WARNING_S, Setup
from vnum.voice.softphone.sip import LOOPBACK

DEPLOYED = ROOT / "deploy" / "asterisk"
PROMPTS = ROOT / "vnum" / "voice" / "prompts"
BROUGHT_BY_THE_PACKAGE = ("acl", "features", "udptl")


@dataclass
class Asterisk(Obtained):
    """Asterisk, and beside it the programs that post its records and take orders."""

    name: str = "asterisk"
    prompts: bool = True

    def beside(self) -> list[Program]:
        return [Program([sys.executable, str(self._etc / "vnum_dials.py"), str(self.settings)], {}, "taking")]

    def words(self, starter: Path) -> Sequence[str]:
        return [str(starter), "-f", "-C", str(self._etc / "asterisk.conf")]

    @property
    def ready(self) -> str:
        return "Asterisk Ready"

    def logs(self) -> str:
        messages = self.folder / "log" / "messages.log"
        return "\n".join([super().logs(), messages.read_text() if messages.exists() else ""])

    @property
    def records(self) -> Path:
        return self.folder / "log" / "vnum.csv"

    @property
    def settings(self) -> Path:
        return self._etc / "vnum_settings.conf"

    @property
    def _etc(self) -> Path:
        return self.folder / "etc"

    def render(self, setup: Setup, starter: Path) -> None:
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
        self.set(self._etc / "asterisk.conf", folders | {"maxload = 4.0": "maxload = 0.0"})
        self.set(
            self.settings,
            {
                "http://127.0.0.1:8080": setup.api_url,
                "/etc/asterisk/vnum.key": setup.key_file,
                "/usr/share/asterisk/sounds/vnum": PROMPTS,
                "/var/log/asterisk": self.folder / "log",
                "/var/spool/asterisk": self.folder / "spool",
                "VNUM_ROUTE_SECONDS = 3": f"VNUM_ROUTE_SECONDS = {ROUTE_TIMEOUT_S:.0f}",
                "VNUM_MARK_SECONDS = 0": f"VNUM_MARK_SECONDS = {setup.mark_s}",
                "VNUM_RING_SECONDS = 30": f"VNUM_RING_SECONDS = {RING_S}",
                "VNUM_WARNING_MS = 10000": f"VNUM_WARNING_MS = {WARNING_S * 1000:.0f}",
            },
        )
        self.set(
            self._etc / "vnum_trunk.conf",
            {
                "0.0.0.0:5060": f"{LOOPBACK}:{self.address[1]}",
                "match = 192.0.2.10": f"match = {LOOPBACK}",
                "sip:192.0.2.10:5060": f"sip:{setup.trunk[0]}:{setup.trunk[1]}",
            },
        )
        first = 20_000 + 200 * secrets.randbelow(100)
        self.set(self._etc / "rtp.conf", {"10000": str(first), "20000": str(first + 198)})
