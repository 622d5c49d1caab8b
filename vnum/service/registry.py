"""The hosts as a worker knows them: a copy, re-read when PostgreSQL has a newer revision."""

import asyncio
import time
from collections import defaultdict

from vnum.model.acting import untied
from vnum.model.hosts import Host, HostState
from vnum.model.numbers import NumberError, Plan, parse_host
from vnum.store import hosts as stored
from vnum.store.database import Database

FRESH_S = 1.0
"""How old the copy may be; PostgreSQL checks the state of a host again in the bind itself."""


class Registry:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._hosts: dict[str, Host] = {}
        self._by_cell: dict[int, list[Host]] = {}
        self._tiers: dict[tuple[int, str | None, bool], list[list[Host]]] = {}
        self._cities: set[str | None] = set()
        self._revision = -1
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def refresh(self, *, force: bool = False) -> None:
        """Re-reads the hosts if the copy is older than a second and a revision is newer."""
        if not force and time.monotonic() - self._read_at < FRESH_S:
            return
        async with self._reading:
            with untied():  # the copy serves everybody
                await self._read()
            self._read_at = time.monotonic()

    async def _read(self) -> None:
        revision = await stored.newest_revision(self._database)
        if revision != self._revision:
            self._keep(await stored.hosts(self._database), revision)

    async def get(self, written: str) -> Host | None:
        """The host, as digits or as a switch may write it; one not known yet is looked for before it is denied."""
        await self.refresh()
        if written in self._hosts:
            return self._hosts[written]
        number = _digits(written)
        if number not in self._hosts:
            await self.refresh(force=True)
        return self._hosts.get(number)

    def find(self, written: str) -> Host | None:
        """The host, as far as this copy knows, however it is written."""
        return self._hosts.get(written) or self._hosts.get(_digits(written))

    def has(self, number: str) -> bool:
        """Whether that is one of our hosts, as far as this copy knows."""
        return number in self._hosts

    def owns(self, phone: str) -> bool:
        """The same of a phone, as E.164 has it."""
        return phone.removeprefix("+86") in self._hosts or phone.replace("+86", "0", 1) in self._hosts

    def known(self, number: str) -> Host:
        """A host that a binding names: hosts are never deleted."""
        return self._hosts[number]

    def in_cell(self, cell: int) -> list[Host]:
        return self._by_cell.get(cell, [])

    def lending(self, cell: int, city: str | None, *, strict: bool) -> list[list[Host]]:
        """Hosts that may be bound now, in tiers: those of the city, then (unless strict) the others."""
        if city is not None and city not in self._cities:
            return self._lending(cell, city, strict=strict)  # not kept: callers may send any city
        wanted = (cell, city, strict)
        if wanted not in self._tiers:
            self._tiers[wanted] = self._lending(cell, city, strict=strict)
        return self._tiers[wanted]

    def _lending(self, cell: int, city: str | None, *, strict: bool) -> list[list[Host]]:
        active = [host for host in self.in_cell(cell) if lends(host)]
        if city is None:
            return [active]
        tiers = [[host for host in active if host.city == city]]
        return tiers if strict else [*tiers, [host for host in active if host.city != city]]

    @property
    def all(self) -> list[Host]:
        return list(self._hosts.values())

    def _keep(self, hosts: list[Host], revision: int) -> None:
        by_cell = defaultdict(list)
        for host in hosts:
            by_cell[host.cell].append(host)
        self._hosts = {host.host: host for host in hosts}
        self._by_cell = dict(by_cell)
        self._tiers = {}
        self._cities = {host.city for host in hosts}
        self._revision = revision


def lends(host: Host) -> bool:
    """Active, and of a plan that anyone may dial (a 700 number needs known callers)."""
    return host.state is HostState.ACTIVE and host.plan is Plan.HOST_EXT


def _digits(written: str) -> str:
    """11 digits of any plan; what is none stays as it is (and is no host)."""
    for plan in Plan:
        try:
            return parse_host(written, plan)
        except NumberError:
            continue
    return written
