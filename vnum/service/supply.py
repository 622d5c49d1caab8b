"""Where slots come from: Redis while it answers, else PostgreSQL's held slots read into memory a host at a time."""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
import structlog

from vnum.model.hosts import Host
from vnum.model.instants import day_of, free_day
from vnum.model.numbers import extension_of
from vnum.model.refusals import Code, Refusal, Shortage
from vnum.pool.image import Image, image_of
from vnum.pool.redis_pool import IN_FLIGHT_DAYS, PoolDown, RedisPool, Taken
from vnum.service.registry import Registry
from vnum.store import hosts as stored
from vnum.store.database import Database

log = structlog.get_logger()

AWAY_S = 1.0
"""For how long Redis is left alone after it did not answer, and how old an image in memory may be."""


class Wish(msgspec.Struct, frozen=True):
    """What an order asks of its host. `strict` = in that city or not at all."""

    city: str | None = None
    strict: bool = False


Holder = tuple[int, int]
"""The short keyed hashes of an order and of its recipient."""


class Offer(msgspec.Struct, frozen=True, gc=False):
    """A slot in flight: nobody else is offered it until it is settled (or two days have passed)."""

    host: Host
    index: int
    taken_on: int

    @property
    def extension(self) -> str:
        return extension_of(self.index, self.host.ext_digits)


