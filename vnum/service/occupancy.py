"""The room of the pool, per host and city: free, bound, in quarantine, and how long it lasts."""

import msgspec

from vnum.model.hosts import Host, HostState
from vnum.pool.redis_pool import PoolDown, RedisPool
from vnum.service.clock import Clock, peek
from vnum.service.registry import Registry
from vnum.store import hosts as stored
from vnum.store.database import Database


class HostUse(msgspec.Struct, frozen=True, kw_only=True):
    """What is free, bound and in quarantine on a host, by PostgreSQL; and, at the past week's pace, how long it lasts.

    `free` = may be bound now, so at most what `max_live` leaves.
    `days_left` None = nothing was bound in the past week.
    """

    host: str
    city: str | None
    state: HostState
    capacity: int
    free: int
    bound: int
    quarantined: int
    days_left: int | None


class CityUse(msgspec.Struct, frozen=True, kw_only=True):
    city: str | None
    capacity: int
    free: int
    bound: int
    quarantined: int
    days_left: int | None


class PoolUse(msgspec.Struct, frozen=True, kw_only=True):
    hosts: list[HostUse]
    cities: list[CityUse]
    redis: str


class Occupancy:
    def __init__(self, database: Database, pool: RedisPool, registry: Registry, clock: Clock) -> None:
        self._database = database
        self._pool = pool
        self._registry = registry
        self._clock = clock

    async def use(self) -> PoolUse:
        """The pool as PostgreSQL has it, per host and city."""
        records = await stored.occupancy(self._database, await peek(self._clock, self._database))
        await self._registry.refresh(force=True)
        hosts = [
            _use(self._registry.known(row["host"]), row["bound"], row["quarantined"], row["bound_in_week"])
            for row in records
        ]
        pace = {row["host"]: row["bound_in_week"] for row in records}
        cities = [
            _city(city, [host for host in hosts if host.city == city], pace)
            for city in dict.fromkeys(host.city for host in hosts)
        ]
        return PoolUse(hosts=hosts, cities=cities, redis=await self._redis_state())

    async def _redis_state(self) -> str:
        try:
            await self._pool.ping()
        except PoolDown:
            return "down"
        return "up"


def _use(host: Host, bound: int, quarantined: int, bound_in_week: int) -> HostUse:
    free = host.capacity - bound - quarantined
    if host.max_live is not None:
        free = max(0, min(free, host.max_live - bound))
    return HostUse(
        host=host.host,
        city=host.city,
        state=host.state,
        capacity=host.capacity,
        free=free,
        bound=bound,
        quarantined=quarantined,
        days_left=_days_left(free, bound_in_week),
    )


def _city(city: str | None, hosts: list[HostUse], pace: dict[str, int]) -> CityUse:
    free = sum(host.free for host in hosts)
    return CityUse(
        city=city,
        capacity=sum(host.capacity for host in hosts),
        free=free,
        bound=sum(host.bound for host in hosts),
        quarantined=sum(host.quarantined for host in hosts),
        days_left=_days_left(free, sum(pace[host.host] for host in hosts)),
    )


def _days_left(free: int, bound_in_week: int) -> int | None:
    return free * 7 // bound_in_week if bound_in_week else None
