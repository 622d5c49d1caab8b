"""The embedded switch for the call suite."""

import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.voice.running import AHEAD, VNUM, Program, ahead, free_port
from tests.voice.switches import RING_S, ROUTE_TIMEOUT_S, WARNING_S, Setup
from vnum.voice.softphone.sip import LOOPBACK, Address


@dataclass
class Embedded:
    """`vnum switch`."""

    name: str = "embedded"
    prompts: bool = True
    shifts: bool = True
    address: Address = (LOOPBACK, 0)
    program: Program = field(default_factory=lambda: Program([], {}, ""))
    spool: Path = Path()
    more: Mapping[str, str] = field(default_factory=dict)
    """Settings besides, without their prefix."""

    metrics: str = ""

    async def start(self, setup: Setup) -> None:
        self.address = LOOPBACK, free_port(socket.SOCK_DGRAM)
        self.spool = setup.folder / "spool"
        self.metrics = f"{LOOPBACK}:{free_port()}"
        words = [*VNUM, "switch"]
        if setup.ahead_s is not None:
            words = [sys.executable, str(AHEAD), str(setup.ahead_s), "switch"]
        self.program = Program(words, self._settings(setup), "Ctrl-C stops it")
        await self.program.start()

    def _settings(self, setup: Setup) -> Mapping[str, str]:
        self.metrics = f"{LOOPBACK}:{free_port()}"
        first = 10_000 + 1_000 * secrets.randbelow(20)
        own = {
            "LISTEN": f"{LOOPBACK}:{self.address[1]}",
            "TRUNK": f"sip:{setup.trunk[0]}:{setup.trunk[1]}",
            "RTP_PORTS": f"{first}-{first + 998}",
            "API": setup.api_url,
            "KEY_FILE": str(setup.key_file),
            "SPOOL": str(self.spool),
            "METRICS": self.metrics,
            "ROUTE_TIMEOUT_S": str(ROUTE_TIMEOUT_S),
            "RING_S": str(RING_S),
            "WARNING_S": str(WARNING_S),
            "DRAIN_S": "0",
            "MARK_S": str(setup.mark_s),
            **self.more,
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
        return len([*self.spool.glob("*.call"), *self.spool.glob("*.mark")])

    def cpu_s(self) -> float:
        return self.program.used_s()

    def logs(self) -> str:
        return "\n".join(self.program.said)
