"""What the switch asks for and tells beside its calls: orders to ring somebody, and how far each call is."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from vnum.voice.contract import Dial, NoAnswer, Progress

log = structlog.get_logger()

MOST_DIALS: Final = 10
WAIT_S: Final = 20
ABSENT: Final = 404
ABSENT_S: Final = 60.0
PAUSES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
MOST_TOLD: Final = 100
MOST_QUEUED: Final = 5_000


class Orders(Protocol):
    async def take_dials(self, most: int, wait_s: int) -> list[Dial]:
        """Raises NoAnswer."""


class Told(Protocol):
    async def tell(self, items: list[Progress]) -> None:
        """Raises NoAnswer."""


async def take_orders(vnum: Orders, free: Callable[[], int], begin: Callable[[Dial], None]) -> None:
    """For as long as the switch runs: orders as there are places, and `begin` for each."""
    failed = 0
    while True:
        most = min(free(), MOST_DIALS)
        if most <= 0:
            await asyncio.sleep(PAUSES_S[0])
            continue
        try:
            for dial in await vnum.take_dials(most, WAIT_S):
                begin(dial)
            failed = 0
            await asyncio.sleep(0)
        except NoAnswer as none:
            if failed == 0:
                log.warning("no_dial_orders", why=none.why, look=none.look)
            pause = ABSENT_S if none.status == ABSENT else PAUSES_S[min(failed, len(PAUSES_S) - 1)]
            failed += 1
            await asyncio.sleep(pause)


class Teller:
    """How far calls are, best effort: what can not be told is dropped, and never holds a call up."""

    def __init__(self, vnum: Told) -> None:
        self._vnum = vnum
        self._waiting: asyncio.Queue[Progress] = asyncio.Queue(MOST_QUEUED)

    def tell(self, progress: Progress) -> None:
        if not self._waiting.full():
            self._waiting.put_nowait(progress)

    async def run(self) -> None:
        while True:
            items = [await self._waiting.get()]
            while len(items) < MOST_TOLD and not self._waiting.empty():
                items.append(self._waiting.get_nowait())
            try:
                await self._vnum.tell(items)
            except NoAnswer as none:
                if none.status == ABSENT:
                    await self._drop_for(ABSENT_S)

    async def _drop_for(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        while not self._waiting.empty():
            self._waiting.get_nowait()
