"""The life of an order as its parcels go: what is told of it is kept, and ends its number when the policy says so.

An event sets the end itself, at once and for the instant at which it is due; no job has to come by then. So an early
end is as exact as any expiry, quarantine counts from it, and the rental of no day before it changes.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.acting import acting
from vnum.model.cells import cell_of
from vnum.model.lifecycle import OF_PARCELS, Course, Event, EventType, Parcel, ParcelState, Policy, course, moved_on
from vnum.model.numbers import index_of, parse_extension
from vnum.model.orders import OrderStatus
from vnum.model.refusals import Code, Refused
from vnum.service import orders
from vnum.service.call_record import Instant
from vnum.service.clock import Clock, peek, read
from vnum.service.orders import Name
from vnum.service.registry import Registry
from vnum.service.supply import Supply
from vnum.store import audit
from vnum.store import bindings as stored_bindings
from vnum.store import lifecycle as stored
from vnum.store.database import Connection, Database, trying_again, writer_of

ATTEMPTS = 4
"""A change that finds the order bound anew since it was read reads it again."""

MOST_EVENTS = 500
"""Of one order: more is no order's life."""

TOLERANCE = timedelta(minutes=5)
"""By so much a sender's clock may be ahead."""


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happened to an order, or with carrier and waybill_no to one parcel of it. `at` = when (now, if left out);
    `event_id` = the sender's own, unique in the order."""

    type: EventType
    carrier: Name | None = None
    waybill_no: Name | None = None
    at: Instant | None = None
    event_id: Name | None = None

    def __post_init__(self) -> None:
        if (self.carrier is None) != (self.waybill_no is None):
            raise ValueError("carrier and waybill_no go together")
        if self.carrier is not None and self.type not in OF_PARCELS:
            raise ValueError(f"{self.type} is told of the whole order, without carrier and waybill_no")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An order after an event. `new` = the event was not known before. `ends_at` = when the order's number ends or
    ended."""

    new: bool
    event_id: str
    at: datetime
    order_status: OrderStatus
    binding_id: UUID
    live: bool
    ends_at: datetime


class Filed(msgspec.Struct, frozen=True):
    """A parcel of an order."""

    carrier: str
    waybill_no: str
    state: ParcelState
    since: datetime | None


class _Known(msgspec.Struct, frozen=True):
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


class _Locked(msgspec.Struct, frozen=True):
    connection: Connection
    cell: int
    now: datetime
    merchant_id: str
    order_id: str
    row: Record
    known: _Known


_Act = Callable[[_Locked], Awaitable[str | None]]
"""Writes; what its audit entry says was done, or None = nothing."""


class _Again(Exception):
    """The order is not what it was when it was read; undoes the transaction."""


class Lifecycle:
    def __init__(self, database: Database, registry: Registry, supply: Supply, clock: Clock, cells: int) -> None:
        self._database = database
        self._registry = registry
        self._supply = supply
        self._clock = clock
        self._cells = cells

    async def tell(self, merchant_id: str, order_id: str, new: NewEvent) -> Told:
        """Keeps an event, once, and lets the order go on by it. Raises Refused: binding_not_found, parcel_not_found,
        event_conflict, time_in_future, clock_jump."""
        told: list[tuple[bool, str, datetime]] = []

        async def act(locked: _Locked) -> str | None:
            at = _instant(new, locked.now)
            known = _known_event(new, locked.known.events)
            told.append(known or (True, new.event_id or _content_id(new, at, len(locked.known.events)), at))
            if known is not None:
                return None
            await _keep(locked, new, told[-1][1], at)
            return f"order.{new.type}"

        row, ends_at, status, now = await self._change(merchant_id, order_id, act)
        is_new, event_id, at = told[-1]
        return Told(
            new=is_new,
            event_id=event_id,
            at=at,
            order_status=status,
            binding_id=row["binding_id"],
            live=now < ends_at,
            ends_at=ends_at,
        )

    async def add_parcels(self, merchant_id: str, order_id: str, parcels: Sequence[orders.Parcel]) -> list[Filed]:
        """More parcels of a bound order; all that it has. Raises Refused (binding_not_found, clock_jump)."""
        await self.file(merchant_id, order_id, parcels)
        return await self.parcels(merchant_id, order_id)

    async def file(self, merchant_id: str, order_id: str, parcels: Sequence[orders.Parcel]) -> tuple[UUID, datetime]:
        """The same; the order's number, and when it ends then."""

        async def act(locked: _Locked) -> str | None:
            known = {(row["carrier"], row["waybill_no"]) for row in locked.known.parcels}
            rows = [(*row, merchant_id, order_id) for row in self._rows(parcels) if row[1:] not in known]
            if rows:
                await stored_bindings.file_waybills(locked.connection, rows, locked.now)
            return "order.parcels_added" if rows else None

        row, ends_at, _, _ = await self._change(merchant_id, order_id, act)
        return row["binding_id"], ends_at

    async def take_parcels(self, merchant_id: str, order_id: str, parcels: Sequence[orders.Parcel]) -> list[Filed]:
        """Takes back parcels that were filed for the wrong order; all that it still has. Raises Refused
        (binding_not_found, clock_jump)."""

        async def act(locked: _Locked) -> str | None:
            taken = await stored.take_parcels(locked.connection, self._rows(parcels), merchant_id, order_id)
            return "order.parcels_taken" if taken else None

        await self._change(merchant_id, order_id, act)
        return await self.parcels(merchant_id, order_id)

    async def parcels(self, merchant_id: str, order_id: str) -> list[Filed]:
        return [_filed(row) for row in await stored.parcels(self._database, merchant_id, order_id)]

    async def policy(self) -> Policy:
        return _policy(await stored.policy(self._database))

    async def set_policy(self, policy: Policy) -> Policy:
        """Holds for what is bound, extended and told from now on."""
        now = await peek(self._clock, self._database)
        rules = (policy.end_after_signed_days, policy.end_after_closed_days, policy.max_reach_days)
        async with self._database.acquire() as connection, connection.transaction():
            await stored.set_policy(connection, rules, now, acting().by)
            why = "end_after_signed_days={}, end_after_closed_days={}, max_reach_days={}".format(*rules)
            await audit.add(connection, 0, now, "policy.changed", ["lifecycle"], why)
        return policy

    async def _change(
        self, merchant_id: str, order_id: str, act: _Act
    ) -> tuple[Record, datetime, OrderStatus, datetime]:
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
        self, cell: int, now: datetime, merchant_id: str, order_id: str, act: _Act, host: str
    ) -> tuple[Record, datetime, datetime | None, OrderStatus]:
        async with self._database.acquire() as connection, connection.transaction():
            row = await stored.lock_order(connection, cell, merchant_id, order_id)
            if row is None or row["host"] != host:
                raise _Again
            before = await self._known(connection, cell, merchant_id, order_id, row["binding_id"])
            locked = _Locked(connection, cell, now, merchant_id, order_id, row, before)
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

    def _end(self, locked: _Locked, then: Course) -> stored.End | None:
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
    ) -> _Known:
        return _Known(
            await stored.due(connection, cell, binding_id),
            _policy(await stored.policy(connection)),
            await stored.parcels(connection, merchant_id, order_id),
            await stored.events(connection, cell, merchant_id, order_id),
        )

    def _rows(self, parcels: Sequence[orders.Parcel]) -> list[tuple[int, str, str]]:
        named = dict.fromkeys((parcel.carrier, parcel.waybill_no) for parcel in parcels)
        return [(cell_of(self._cells, *parcel), *parcel) for parcel in named]


