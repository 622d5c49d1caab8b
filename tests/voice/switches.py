"""The switches that the call suite drives: how each is started, dialled, killed, and what it can not do by nature.

A further one is a class with these methods, named in `known.py`. It is told the times below, so that a test need not
wait for those of a product.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vnum.voice.softphone.sip import Address

ROUTE_TIMEOUT_S = 4.0
"""After so long without an answer of vnum's a call is turned away."""

RING_S = 4
"""So long it rings where nobody answers."""

WARNING_S = 1.5
"""So long before the cut both hear a tone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a switch is connected to. `folder` is its own. `ahead_s` = its clock is so far ahead (where `shifts`).
    `mark_s` = so long a recipient is asked for a key when the caller has left; 0 = he is not."""

    api_url: str
    key_file: Path
    trunk: Address
    folder: Path
    ahead_s: float | None = None
    mark_s: int = 0


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


async def posted(switch: Switch) -> None:
    """Until vnum has taken all its records."""
    while switch.unposted():  # noqa: ASYNC110 (it happens on disk)
        await asyncio.sleep(0.02)
