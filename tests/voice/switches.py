"""The switches that the call suite drives: how each is started, dialled, killed, and what it can not do by nature.

A further one is a class with these methods, named in `SWITCHES`. It is told the times below, so that a test need not
wait for those of a product.
"""

import asyncio
import secrets
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.voice.running import AHEAD, VNUM, Program, ahead, free_port
from tests.voice.sip import LOOPBACK, Address

ROUTE_TIMEOUT_S = 1.0
"""After so long without an answer of vnum's a call is turned away."""

RING_S = 4
"""So long it rings where nobody answers."""

WARNING_S = 1.5
"""So long before the cut both hear a tone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a switch is connected to. `folder` is its own. `ahead_s` = its clock is so far ahead (where `shifts`)."""

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

    async def shift(self, ahead_s: float) -> None:
        """Its clock is so far ahead of this machine's from now on; only where `shifts`, and started with `ahead_s`."""

    async def kill(self) -> None:
        """SIGKILL, it and all that belongs to it."""

    async def restart(self) -> None:
        """After a kill, with the same spool."""

    async def stop(self) -> None:
        """Also one that was never started."""

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
    program: Program = field(default_factory=lambda: Program([], {}, ""))
    spool: Path = Path()

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

    async def shift(self, ahead_s: float) -> None:
        await ahead(self.program, ahead_s)

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


def marked() -> list[Any]:
    """Their names, to parametrise by: those that are obtained for it run under the mark `voice` only."""
    return [pytest.param(name, marks=() if name == "embedded" else pytest.mark.voice) for name in SWITCHES]