async def _keep(locked: _Locked, new: NewEvent, event_id: str, at: datetime) -> None:
    events, merchant_id, order_id = locked.known.events, locked.merchant_id, locked.order_id
    if new.carrier is not None and (new.carrier, new.waybill_no) not in {
        (row["carrier"], row["waybill_no"]) for row in locked.known.parcels
    }:
        raise Refused(
            Code.PARCEL_NOT_FOUND,
            "the order has no such parcel: add it with POST /v1/orders/{merchant_id}/{order_id}/parcels first",
        )
    if len(events) >= MOST_EVENTS:
        raise Refused(Code.EVENT_CONFLICT, f"{MOST_EVENTS} events of this order are kept already")
    columns = (new.type, new.carrier, new.waybill_no, at, locked.now, acting().by)
    await stored.add_event(locked.connection, locked.cell, merchant_id, order_id, event_id, len(events) + 1, *columns)
    if new.type in (EventType.SIGNED, EventType.RETURNED):
        parcel = (new.carrier, new.waybill_no)
        await stored.rest_parcels(locked.connection, merchant_id, order_id, ParcelState(new.type), at, parcel)


def _instant(new: NewEvent, now: datetime) -> datetime:
    """Raises Refused (time_in_future)."""
    if new.at is not None and new.at > now + TOLERANCE:
        raise Refused(Code.TIME_IN_FUTURE, "at: lies more than five minutes ahead")
    return new.at or now


def _known_event(new: NewEvent, events: Sequence[Record]) -> tuple[bool, str, datetime] | None:
    """The event as it was kept, if it was. Without an id and an instant, it is known if nothing else of its kind
    happened since. Raises Refused (event_conflict)."""
    if new.event_id is not None:
        same = next((row for row in events if row["event_id"] == new.event_id), None)
        if same is not None and (_what(same) != _asked(new) or new.at not in (None, same["at"])):
            raise Refused(Code.EVENT_CONFLICT, "event_id: came with another event of this order before; take a new one")
    elif new.at is not None:
        same = next((row for row in events if _what(row) == _asked(new) and row["at"] == new.at), None)
    else:
        family = [row for row in events if _of_one_kind(row, new)]
        same = family[-1] if family and family[-1]["type"] == new.type else None
    return None if same is None else (False, same["event_id"], same["at"])


def _of_one_kind(row: Record, new: NewEvent) -> bool:
    """What may undo one another: states of the same parcel, after-sales, the order's end."""
    kinds = (
        {EventType.SIGNED, EventType.RETURNED},
        {EventType.AFTER_SALES_OPENED, EventType.AFTER_SALES_CLOSED, EventType.CANCELLED, EventType.CLOSED},
        {EventType.SHIPPED},
    )
    kind = next(kind for kind in kinds if new.type in kind)
    return row["type"] in kind and (row["carrier"], row["waybill_no"]) == (new.carrier, new.waybill_no)


def _what(row: Record) -> tuple[object, ...]:
    return row["type"], row["carrier"], row["waybill_no"]


def _asked(new: NewEvent) -> tuple[object, ...]:
    return str(new.type), new.carrier, new.waybill_no


def _content_id(new: NewEvent, at: datetime, before: int) -> str:
    """An id of the event's own. `before` = how many events came before it: two without an instant may share theirs."""
    content = (*_asked(new), at.isoformat(), before if new.at is None else "")
    return sha256(repr(content).encode()).hexdigest()[:32]


def _policy(record: Record | None) -> Policy:
    return Policy() if record is None else Policy(**record)


def _filed(row: Record) -> Filed:
    return Filed(row["carrier"], row["waybill_no"], ParcelState(row["state"]), row["since"])
