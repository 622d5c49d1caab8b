"""The parcels that come with a bind, filed before it is answered: an acknowledged parcel can be looked up."""

from collections.abc import Sequence

import msgspec
from asyncpg import PostgresError

from vnum.model.acting import acting_by
from vnum.model.cells import cell_of
from vnum.model.refusals import Refused
from vnum.service.batch import UNKNOWN, Batch, Bound, Outcome
from vnum.service.lifecycle import Lifecycle
from vnum.service.orders import Order
from vnum.store import bindings as stored
from vnum.store.database import LOST, Database


class Waybills:
    def __init__(self, database: Database, lifecycle: Lifecycle, cells: int) -> None:
        self._database = database
        self._lifecycle = lifecycle
        self._cells = cells

    async def file(self, batch: Batch) -> None:
        """Before the answer goes out: an acknowledged parcel can be looked up."""
        bound = [
            n for n, outcome in enumerate(batch.outcomes) if isinstance(outcome, Bound) and batch.orders[n].parcels
        ]
        new = [n for n in bound if getattr(batch.outcomes[n], "created", False)]
        repeated = sorted(set(bound).difference(new))
        try:
            if new:
                rows = [row for n in new for row in self._parcels_of(batch.orders[n])]
                await stored.file_waybills(self._database, rows, batch.now)
            for n in await self._with_more(batch, repeated):
                batch.outcomes[n] = await self._go_on(batch.orders[n], batch.outcomes[n])
        except (*LOST, PostgresError):
            batch.refuse(bound, UNKNOWN)

    def _parcels_of(self, order: Order) -> list[tuple[int, str, str, str, str]]:
        return [
            (
                cell_of(self._cells, parcel.carrier, parcel.waybill_no),
                parcel.carrier,
                parcel.waybill_no,
                order.merchant_id,
                order.order_id,
            )
            for parcel in order.parcels
        ]

    async def _with_more(self, batch: Batch, repeated: Sequence[int]) -> list[int]:
        """Orders bound before that come with a parcel which was not theirs yet."""
        asked = [(n, row) for n in repeated for row in self._parcels_of(batch.orders[n])]
        if not asked:
            return []
        known = await stored.known_waybills(self._database, [row for _, row in asked])
        return sorted({n for place, (n, _) in enumerate(asked) if place not in known})

    async def _go_on(self, order: Order, outcome: Outcome) -> Outcome:
        """Files them as POST .../parcels does: what travels takes an early end back."""
        assert isinstance(outcome, Bound)
        try:
            with acting_by(order.by):
                binding_id, ends_at = await self._lifecycle.file(order.merchant_id, order.order_id, order.parcels)
        except Refused as refused:
            return refused.refusal
        if binding_id != outcome.binding.binding_id:
            return outcome  # it has another number meanwhile
        binding = msgspec.structs.replace(outcome.binding, expires_at=ends_at, ended_at=ends_at)
        return Bound(binding, outcome.created, outcome.now)
