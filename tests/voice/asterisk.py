"""Asterisk for the call suite: the files of deploy/asterisk with ports and folders of the test's, and its process."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEPLOYED = ROOT / "deploy" / "asterisk"
PROMPTS = ROOT / "vnum" / "voice" / "prompts"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vnum" / "asterisk"
NOT_TO_BE_HAD = 3
READY_S = 60.0

Address = tuple[str, int]


def obtained(folder: Path = CACHE) -> Path:
    """Asterisk 22's starter; skips the test where it can not be had."""
    script = ROOT / "scripts" / "obtain_asterisk.py"
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True)
    if done.returncode == NOT_TO_BE_HAD:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "asterisk"


class Asterisk:
    """One Asterisk in `folder`. What it was started with holds for restarts too."""

    name = "asterisk"

    def __init__(self, folder: Path, starter: Path) -> None:
        self.folder = folder
        self.starter = starter
        self.address: Address = ("127.0.0.1", 0)
        self.process: asyncio.subprocess.Process | None = None

    @property
    def records(self) -> Path:
        """What `vnum records import --format asterisk` reads."""
        return self.log / "vnum.csv"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    async def start(self, api: str, key_file: Path, trunk: Address, sip_port: int) -> None:
        """Takes calls at `address` when it returns; recipients are rung at `trunk`."""
        self.address = ("127.0.0.1", sip_port)
        self._render(api, key_file, trunk)
        await self._run()

    async def restart(self) -> None:
        await self.stop()
        await self._run()

    async def stop(self) -> None:
        """Calls that run are hung up."""
        await self._signal(signal.SIGTERM)

    async def kill(self) -> None:
        await self._signal(signal.SIGKILL)

    async def told(self, command: str) -> str:
        """What its console says to a command."""
        asked = await asyncio.create_subprocess_exec(
            self.starter, "-C", self._etc / "asterisk.conf", "-rx", command,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        written, _ = await asked.communicate()
        return written.decode(errors="replace")

    @property
    def _etc(self) -> Path:
        return self.folder / "etc"

    async def _run(self) -> None:
        with (self.folder / "console").open("ab") as console:
            self.process = await asyncio.create_subprocess_exec(
                self.starter, "-f", "-C", self._etc / "asterisk.conf",
                stdin=asyncio.subprocess.DEVNULL, stdout=console, stderr=console, cwd=self.folder,
            )  # fmt: skip
        async with asyncio.timeout(READY_S):
            while "fully booted" not in await self.told("core waitfullybooted"):
                assert self.process.returncode is None, (self.folder / "console").read_text()
                await asyncio.sleep(0.05)

    async def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
            await self.process.wait()
        self.process = None

    def _render(self, api: str, key_file: Path, trunk: Address) -> None:
        for made in ("var", "run", "log", "spool", "cache"):
            (self.folder / made).mkdir(parents=True, exist_ok=True)
        shutil.copytree(DEPLOYED, self._etc, dirs_exist_ok=True)
        installed = self.starter.parent / "root"
        modules = next(installed.glob("usr/lib/*/asterisk/modules"))
        for unused in ("acl", "features", "pjproject", "udptl"):  # the package brings them; here they would be missed
            (self._etc / f"{unused}.conf").touch()
        self._set("asterisk.conf", {
            "/var/cache/asterisk": self.folder / "cache",
            "/etc/asterisk": self._etc,
            "/usr/lib/x86_64-linux-gnu/asterisk/modules": modules,
            "/var/lib/asterisk": self.folder / "var",
            "=> /usr/share/asterisk": f"=> {installed / 'usr/share/asterisk'}",
            "/var/spool/asterisk": self.folder / "spool",
            "/var/run/asterisk": self.folder / "run",
            "/var/log/asterisk": self.log,
            "maxload = 4.0": "maxload = 0.0",
        })  # fmt: skip
        self._set("vnum_settings.conf", {
            "http://127.0.0.1:8080": api,
            "/etc/asterisk/vnum.key": key_file,
            "/usr/share/asterisk/sounds/vnum": PROMPTS,
            "/var/log/asterisk/vnum.csv": self.records,
        })  # fmt: skip
        self._set("vnum_trunk.conf", {
            "0.0.0.0:5060": "{}:{}".format(*self.address),
            "match = 192.0.2.10": "match = 127.0.0.1",
            "sip:192.0.2.10:5060": "sip:{}:{}".format(*trunk),
        })  # fmt: skip

    def _set(self, name: str, values: dict[str, object]) -> None:
        file = self._etc / name
        text = file.read_text()
        for written, value in values.items():
            assert written in text, (name, written)
            text = text.replace(written, str(value))
        file.write_text(text)
