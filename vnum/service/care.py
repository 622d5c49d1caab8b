"""Care: what is done now and then, above all of the pool: rebuild it, roll it over at midnight, bring orphans back."""

from collections.abc import Callable
from datetime import datetime, timedelta

from vnum.model.bindings import MAX_LIFE
from vnum.model.call_rules import GRACE
from vnum.model.hosts import HostState
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.model.instants import day_of
from vnum.model.numbers import index_of, parse_extension
from vnum.pool.redis_pool import PoolDown
from vnum.service import clock as clocks
from vnum.service.audit import Audit
from vnum.service.clock import Clock
from vnum.service.data_keys import make_ahead
from vnum.service.deliver import Deliverer
from vnum.service.dial_care import DialCare
from vnum.service.events import Ends, PoolWatch, rooms_of_hosts
from vnum.service.occupancy import Occupancy
from vnum.service.registry import Registry
from vnum.service.retention import Retention
from vnum.service.supply import Supply
from vnum.service.unrecorded import Unrecorded
from vnum.store import bindings as stored
from vnum.store import clock as stored_clock
from vnum.store import idempotency
from vnum.store import keys as stored_keys
from vnum.store import messages as stored_messages
from vnum.store import routes as stored_routes
from vnum.store.database import Database, trying_again
from vnum.vault import Vault

NONCES_KEPT = timedelta(minutes=1)
"""How much longer than it could be used: workers' clocks differ."""

WRONG_KEPT = timedelta(days=1)
"""How long wrong extensions are kept; they count for an hour."""

CONTACTS_KEPT = timedelta(days=2)
"""As long, the instants of connected calls, and of texts, after a recipient's last; they count for a day."""


WATCH = timedelta(minutes=10)
"""How often the room of the pool is looked at, where somebody wants to hear when it is low."""


class Care:
    def __init__(
        self,
        database: Database,
        occupancy: Occupancy,
        registry: Registry,
        supply: Supply,
        vault: Vault,
        audit: Audit,
        retention: Retention,
        ends: Ends,
        pool_watch: PoolWatch,
        deliverer: Deliverer,
        dials: DialCare,
        unrecorded: Unrecorded,
        clock: Clock,
        cells: int,
    ) -> None:
        self._database = database
        self._occupancy = occupancy
        self._registry = registry
        self._supply = supply
        self._vault = vault
        self._audit = audit
        self._retention = retention
        self._ends = ends
        self._pool_watch = pool_watch
        self._deliverer = deliverer
        self._dials = dials
        self._unrecorded = unrecorded
        self._clock = clock
        self._cells = cells
        self._rolled_on = -1
        self._watched_at: datetime | None = None
        self._forgotten_on = -1

    async def rebuild(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Loads every host into Redis as PostgreSQL has it, while binding goes on. Raises PoolDown."""
        now = await clocks.peek(self._clock, self._database)
        await self._registry.refresh(force=True)
        hosts = [host for host in self._registry.all if host.state is not HostState.RETIRED]
        for done, host in enumerate(hosts, 1):
            await self._supply.load(host, now)
            if progress:
                progress(done, len(hosts))
        return len(hosts)

    async def tend(self) -> None:
        """What has to be done now and then: partitions, orphans, and once a day the roll-over and retention."""
        now = await clocks.peek(self._clock, self._database)
        await stored_clock.ensure_months(self._database, now)
        await make_ahead(self._vault, now)
        await self._registry.refresh()
        for cell in range(self._cells):
            await self.free_orphans(cell, now)
        await self._audit.link()
        await self._ends.tell(now)
        await self._dials.tend(now)
        await self._unrecorded.measure(now)
        await self._watch_pool(now)
        await stored_keys.forget_nonces(self._database, now - NONCES_KEPT)
        if day_of(now) != self._rolled_on:
            await self._roll(now)
            await self._vault.refresh()
            await idempotency.forget(self._database)
            await self._deliverer.clear(now)
            await self._forget_calls(now)
        if day_of(now) != self._forgotten_on:
            await self._retention.run()
            self._forgotten_on = day_of(now)

    async def _forget_calls(self, now: datetime) -> None:
        """What is kept of calls for a while: tries, locks, contacts, whom a binding was told of."""
        await stored_routes.forget(self._database, now - WRONG_KEPT, now, now - CONTACTS_KEPT)
        await stored_messages.forget_texted(self._database, now - CONTACTS_KEPT)
        await self._dials.forget(now)
        for cell in range(self._cells):
            told_no_more = new_id(0, now - MAX_LIFE - GRACE, bytes(RANDOM_BYTES))
            await stored_routes.forget_reached(self._database, cell, told_no_more)

    async def free_orphans(self, cell: int, now: datetime) -> int:
        """Brings back slots whose orders lost a race; the number of them."""
        records = []
        async for attempt in trying_again():
            with attempt:
                records = await stored.free_orphans(self._database, cell, now)
        slots = [(row["host"], index_of(parse_extension(row["extension"])), now) for row in records]
        await self._supply.move(cell, slots)
        return len(slots)

    async def _watch_pool(self, now: datetime) -> None:
        if (self._watched_at is not None and now - self._watched_at < WATCH) or not await self._pool_watch.wanted():
            return
        self._watched_at = now
        use = await self._occupancy.use()
        rooms = [(host.host, host.city, host.state, host.free, host.capacity) for host in use.hosts]
        await self._pool_watch.look(rooms_of_hosts(rooms), now)

    async def _roll(self, now: datetime) -> None:
        try:
            for host in self._registry.all:
                await self._supply.roll(host, now)
        except PoolDown:
            return  # the next round tries again
        self._rolled_on = day_of(now)
