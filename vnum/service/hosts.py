"""Hosts: register them, and move them through their states."""

import asyncio
from datetime import timedelta
from typing import Annotated, ClassVar

import msgspec

from vnum.finance import CloseBlocked, drain
from vnum.model.fields import Name
from vnum.model.hosts import ExtCheck, Host, HostState
from vnum.model.numbers import NumberError, Plan, parse_host
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.service.registry import Registry
from vnum.store import hosts as stored
from vnum.store.database import Database

PAGE = 1_000

WRITERS = timedelta(seconds=60)
"""How long a retirement waits for the statements that began before it."""


class NewHost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """quarantine_days null = a slot is never used again."""

    shown: ClassVar[tuple[str, ...]] = ("city",)

    host: Name
    city: Name | None = None
    carrier: Name | None = None
    plan: Plan = Plan.HOST_EXT
    ext_digits: Annotated[int, msgspec.Meta(ge=1, le=4)] = 4
    ext_check: ExtCheck = ExtCheck.NONE
    quarantine_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = 90
    max_live: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None

    def __post_init__(self) -> None:
        if self.ext_check is ExtCheck.DAMM and self.ext_digits == 1:
            raise ValueError("ext_check damm needs at least 2 ext_digits: one of them is the check digit")


class Hosts:
    def __init__(self, database: Database, registry: Registry, clock: Clock, cells: int) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._cells = cells
        self._adding = asyncio.Lock()

    async def add(self, new: NewHost) -> Host:
        """Registers a host in the emptiest cell. Raises Refused: invalid_host, host_exists."""
        try:
            number = parse_host(new.host, new.plan)
        except NumberError as error:
            raise Refused(Code.INVALID_HOST, f"host: {error}") from error
        async with self._adding:
            host = msgspec.convert(
                msgspec.to_builtins(new) | {"host": number, "cell": await self._emptiest(), "state": HostState.ACTIVE},
                Host,
            )
            if not await stored.add(self._database, host, self._clock.simulated()):
                raise Refused(Code.HOST_EXISTS, f"host {number} is registered already")
        await self._registry.refresh(force=True)
        return host

    async def list(self) -> list[Host]:
        await self._registry.refresh(force=True)
        return self._registry.all

    async def set_state(self, number: str, state: HostState) -> Host:
        """Raises Refused: host_not_found, host_in_use (retired, but live bindings are on it)."""
        await self._registry.refresh(force=True)
        host = await self._registry.get(number)
        if host is None:
            raise Refused(Code.HOST_NOT_FOUND, "no such host is registered")
        if state is HostState.RETIRED and host.state is not HostState.RETIRED:
            await self._retire(host)
        else:
            await stored.set_state(self._database, host.host, state)
        await self._registry.refresh(force=True)
        return self._registry.known(host.host)

    async def _retire(self, host: Host) -> None:
        """Keeps new bindings out and waits for those under way, so that none is missed in the count."""
        drained = await stored.set_state(self._database, host.host, HostState.DRAINING)
        try:
            async with self._database.acquire() as connection:
                await drain(connection, patience=WRITERS)
        except CloseBlocked:
            await stored.set_state(self._database, host.host, host.state, drained)
            raise Refused(
                Code.STORE_UNAVAILABLE, f"statements older than {WRITERS.seconds} s are still open; try again"
            ) from None
        now = await peek(self._clock, self._database, host.cell)
        if live := await stored.live_on(self._database, host, now):
            await stored.set_state(self._database, host.host, host.state, drained)
            raise Refused(
                Code.HOST_IN_USE,
                f"host {host.host} has {live} live bindings; set it to draining and retire it when they have ended",
            )
        if await stored.set_state(self._database, host.host, HostState.RETIRED, drained) is None:
            raise Refused(Code.HOST_IN_USE, f"the state of host {host.host} was changed meanwhile; look, and try again")

    async def _emptiest(self) -> int:
        hosts = await stored.hosts_by_cell(self._database)
        return min(range(self._cells), key=lambda cell: (hosts.get(cell, 0), cell))
