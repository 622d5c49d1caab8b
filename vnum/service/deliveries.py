"""What became of the deliveries of a subscription, and sending them once more."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.acting import untied
from vnum.model.ids import cell_in
from vnum.model.refusals import Code, Refused
from vnum.model.webhooks import DeliveryState
from vnum.service.clock import Clock, peek
from vnum.service.keys import Caller
from vnum.service.webhooks import FIRST, PAGE, Webhook, Webhooks
from vnum.store import webhooks as stored
from vnum.store.database import Database

REPLAY = 1_000
"""Deliveries replayed in one statement."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to one subscription. `due_at` = its next attempt, while it waits; `failure` = why the last
    one failed."""

    delivery_id: UUID
    event: str
    merchant_id: str | None
    at: datetime
    state: DeliveryState
    attempts: int
    due_at: datetime
    tried_at: datetime | None
    failure: str | None
    data: msgspec.Raw


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription with the numbers of its deliveries that wait and that are dead."""

    webhook: Webhook
    waiting: int
    dead: int


class Deliveries:
    def __init__(self, database: Database, webhooks: Webhooks, clock: Clock) -> None:
        self._database = database
        self._webhooks = webhooks
        self._clock = clock

    async def page(
        self, webhook_id: UUID, state: DeliveryState, caller: Caller, *, after: UUID = FIRST, most: int = PAGE
    ) -> list[Delivery]:
        """Of a state, the oldest first, behind `after`. Raises Refused (webhook_not_found)."""
        await self._webhooks.seen(webhook_id, caller)
        return [_delivery(row) for row in await stored.deliveries(self._database, webhook_id, state, after, most)]

    async def replay(self, webhook_id: UUID, delivery_id: UUID, caller: Caller) -> Delivery:
        """Sends a delivery once more, from the first attempt on, whatever became of it. Raises Refused:
        webhook_not_found, delivery_not_found."""
        await self._webhooks.seen(webhook_id, caller)
        now = await peek(self._clock, self._database)
        with untied():  # of the one seen above
            record = await stored.replay(self._database, cell_in(delivery_id), webhook_id, delivery_id, now)
        if record is None:
            raise Refused(Code.DELIVERY_NOT_FOUND, "no delivery of this subscription has such an id")
        return _delivery(record)

    async def replay_dead(self, webhook_id: UUID, caller: Caller) -> int:
        """Sends every dead delivery once more; how many. Raises Refused (webhook_not_found)."""
        await self._webhooks.seen(webhook_id, caller)
        now = await peek(self._clock, self._database)
        replayed = 0
        with untied():  # of the one seen above
            while more := await stored.replay_dead(self._database, webhook_id, now, REPLAY):
                replayed += more
        return replayed

    async def backlogs(self, webhooks: Sequence[Webhook]) -> list[Backlog]:
        """With how much of each waits and is dead."""
        counts = await stored.counts(self._database, [webhook.webhook_id for webhook in webhooks])
        return [
            Backlog(
                webhook=webhook,
                waiting=counts.get((webhook.webhook_id, DeliveryState.WAITING), 0),
                dead=counts.get((webhook.webhook_id, DeliveryState.DEAD), 0),
            )
            for webhook in webhooks
        ]


def _delivery(record: Record) -> Delivery:
    fields = {name: record[name] for name in Delivery.__struct_fields__ if name not in ("delivery_id", "state", "data")}
    return Delivery(
        delivery_id=record["event_id"],
        state=DeliveryState(record["state"]),
        data=msgspec.Raw(record["data"].encode()),
        **fields,
    )
