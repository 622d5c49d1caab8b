"""Hosts and the pool: for operators."""

import msgspec

from vnum.api.answers import Answer, json_answer
from vnum.api.auth import ADMINS
from vnum.api.bodies import Nothing
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.fields import Name
from vnum.model.hosts import Host, HostState
from vnum.model.refusals import Code
from vnum.service.hosts import PAGE, NewHost
from vnum.service.occupancy import PoolUse


class HostChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    state: HostState


class HostQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    after: Name | None = None


class HostList(msgspec.Struct, frozen=True, omit_defaults=True):
    """`next` = what to send as `after` for more."""

    hosts: list[Host]
    next: str | None = None


class Hosts:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/hosts", ADMINS, self.add, NewHost),
            Endpoint("GET", "/v1/hosts", ADMINS, self.list, HostQuery),
            Endpoint("PATCH", "/v1/hosts/{host}", ADMINS, self.change, HostChange),
            Endpoint("GET", "/v1/pool", ADMINS, self.pool),
        ]

    @answers(Host, status=(201,), refuses=(Code.INVALID_HOST, Code.HOST_EXISTS))
    async def add(self, call: Call, new: NewHost) -> Answer:
        """Registers a host number; 201."""
        return json_answer(201, await self._engine.hosts.add(new))

    @answers(HostList)
    async def list(self, call: Call, asked: HostQuery) -> Answer:
        """Hosts with their states, 1,000 at a time, by number."""
        every = sorted(await self._engine.hosts.list(), key=lambda host: host.host)
        left = [host for host in every if host.host > (asked.after or "")]
        more = left[PAGE - 1].host if len(left) > PAGE else None
        return json_answer(200, HostList(left[:PAGE], more))

    @answers(Host, refuses=(Code.HOST_NOT_FOUND, Code.HOST_IN_USE))
    async def change(self, call: Call, change: HostChange) -> Answer:
        """active, draining (no bind), locked (no bind, no extend), retired (only without live bindings)."""
        return json_answer(200, await self._engine.hosts.set_state(call.named("host"), change.state))

    @answers(PoolUse)
    async def pool(self, call: Call, asked: Nothing) -> Answer:
        """Per host and city: free, bound, quarantined, capacity, and the days left at the past week's pace."""
        return json_answer(200, await self._engine.occupancy.use())
