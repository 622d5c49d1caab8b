"""The clock that use cases ask: PostgreSQL's in service, one set by hand in replays and tests."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from vnum.model.clock import Anchor, leapt, settle
from vnum.model.refusals import Code, Refused
from vnum.store import clock as stored
from vnum.store.database import Database


class Clock(Protocol):
    def simulated(self) -> datetime | None:
        """The instant to use in place of PostgreSQL's clock; None = PostgreSQL's."""

    async def settle(self, server_now: datetime, highest: datetime | None) -> datetime:
        """The instant of a batch, from one reading. Raises Refused (clock_jump)."""


class ServerClock:
    """PostgreSQL's clock behind the leap guard."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # A fresh process has seen nothing yet: it believes its own machine's clock as far as the first comparison goes.
        self._anchor = Anchor(datetime.now(UTC), time.monotonic())  # noqa: TID251
        self._highest: datetime | None = None

    def simulated(self) -> None:
        return None

    async def settle(self, server_now: datetime, highest: datetime | None) -> datetime:
        monotonic_s = time.monotonic()
        if leapt(self._anchor, server_now, monotonic_s) and not await self._accepted(server_now, monotonic_s):
            raise Refused(
                Code.CLOCK_JUMP,
                f"PostgreSQL's clock jumped to {server_now:%FT%TZ}, more than an hour ahead; "
                "when it is right, an operator accepts it with `vnum clock accept`",
            )
        self._anchor = Anchor(server_now, monotonic_s)
        self._highest = settle(settle(server_now, highest), self._highest)
        return self._highest

    async def _accepted(self, server_now: datetime, monotonic_s: float) -> bool:
        """A leap is accepted after this process last looked: so no more time has passed since than since that look."""
        accepted = await stored.accepted_leap(self._database)
        return accepted is not None and not leapt(Anchor(accepted, self._anchor.monotonic_s), server_now, monotonic_s)


class ManualClock:
    """A clock set by hand."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def simulated(self) -> datetime:
        return self.instant

    async def settle(self, server_now: datetime, highest: datetime | None) -> datetime:
        return settle(server_now, highest)


class Pace:
    """The clock between two readings of PostgreSQL's, by this process's own monotonic one: costs no round trip."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Until PostgreSQL was heard once, this machine's clock stands in for it.
        self._heard = Anchor(datetime.now(UTC), time.monotonic())  # noqa: TID251

    def hear(self, server_now: datetime) -> None:
        self._heard = Anchor(server_now, time.monotonic())

    def now(self) -> datetime:
        simulated = self._clock.simulated()
        if simulated is not None:
            return simulated
        return self._heard.instant + timedelta(seconds=time.monotonic() - self._heard.monotonic_s)


async def read(clock: Clock, database: Database, cell: int) -> datetime:
    """The instant for a use case that has no batch of its own. Raises Refused (clock_jump)."""
    server_now, highest = await stored.now(database, cell, clock.simulated())
    return await clock.settle(server_now, highest)


async def peek(clock: Clock, database: Database, cell: int = 0) -> datetime:
    """The instant for what only reads: the leap guard does not apply."""
    server_now, highest = await stored.now(database, cell, clock.simulated())
    return settle(server_now, highest)