class Supply:
    def __init__(self, database: Database, pool: RedisPool, registry: Registry) -> None:
        self._database = database
        self._pool = pool
        self._registry = registry
        self._images: dict[str, tuple[float, Image]] = {}
        self._left: dict[str, int] = {}
        self._in_flight: defaultdict[str, set[int]] = defaultdict(set)
        self._loading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._capping: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._away_until = float("-inf")

    async def draw(
        self, cell: int, wish: Wish, count: int, now: datetime, *, apart_from: Sequence[Holder] | None = None
    ) -> list[Offer]:
        """Up to `count` slots; fewer only after every eligible host was asked, and PostgreSQL where Redis had none.

        `apart_from` = none that one of these held last; PostgreSQL alone is asked then.
        """
        offers: list[Offer] = []
        try:
            await self._draw_into(offers, cell, wish, count, now, apart_from)
            if len(offers) < count and apart_from is None and await self._redis_lacks(cell, wish, now):
                await self._draw_into(offers, cell, wish, count, now, ())
        except BaseException:
            self.lost(offers)
            raise
        return offers

    async def _draw_into(
        self, offers: list[Offer], cell: int, wish: Wish, count: int, now: datetime, apart_from: Sequence[Holder] | None
    ) -> None:
        for tier in self._registry.lending(cell, wish.city, strict=wish.strict):
            for host in self._in_order(tier):
                missing = count - len(offers)
                if not missing:
                    return
                offers += await self._draw_of(host, missing, now, apart_from)

    async def _redis_lacks(self, cell: int, wish: Wish, now: datetime) -> bool:
        """Whether PostgreSQL holds fewer slots than are lent and in flight: then Redis does not tell all."""
        hosts = self.lending(cell, wish)
        use = await stored.use_of(self._database, cell, [host.host for host in hosts], now)
        return any(host.capacity > sum(use[host.host]) + len(self._in_flight[host.host]) for host in hosts)

    def lending(self, cell: int, wish: Wish) -> list[Host]:
        """The hosts that may be drawn from now."""
        tiers = self._registry.lending(cell, wish.city, strict=wish.strict)
        return [host for tier in tiers for host in tier]

    async def give_back(self, offers: Iterable[Offer]) -> None:
        """Slots that PostgreSQL said were definitely not bound."""
        by_host: defaultdict[tuple[str, int], list[Offer]] = defaultdict(list)
        for offer in offers:
            by_host[offer.host.host, offer.taken_on].append(offer)
        for (number, taken_on), group in by_host.items():
            self.lost(group)
            self._left.pop(number, None)
            for offer in group:
                self._on_image(number, offer.index, None)
            if self._away():
                continue
            try:
                await self._pool.give_back(group[0].host, [offer.index for offer in group], taken_on)
            except PoolDown as trouble:
                self._lost(trouble)

    async def settle(self, cell: int, held: Iterable[tuple[Offer, datetime]]) -> None:
        """Slots that are held until then, as PostgreSQL has it: bound now, or found stale."""
        known = list(held)
        self.lost(offer for offer, _ in known)
        await self.move(cell, ((offer.host.host, offer.index, until) for offer, until in known))

    async def move(self, cell: int, held: Iterable[tuple[str, int, datetime]]) -> None:
        """(host, slot, held until): best effort; PostgreSQL refuses a slot that Redis offers too early."""
        days: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, index, until in held:
            day = free_day(until)
            days[number].append((index, day))
            self._on_image(number, index, day)
        if days and not self._away():
            try:
                await self._pool.move(cell, days)
            except PoolDown as trouble:
                self._lost(trouble)

    def lost(self, offers: Iterable[Offer]) -> None:
        """Slots no longer in flight here. Of which nobody knows what became, come back by themselves on their day."""
        for offer in offers:
            self._in_flight[offer.host.host].discard(offer.index)

    async def load(self, host: Host, now: datetime) -> None:
        """Puts one host into Redis as PostgreSQL has it. Raises PoolDown."""
        image = image_of(host, await stored.held_on(self._database, host, now))
        await self._pool.load(host, image, day_of(now))

    async def roll(self, host: Host, now: datetime) -> None:
        """Frees the slots whose day has come. Raises PoolDown."""
        await self._pool.roll(host, day_of(now))
        self._left.pop(host.host, None)

    async def shortage(self, cell: int, wish: Wish, now: datetime, asked: Sequence[Host]) -> Refusal:
        """Why there is no number; `asked` = the hosts that were drawn from."""
        reason, detail = await self._why(cell, wish, now, asked)
        return Refusal(code=Code.NO_NUMBER_AVAILABLE, detail=detail, reason=reason)

    async def _why(self, cell: int, wish: Wish, now: datetime, hosts: Sequence[Host]) -> tuple[Shortage, str]:
        if wish.strict and not any(host.city == wish.city for host in self._registry.all):
            return Shortage.NO_HOST_IN_CITY, f"no host is registered in {wish.city}"
        here = [host for host in self._registry.in_cell(cell) if not wish.strict or host.city == wish.city]
        if not here and self._registry.all:
            return Shortage.CELL_EXHAUSTED, f"cell {cell} of this order has no such host; register one"
        if not hosts:
            return Shortage.NO_ACTIVE_HOST, "no host that may be bound is active; register or activate one"
        use = await stored.use_of(self._database, cell, [host.host for host in hosts], now)
        live, quarantined = (sum(column) for column in zip(*use.values(), strict=True))
        live += sum(len(self._in_flight[host.host]) for host in hosts)
        free = sum(host.capacity for host in hosts) - live - quarantined
        if free > 0 and any(self._is_full(host, use[host.host][0]) for host in hosts):
            return Shortage.HOST_FULL, "every host that has free numbers is at its max_live"
        if free > 0:
            return Shortage.ALL_QUARANTINED, (
                f"{free} numbers are free, but this order or its recipient held them last, "
                "or others bind them at this moment"
            )
        if quarantined > live:
            return Shortage.ALL_QUARANTINED, f"{quarantined} numbers wait in quarantine; register a host"
        return Shortage.ALL_BOUND, f"{live} numbers are bound and none is free; register a host"

    def _is_full(self, host: Host, live: int) -> bool:
        return host.max_live is not None and live + len(self._in_flight[host.host]) >= host.max_live

    def _in_order(self, tier: list[Host]) -> Iterator[Host]:
        """Two at random, the fuller one first (which evens the hosts out); then the rest, empty ones last."""
        if len(tier) < 2:
            yield from tier
            return
        first, second = secrets.randbelow(len(tier)), secrets.randbelow(len(tier) - 1)
        pair = [tier[first], tier[second + (second >= first)]]
        pair.sort(key=self._left_of, reverse=True)
        yield from pair
        rest = [host for host in tier if host not in pair]
        yield from sorted(rest, key=lambda host: self._left_of(host) == 0)

    def _left_of(self, host: Host) -> int:
        return self._left.get(host.host, host.capacity)

    async def _draw_of(self, host: Host, count: int, now: datetime, apart_from: Sequence[Holder] | None) -> list[Offer]:
        if host.max_live is None:
            return await self._offers(host, count, now, apart_from)
        async with self._capping[host.host]:
            room = host.max_live - await self._live_soon(host, now)
            return await self._offers(host, min(count, room), now, apart_from) if room > 0 else []

    async def _live_soon(self, host: Host, now: datetime) -> int:
        """Live bindings and what is in flight here, each slot once, whatever is committed meanwhile."""
        in_flight = self._in_flight[host.host].copy()
        apart = [extension_of(index, host.ext_digits) for index in in_flight]
        live = await stored.live_on(self._database, host, now, apart)
        return live + len(in_flight)

    async def _offers(self, host: Host, count: int, now: datetime, apart_from: Sequence[Holder] | None) -> list[Offer]:
        """A slot that is in flight already (Redis was loaded or lost meanwhile) is not offered twice."""
        indices = await self._indices(host, count, now, apart_from)
        in_flight = self._in_flight[host.host]
        fresh = [index for index in indices if index not in in_flight]
        in_flight.update(fresh)
        today = day_of(now)
        return [Offer(host, index, today) for index in fresh]

    async def _indices(
        self, host: Host, count: int, now: datetime, apart_from: Sequence[Holder] | None
    ) -> Sequence[int]:
        if apart_from is not None or self._away():
            return await self._from_ledger(host, count, now, apart_from or ())
        try:
            taken = await self._from_redis(host, count, now)
        except PoolDown as trouble:
            self._lost(trouble)
            return await self._from_ledger(host, count, now, ())
        self._left[host.host] = taken.left
        return taken.indices

    async def _from_redis(self, host: Host, count: int, now: datetime) -> Taken:
        today = day_of(now)
        taken = await self._pool.take(host, count, today)
        if taken is None:
            async with self._loading[host.host]:
                taken = await self._pool.take(host, count, today)
                if taken is None:
                    await self.load(host, now)
                    taken = await self._pool.take(host, count, today)
            if taken is None:
                raise PoolDown("a host just loaded is gone again")
        if taken.due and len(taken.indices) < count:
            await self.roll(host, now)
            more = await self._pool.take(host, count - len(taken.indices), today)
            if more is not None:
                taken = Taken([*taken.indices, *more.indices], more.left)
        return taken

    async def _from_ledger(self, host: Host, count: int, now: datetime, apart_from: Sequence[Holder]) -> list[int]:
        """Draws from a bitmap in memory; a short or old one is read again before it is believed."""
        read_at, image = self._images.get(host.host, (float("-inf"), None))
        if apart_from or image is None or image.left < count or time.monotonic() - read_at > AWAY_S:
            image = await self._read(host, now, apart_from)
        drawn: list[int] = []
        while len(drawn) < count and (index := image.take(secrets.randbelow(len(image.free)))) is not None:
            drawn.append(index)
        return drawn

    async def _read(self, host: Host, now: datetime, apart_from: Sequence[Holder]) -> Image:
        """The host as PostgreSQL has it, without what is in flight here; kept unless it is for some holders only."""
        image = image_of(host, await stored.held_on(self._database, host, now, apart_from))
        for index in self._in_flight[host.host]:
            image.hold(index, day_of(now) + IN_FLIGHT_DAYS)
        if not apart_from:
            self._images[host.host] = (time.monotonic(), image)
        return image

    def _on_image(self, number: str, index: int, day: int | None) -> None:
        """Keeps a bitmap in memory in step (None = free again)."""
        if number not in self._images:
            return
        image = self._images[number][1]
        image.give_back(index) if day is None else image.hold(index, day)

    def _away(self) -> bool:
        return time.monotonic() < self._away_until

    def _lost(self, trouble: PoolDown) -> None:
        if not self._away():
            log.warning("pool_down", trouble=str(trouble), consequence="binding goes on, more slowly")
        self._away_until = time.monotonic() + AWAY_S
        self._left.clear()
