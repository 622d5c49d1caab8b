"""Events that no command brings about: bindings that near or reach their end, closed invoices, and a pool run low."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from vnum.finance import Invoice, plain, two_places
from vnum.model.hosts import HostState
from vnum.model.webhooks import EXPIRING_AHEAD, EXPIRING_PART, Event
from vnum.store import events as stored
from vnum.store.database import Connection, Database

SLICE: Final = timedelta(hours=1)
"""Ends told in one statement, when many wait."""


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """Ends of one kind, told `ahead` of them; of `short` lives, when a part of them is left. `name` = under which it is
    kept up to when they were told."""

    name: str
    event: Event
    code: str
    ahead: timedelta = timedelta(0)
    short: bool = False

    async def tell(self, connection: Connection, cell: int, span: tuple[datetime, datetime], now: datetime) -> int:
        if self.short:
            return await stored.tell_short_ends(
                connection, cell, self.event, span, EXPIRING_AHEAD, EXPIRING_PART, now, self.code
            )
        return await stored.tell_ends(connection, cell, self.event, span, self.ahead, now, self.code)


SWEEPS: Final = (
    Sweep(name="binding.expiring", event=Event.BINDING_EXPIRING, code="binding_expiring", ahead=EXPIRING_AHEAD),
    Sweep(name="binding.expiring, short", event=Event.BINDING_EXPIRING, code="binding_expiring", short=True),
    Sweep(name="binding.expired", event=Event.BINDING_EXPIRED, code="binding_expired"),
)


class Ends:
    """Tells of bindings three days before their end, of shorter ones when a tenth of their life is left, and after the
    end, each end once: an extension makes another end.

    An end is told once every statement that may still have moved it is over, which `settled_after` allows for: what is
    told to be expired is.
    """

    def __init__(self, database: Database, cells: int, settled_after: timedelta) -> None:
        self._database = database
        self._cells = cells
        self._settled_after = settled_after

    async def tell(self, now: datetime) -> int:
        """Files what came about since the last time; how many rows."""
        told = 0
        for cell in range(self._cells):
            for sweep in SWEEPS:
                target = now - self._settled_after + sweep.ahead
                await stored.begin_sweep(self._database, cell, sweep.name, target)
                while (filed := await self._slice(cell, sweep, target, now)) is not None:
                    told += filed
        return told

    async def _slice(self, cell: int, sweep: Sweep, target: datetime, now: datetime) -> int | None:
        """The next hour of ends, and how far that goes, in one transaction; None = there is nothing more."""
        async with self._database.acquire() as connection, connection.transaction():
            since = await stored.lock_sweep(connection, cell, sweep.name)
            if since is None or since >= target:
                return None
            if not await stored.anyone(connection, sweep.event):
                await stored.end_sweep(connection, cell, sweep.name, target)
                return None
            until = min(target, since + SLICE)
            told = await sweep.tell(connection, cell, (since, until), now)
            await stored.end_sweep(connection, cell, sweep.name, until)
            return told


async def tell_closes(connection: Connection, invoices: Sequence[Invoice]) -> None:
    """Files the event of invoices just closed, in the transaction that closes them."""
    if not invoices or not await stored.anyone(connection, Event.INVOICE_CLOSED):
        return
    rows = [(invoice.number, invoice.buyer.merchant_id, _json(_closed(invoice))) for invoice in invoices]
    await stored.tell_closes(connection, invoices[0].closed_at, rows)


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What is free on a host, or in a city."""

    subject: str
    free: int
    capacity: int
    told: dict[str, object]


class PoolWatch:
    """Tells platforms when a host or a city has less than some percent free: once, until it has more again."""

    def __init__(self, database: Database, low_percent: int) -> None:
        self._database = database
        self._low_percent = low_percent

    async def wanted(self) -> bool:
        """Looking costs a count of all slots: only where somebody listens."""
        return self._low_percent > 0 and await stored.anyone(self._database, Event.POOL_LOW)

    async def look(self, rooms: Sequence[Room], now: datetime) -> int:
        """How many are newly low."""
        low = {room.subject: room for room in rooms if room.free * 100 < room.capacity * self._low_percent}
        async with self._database.acquire() as connection, connection.transaction():
            recovered = await stored.lows(connection) - low.keys()
            await stored.forget_lows(connection, sorted(recovered))
            new = sorted(await stored.note_lows(connection, sorted(low), now))
            if new:
                await stored.tell_lows(connection, now, [(name, _json(low[name].told)) for name in new])
        return len(new)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _closed(invoice: Invoice) -> dict[str, object]:
    return {
        "invoice_number": invoice.number,
        "merchant_id": invoice.buyer.merchant_id,
        "period": str(invoice.period),
        "closed_at": invoice.closed_at,
        "total_exact": plain(invoice.total_exact),
        "amount_due": two_places(invoice.amount_due),
    }


def rooms_of_hosts(hosts: Sequence[tuple[str, str | None, HostState, int, int]]) -> list[Room]:
    """Of (host, city, state, free, capacity): the active hosts, and their cities."""
    active = [(host, city, free, capacity) for host, city, state, free, capacity in hosts if state is HostState.ACTIVE]
    rooms = [
        Room(
            subject=f"host {host}",
            free=free,
            capacity=capacity,
            told={"scope": "host", "host": host, "city": city, "free": free, "capacity": capacity},
        )
        for host, city, free, capacity in active
    ]
    for name in sorted({city for _, city, _, _ in active if city is not None}):
        free = sum(one[2] for one in active if one[1] == name)
        capacity = sum(one[3] for one in active if one[1] == name)
        told: dict[str, object] = {"scope": "city", "host": None, "city": name, "free": free, "capacity": capacity}
        rooms.append(Room(subject=f"city {name}", free=free, capacity=capacity, told=told))
    return rooms
