"""A change of an order under its lock, after which its status and the end of its number are what its course says.

The end is set at once and for the instant at which it is due; no job has to come by then. So an early end is as exact
as any expiry, quarantine counts from it, and the rental of no day before it changes.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.cells import cell_of
from vnum.model.lifecycle import Course, Event, EventType, Parcel, ParcelState, Policy, course, moved_on
from vnum.model.numbers import index_of, parse_extension
from vnum.model.orders import OrderStatus
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, read
from vnum.service.registry import Registry
from vnum.service.supply import Supply
from vnum.store import audit
from vnum.store import bindings as stored_bindings
from vnum.store import lifecycle as stored
from vnum.store.database import Connection, Database, trying_again, writer_of

ATTEMPTS = 4
"""A change that finds the order bound anew since it was read reads it again."""


class Known(msgspec.Struct, frozen=True):
    """What is known of an order, read under its lock."""

    due_at: datetime | None
    policy: Policy
    parcels: list[Record]
    events: list[Record]

    def course(self, status: OrderStatus) -> Course:
        return course(
            status,
            [Event(EventType(row["type"]), row["at"], row["carrier"] is None) for row in self.events],
            [Parcel(ParcelState(row["state"]), row["since"]) for row in self.parcels],
            self.policy,
        )


class Locked(msgspec.Struct, frozen=True):
    connection: Connection
    cell: int
    now: datetime
    merchant_id: str
    order_id: str
    row: Record
    known: Known


Act = Callable[[Locked], Awaitable[str | None]]
"""Writes; what its audit entry says was done, or None = nothing."""


class _Again(Exception):
    """The order is not what it was when it was read; undoes the transaction."""


class OrderChanger:
    def __init__(self, database: Database, registry: Registry, supply: Supply, clock: Clock, cells: int) -> None:
        self._database = database
        self._registry = registry
        self._supply = supply
        self._clock = clock
        self._cells = cells

    async def change(self, merchant_id: str, order_id: str, act: Act) -> tuple[Record, datetime, OrderStatus, datetime]:
        """Writes under the order's lock, and moves status and end along: (the order, its end, its status, now)."""
        cell = cell_of(self._cells, merchant_id, order_id)
        for _ in range(ATTEMPTS):
            host = await self._host_of(cell, merchant_id, order_id)
            now = await read(self._clock, self._database, cell)
            try:
                async for attempt in trying_again():
                    with attempt:
                        row, ends_at, moved, status = await self._once(cell, now, merchant_id, order_id, act, host)
            except _Again:
                continue
            if moved is not None:
                await self._supply.move(cell, [(row["host"], index_of(parse_extension(row["extension"])), moved)])
            return row, ends_at, status, now
        raise Refused(Code.STORE_UNAVAILABLE, "the order is being changed by others; nothing was done, try again")

    async def _host_of(self, cell: int, merchant_id: str, order_id: str) -> str:
        """No connection is held here: whoever waits for a second one with one in hand may wait for ever."""
        await self._registry.refresh()
        found = await stored_bindings.labels(self._database, cell, self._clock.simulated(), [merchant_id], [order_id])
        host: str | None = found[0]["host"]
        if host is None:
            raise Refused(Code.BINDING_NOT_FOUND, "no number was ever bound for this order")
        await self._registry.get(host)
        return host

    async def _once(
        self, cell: int, now: datetime, merchant_id: str, order_id: str, act: Act, host: str
    ) -> tuple[Record, datetime, datetime | None, OrderStatus]:
        async with self._database.acquire() as connection, connection.transaction():
            row = await stored.lock_order(connection, cell, merchant_id, order_id)
            if row is None or row["host"] != host:
                raise _Again
            before = await self._known(connection, cell, merchant_id, order_id, row["binding_id"])
            locked = Locked(connection, cell, now, merchant_id, order_id, row, before)
            did = await act(locked)
            status, ends_at = OrderStatus(row["order_status"]), row["ended_at"]
            if did is None:
                return row, ends_at, None, status
            after = await self._known(connection, cell, merchant_id, order_id, row["binding_id"])
            was, then = before.course(status), after.course(status)
            if (moved := moved_on(status, then)) is not status:
                await stored.set_status(connection, cell, merchant_id, order_id, moved)
            if not then.travelling:
                await stored.arrived(connection, cell, merchant_id, order_id)
            end = None if was.ends_at == then.ends_at else self._end(locked, then)
            if end is not None and not await stored.set_end(
                connection, cell, now, writer_of(connection), end, self._clock.simulated()
            ):
                raise _Again
            ends_at = ends_at if end is None else end.ends_at
            why = None if end is None else f"the number ends at {ends_at:%FT%TZ}"
            await audit.add(connection, cell, now, did, [str(row["binding_id"])], why)
            return row, ends_at, None if end is None else end.held_until, moved

    def _end(self, locked: Locked, then: Course) -> stored.End | None:
        """The end that the policy sets: never in the past, never after the expiry; None = it stays where it is. A
        number that was bound after that end was bound in spite of it."""
        row, due_at = locked.row, locked.known.due_at
        if row["ended_at"] <= locked.now:
            return None
        expires_at = max(row["ended_at"], due_at or row["ended_at"])
        ends_at = expires_at
        if then.ends_at is not None and then.ends_at >= row["bound_at"]:
            ends_at = min(expires_at, max(locked.now, then.ends_at))
        if ends_at == row["ended_at"]:
            return None
        return stored.End(
            binding_id=row["binding_id"],
            ends_at=ends_at,
            held_until=self._registry.known(row["host"]).held_until(ends_at),
            due_at=None if ends_at == expires_at else expires_at,
        )

    async def _known(
        self, connection: Connection, cell: int, merchant_id: str, order_id: str, binding_id: UUID
    ) -> Known:
        return Known(
            await stored.due(connection, cell, binding_id),
            policy_of(await stored.policy(connection)),
            await stored.parcels(connection, merchant_id, order_id),
            await stored.events(connection, cell, merchant_id, order_id),
        )


def policy_of(record: Record | None) -> Policy:
    return Policy() if record is None else Policy(**record)
