"""What is known of a batch before a slot is drawn: orders that have a number are answered by it, and who reached his
cap gets none."""

from vnum.model.orders import OrderStatus, advances
from vnum.service.batch import Batch, Bound, answer_known
from vnum.service.clock import Clock
from vnum.service.spend import NO_LIMITS, Spending, Wanted, limits_of
from vnum.store import bindings as stored
from vnum.store.database import Database


class Admission:
    def __init__(self, database: Database, spending: Spending, clock: Clock) -> None:
        self._database = database
        self._spending = spending
        self._clock = clock

    async def admit(self, batch: Batch, open_: list[int]) -> list[int]:
        """Reads clock and orders; answers what needs no slot; returns the positions that do."""
        orders = [batch.orders[n] for n in open_]
        records = await stored.before_bind(
            self._database,
            batch.cell,
            self._clock.simulated(),
            [order.merchant_id for order in orders],
            [order.order_id for order in orders],
            [order.fingerprint for order in orders],
        )
        batch.now = await self._clock.settle(records[0]["server_now"], records[0]["highest"])
        missing: list[int] = []
        advanced: list[tuple[str, str, str]] = []
        for n, order, record in zip(open_, orders, records, strict=True):
            batch.records[n] = record
            outcome = answer_known(order, record, batch.now)
            if outcome is None:
                missing.append(n)
                continue
            batch.outcomes[n] = outcome
            if isinstance(outcome, Bound) and advances(
                OrderStatus(record["order_status"]), OrderStatus(order.order_status)
            ):
                advanced.append((order.merchant_id, order.order_id, order.order_status))
        if advanced:
            await stored.advance_status(self._database, batch.cell, advanced)
        return await self._afforded(batch, missing)

    async def _afforded(self, batch: Batch, open_: list[int]) -> list[int]:
        """Refuses new bindings of merchants who reached their cap. Of most there is nothing to look after."""
        wanted: dict[int, Wanted] = {}
        for n in open_:
            if n not in batch.admitted and (limits := limits_of(batch.records[n])) is not NO_LIMITS:
                order = batch.orders[n]
                wanted[n] = Wanted(order.merchant_id, limits, order.under_way)
        if not wanted:
            return open_
        refusals = await self._spending.admit(list(wanted.values()), batch.now)
        refused = {n: refusal for n, refusal in zip(wanted, refusals, strict=True) if refusal is not None}
        batch.admitted.update(wanted.keys() - refused.keys())
        batch.outcomes = [refused.get(n, outcome) for n, outcome in enumerate(batch.outcomes)]
        return [n for n in open_ if n not in refused]

    def settle(self, batch: Batch) -> None:
        """Lets go of what was reserved under caps, once it is known what was bound."""
        for n in batch.admitted:
            outcome = batch.outcomes[n]
            bound = isinstance(outcome, Bound) and outcome.created
            self._spending.settle(batch.orders[n].merchant_id, bound=bound)
