"""Kamailio for the call suite: the files of deploy/kamailio with ports and folders of the test's, and its processes."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.voice.obtained import ROOT, Obtained
from tests.voice.switches import RING_S, ROUTE_TIMEOUT_S, Setup
from vnum.voice.softphone.sip import LOOPBACK

DEPLOYED = ROOT / "deploy" / "kamailio"
MEMORY = ("-m", "64", "-M", "8")


@dataclass
class Kamailio(Obtained):
    """Kamailio, and beside it the program that posts its records."""

    name: str = "kamailio"
    prompts: bool = False

    def words(self, starter: Path) -> Sequence[str]:
        return [str(starter), "-f", str(self.folder / "kamailio.cfg"), "-Y", str(self.folder), "-DD", "-E", *MEMORY]

    @property
    def ready(self) -> str:
        return "calls are taken"

    def to_post(self) -> set[str]:
        """By their calls: a line that is being moved stands in both places for a moment."""
        return super().to_post() | {file.stem for file in (self.folder / "spool").glob("*.ended")}

    def cpu_s(self) -> float:
        """Its workers are processes."""
        workers = 0.0
        with suppress(psutil.NoSuchProcess, AssertionError):
            for switch in self.programs[-1:]:
                workers = sum(sum(one.cpu_times()[:2]) for one in switch.process.children(recursive=True))
        return super().cpu_s() + workers

    @property
    def records(self) -> Path:
        return self.folder / "vnum.csv"

    @property
    def settings(self) -> Path:
        return self.folder / "vnum_settings.cfg"

    def render(self, setup: Setup, starter: Path) -> None:
        (self.folder / "spool").mkdir(parents=True)
        shutil.copytree(DEPLOYED, self.folder, dirs_exist_ok=True)
        self.set(
            self.settings,
            {
                "192.0.2.20:5060": f"{LOOPBACK}:{self.address[1]}",
                '"192.0.2.10"': f'"{LOOPBACK}"',
                "192.0.2.10:5060": f"{setup.trunk[0]}:{setup.trunk[1]}",
                "http://127.0.0.1:8080": setup.api_url,
                "/etc/kamailio/vnum.key": setup.key_file,
                "/var/lib/vnum": self.folder,
                "VNUM_ROUTE_SECONDS 3": f"VNUM_ROUTE_SECONDS {ROUTE_TIMEOUT_S:.0f}",
                "VNUM_RING_SECONDS 30": f"VNUM_RING_SECONDS {RING_S}",
            },
        )
