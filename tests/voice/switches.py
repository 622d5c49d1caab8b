"""The switches that the call suite drives: how each is started, dialled, killed, and what it can not do by nature."""

import asyncio
import secrets
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.voice.running import AHEAD, VNUM, Program, free_port
from tests.voice.sip import LOOPBACK, Address

ROUTE_TIMEOUT_S = 1.0
RING_S = 4
WARNING_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a switch is connected to. `ahead_s` = its clock is so far ahead (only where `shifts`)."""

    api_url: str
    key_file: Path
    trunk: Address
    folder: Path
    ahead_s: float | None = None


class NotToBeHad(Exception):
    """Why a switch can not be run on this machine."""


class Switch(Protocol):
    name: str
    prompts: bool
    """Whether it answers, plays prompts and collects digits. If not, the extension is dialled with the host, and the
    caller hears of a no by a SIP status."""

    shifts: bool
    """Whether its clock can be set."""

    async def start(self, setup: Setup) -> None:
        """Raises NotToBeHad. Ready for calls when it returns."""

    @property
    def address(self) -> Address: ...

    async def kill(self) -> None:
        """SIGKILL."""

    async def restart(self) -> None:
        """After a kill, with the same spool."""

    async def stop(self) -> None: ...

    def unposted(self) -> int:
        """Records that vnum has not taken yet."""

    def cpu_s(self) -> float: ...

    def logs(self) -> str:
        """All that it said."""


def uri(switch: Switch, host: str, extension: str | None) -> str:
    """What a phone dials."""
    user = host if extension is None else f"{host}{extension}"
    return f"sip:{user}@{switch.address[0]}:{switch.address[1]}"


@dataclass
class Embedded:
    """`vnum switch`."""

    name: str = "embedded"
    prompts: bool = True
    shifts: bool = True
    address: Address = (LOOPBACK, 0)
    program: Program = field(init=False)
    spool: Path = field(init=False)

    async def start(self, setup: Setup) -> None:
        self.address = LOOPBACK, free_port(socket.SOCK_DGRAM)
        self.spool = setup.folder / "spool"
        words = [*VNUM, "switch"]
        if setup.ahead_s is not None:
            words = [sys.executable, str(AHEAD), str(setup.ahead_s), "switch"]
        self.program = Program(words, self._settings(setup), "Ctrl-C stops it")
        await self.program.start()

    def _settings(self, setup: Setup) -> Mapping[str, str]:
        first = 10_000 + 200 * secrets.randbelow(100)
        own = {
            "LISTEN": f"{LOOPBACK}:{self.address[1]}",
            "TRUNK": f"sip:{setup.trunk[0]}:{setup.trunk[1]}",
            "RTP_PORTS": f"{first}-{first + 198}",
            "API": setup.api_url,
            "KEY_FILE": str(setup.key_file),
            "SPOOL": str(self.spool),
            "METRICS": f"{LOOPBACK}:{free_port()}",
            "ROUTE_TIMEOUT_S": str(ROUTE_TIMEOUT_S),
            "RING_S": str(RING_S),
            "WARNING_S": str(WARNING_S),
            "DRAIN_S": "0",
        }
        return {f"VNUM_SWITCH_{name}": value for name, value in own.items()} | {"VNUM_DATA_DIR": str(setup.folder)}

    async def kill(self) -> None:
        await self.program.kill()

    async def restart(self) -> None:
        await self.program.start()

    async def stop(self) -> None:
        await self.program.stop()

    def unposted(self) -> int:
        return len(list(self.spool.glob("*.call")))

    def cpu_s(self) -> float:
        return self.program.used_s()

    def logs(self) -> str:
        return "\n".join(self.program.said)


async def posted(switch: Switch) -> None:
    """Until vnum has taken all its records."""
    while switch.unposted():  # noqa: ASYNC110 (it happens on disk)
        await asyncio.sleep(0.02)


SWITCHES: dict[str, Callable[[], Switch]] = {"embedded": Embedded}
"""All there are, by name."""
