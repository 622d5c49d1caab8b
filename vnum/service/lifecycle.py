"""The life of an order as its parcels go: what is told of it is kept, and ends its number when the policy says so."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.acting import acting
from vnum.model.cells import cell_of
from vnum.model.lifecycle import ParcelState, Policy
from vnum.model.orders import OrderStatus
from vnum.service import orders
from vnum.service.clock import Clock, peek
from vnum.service.order_change import Locked, OrderChanger, policy_of
from vnum.service.order_events import Kept, NewEvent, keep
from vnum.service.registry import Registry
from vnum.service.supply import Supply
from vnum.store import audit
from vnum.store import bindings as stored_bindings
from vnum.store import lifecycle as stored
from vnum.store.database import Database


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


class Lifecycle:
    def __init__(self, database: Database, registry: Registry, supply: Supply, clock: Clock, cells: int) -> None:
        self._database = database
        self._changer = OrderChanger(database, registry, supply, clock, cells)
        self._clock = clock
        self._cells = cells

    async def tell(self, merchant_id: str, order_id: str, new: NewEvent) -> Told:
        """Keeps an event, once, and lets the order go on by it. Raises Refused: binding_not_found, parcel_not_found,
        event_conflict, time_in_future, clock_jump."""
        told: list[Kept] = []

        async def act(locked: Locked) -> str | None:
            told.append(await keep(new, locked))
            return f"order.{new.type}" if told[-1][0] else None

        row, ends_at, status, now = await self._changer.change(merchant_id, order_id, act)
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

        async def act(locked: Locked) -> str | None:
            known = {(row["carrier"], row["waybill_no"]) for row in locked.known.parcels}
            rows = [(*row, merchant_id, order_id) for row in self._rows(parcels) if row[1:] not in known]
            if rows:
                await stored_bindings.file_waybills(locked.connection, rows, locked.now)
            return "order.parcels_added" if rows else None

        row, ends_at, _, _ = await self._changer.change(merchant_id, order_id, act)
        return row["binding_id"], ends_at

    async def take_parcels(self, merchant_id: str, order_id: str, parcels: Sequence[orders.Parcel]) -> list[Filed]:
        """Takes back parcels that were filed for the wrong order; all that it still has. Raises Refused
        (binding_not_found, clock_jump)."""

        async def act(locked: Locked) -> str | None:
            taken = await stored.take_parcels(locked.connection, self._rows(parcels), merchant_id, order_id)
            return "order.parcels_taken" if taken else None

        await self._changer.change(merchant_id, order_id, act)
        return await self.parcels(merchant_id, order_id)

    async def parcels(self, merchant_id: str, order_id: str) -> list[Filed]:
        return [_filed(row) for row in await stored.parcels(self._database, merchant_id, order_id)]

    async def policy(self) -> Policy:
        return policy_of(await stored.policy(self._database))

    async def set_policy(self, policy: Policy) -> Policy:
        """Holds for what is bound, extended and told from now on."""
        now = await peek(self._clock, self._database)
        rules = (policy.end_after_signed_days, policy.end_after_closed_days, policy.max_reach_days)
        async with self._database.acquire() as connection, connection.transaction():
            await stored.set_policy(connection, rules, now, acting().by)
            why = "end_after_signed_days={}, end_after_closed_days={}, max_reach_days={}".format(*rules)
            await audit.add(connection, 0, now, "policy.changed", ["lifecycle"], why)
        return policy

    def _rows(self, parcels: Sequence[orders.Parcel]) -> list[tuple[int, str, str]]:
        named = dict.fromkeys((parcel.carrier, parcel.waybill_no) for parcel in parcels)
        return [(cell_of(self._cells, *parcel), *parcel) for parcel in named]


def _filed(row: Record) -> Filed:
    return Filed(row["carrier"], row["waybill_no"], ParcelState(row["state"]), row["since"])
