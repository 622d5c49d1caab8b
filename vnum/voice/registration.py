"""The switch's registration at its trunk, for carriers that want one: made, kept up, counted and complained of.

The library renews it, and tries again when that fails. Calls do not depend on it here: whether they come in without
one, and go out, is the carrier's to say.
"""

import asyncio
from typing import Final

import structlog
from baresip import BaresipError, UserAgent
from baresip.events import Event, StackEvent

from vnum.voice.meters import REGISTERED, REGISTRATIONS

log = structlog.get_logger()

RENEWED_S: Final = 300
WITHIN_S: Final = 40.0
"""A registrar that says nothing is given up after 32 s (RFC 3261)."""

AGAIN_S: Final = 60.0
LOOK: Final = "VNUM_SWITCH_TRUNK_USER and its password; VNUM_SWITCH_DOMAIN; does this trunk take registrations?"


class Registration:
    """`agent` = the identity that is registered, of a renewal of `RENEWED_S`."""

    def __init__(self, agent: UserAgent) -> None:
        self._agent = agent
        self._known: bool | None = None
        self._task = asyncio.create_task(self._begin())

    def close(self) -> None:
        self._task.cancel()

    def on(self, event: StackEvent) -> None:
        """An event of the stack's; what else it is about is of no interest here."""
        if event.ua != self._agent.handle or event.event not in (Event.REGISTER_OK, Event.REGISTER_FAIL):
            return
        status = (event.text or "")[:3]
        self._told(registered=event.event is Event.REGISTER_OK, status=status if status.isdigit() else "none")

    async def _begin(self) -> None:
        """Until it is made for the first time."""
        while not self._known:
            try:
                await self._agent.register(timeout=WITHIN_S)
            except BaresipError:
                if self._known is None:  # nothing was sent, or nothing came back
                    self._told(registered=False, status="none")
                await asyncio.sleep(AGAIN_S)

    def _told(self, *, registered: bool, status: str) -> None:
        REGISTERED.set(registered)
        REGISTRATIONS.labels("done" if registered else "failed").inc()
        if not registered:
            log.warning("trunk_not_registered", status=status, look=LOOK)
        elif not self._known:
            log.info("trunk_registered")
        self._known = registered
