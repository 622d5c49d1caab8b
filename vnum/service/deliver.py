"""Delivery of events: signed, one worker a subscription, tried again for a day, in the order of each binding.

A delivery is in PostgreSQL from its effect's commit until it is settled, so whatever dies here, it is tried again: at
least once. The receiver tells repeats by their id.
"""

import asyncio
import secrets
from datetime import datetime, timedelta
from functools import partial
from os import urandom
from typing import Final
from uuid import UUID

import msgspec
import structlog
from asyncpg import PostgresError, Record

from vnum.meters import DELIVERIES
from vnum.model.beside import ended
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.model.webhooks import JITTER_PARTS, DeliveryState, headers, next_attempt
from vnum.outside.addresses import Reach
from vnum.outside.client import Client, NoAnswer
from vnum.service.clock import Clock, peek
from vnum.service.webhooks import SECRET, reach_of
from vnum.store import webhooks as stored
from vnum.store.database import LOST, Database
from vnum.store.webhooks import Settled
from vnum.vault import Vault

log = structlog.get_logger()

BATCH: Final = 32
AT_ONCE: Final = 8
LEASE: Final = timedelta(seconds=60)
"""Longer than a batch can take: BATCH / AT_ONCE times the client's patience (10 s)."""

LANES: Final = 200
"""Subscriptions that a process delivers to at a time. A receiver that hangs fills its own lane only."""

STATEMENTS: Final = 2
"""At a time: deliveries leave the connections of the pool to requests."""

MOST_BATCHES: Final = 100
POLL_S: Final = 1.0

DEAD_KEPT: Final = timedelta(days=90)
CLEAR: Final = 1_000
_LAST: Final = UUID(int=(1 << 128) - 1)


class Message(msgspec.Struct, frozen=True):
    """The body of a request: `type` = the event, `timestamp` = when it came about."""

    type: str
    timestamp: str
    data: msgspec.Raw


class Deliverer:
    def __init__(self, database: Database, vault: Vault, clock: Clock, reach: Reach, keep: timedelta) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._reach = reach
        self._keep = keep
        self._clients = {each: Client(each) for each in {reach, Reach.PUBLIC}}
        self._statements = asyncio.Semaphore(STATEMENTS)
        self._lanes: dict[UUID, asyncio.Task[int]] = {}

    async def run(self) -> None:
        """Delivers until cancelled. Trouble with PostgreSQL is for the next round."""
        try:
            while True:
                try:
                    await self._open_lanes()
                except (*LOST, PostgresError, TimeoutError) as trouble:
                    log.warning("deliveries_not_read", trouble=type(trouble).__name__)
                await asyncio.sleep(POLL_S)
        finally:
            await self._close_lanes()

    async def round(self) -> int:
        """Delivers what is due now, once; how many attempts were made."""
        due = await stored.due_webhooks(self._database, await self._now())
        return sum(await asyncio.gather(*(self.lane(webhook_id) for webhook_id in due)))

    async def lane(self, webhook_id: UUID) -> int:
        """Delivers to one subscription as long as something is due, unless another worker does; the attempts made."""
        now = await self._now()
        lease = new_id(0, now, urandom(RANDOM_BYTES))
        async with self._statements:
            if not await stored.lease(self._database, webhook_id, lease, now + LEASE, now):
                return 0
        attempts = 0
        for _ in range(MOST_BATCHES):
            made, delivered = await self._batch(webhook_id, now)
            attempts += made
            now = await self._now()
            if not delivered or not await self._renew(webhook_id, lease, now + LEASE):
                break
        await self._renew(webhook_id, lease, now)
        return attempts

    async def _renew(self, webhook_id: UUID, lease: UUID, until: datetime) -> bool:
        async with self._statements:
            return await stored.renew(self._database, webhook_id, lease, until)

    async def clear(self, now: datetime) -> None:
        """Forgets what was delivered some days ago and what is dead for a season, and what deleted ones left."""
        for webhook_id, deleted in await stored.ids(self._database):
            kept = {DeliveryState.DELIVERED: self._keep, DeliveryState.DEAD: DEAD_KEPT}
            for state in DeliveryState:
                if deleted:
                    await self._clear(webhook_id, state, _LAST)
                elif state in kept:
                    await self._clear(webhook_id, state, new_id(0, now - kept[state], bytes(RANDOM_BYTES)))
            if deleted:
                async with self._database.acquire() as connection, connection.transaction():
                    await stored.clear_webhook(connection, webhook_id)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def _open_lanes(self) -> None:
        for webhook_id in await stored.due_webhooks(self._database, await self._now()):
            if webhook_id not in self._lanes and len(self._lanes) < LANES:
                task = asyncio.create_task(self._safe_lane(webhook_id))
                self._lanes[webhook_id] = task
                task.add_done_callback(partial(self._left, webhook_id))

    def _left(self, webhook_id: UUID, _: "asyncio.Task[int]") -> None:
        self._lanes.pop(webhook_id, None)

    async def _safe_lane(self, webhook_id: UUID) -> int:
        """What goes wrong in a lane is the lane's: its lease runs out, and it is tried again."""
        try:
            return await self.lane(webhook_id)
        except Exception as trouble:
            log.warning("lane_failed", webhook_id=str(webhook_id), trouble=type(trouble).__name__)
            return 0

    async def _close_lanes(self) -> None:
        for task in list(self._lanes.values()):
            await ended(task)

    async def _batch(self, webhook_id: UUID, now: datetime) -> tuple[int, int]:
        """(attempts, those delivered) of what is due."""
        async with self._statements:
            webhook = await stored.sending(self._database, webhook_id, now)
            if webhook is None:
                return 0, 0
            due = await stored.due(self._database, webhook_id, now, BATCH)
        if not due:
            return 0, 0
        signing = self._secrets(webhook, now)
        few = asyncio.Semaphore(AT_ONCE)

        async def attempt(row: Record) -> Settled:
            async with few:
                return _settled(row, now, await self._send(webhook, row, now, signing))

        rows = await asyncio.gather(*map(attempt, due))
        async with self._statements:
            await stored.settle(self._database, webhook_id, now, rows)
        for _, _, state, _, failure in rows:
            DELIVERIES.labels("failed" if failure and state != DeliveryState.DEAD else state).inc()
        return len(rows), sum(state == DeliveryState.DELIVERED for _, _, state, _, _ in rows)

    async def _send(self, webhook: Record, row: Record, now: datetime, signing: list[str]) -> str | None:
        """None = the receiver took it; else why not."""
        data = msgspec.Raw(row["data"].encode())
        body = msgspec.json.encode(Message(row["event"], f"{row['at']:%FT%TZ}", data))
        sent = headers(row["event_id"], int(now.timestamp()), body, signing)
        client = self._clients[reach_of(webhook["role"], self._reach)]
        try:
            reply = await client.post(webhook["url"], body, sent)
        except NoAnswer as trouble:
            return trouble.why
        return None if 200 <= reply.status < 300 else f"status {reply.status}"

    def _secrets(self, webhook: Record, now: datetime) -> list[str]:
        """Those that sign now, the newest first."""
        sealed = [webhook["secret"]]
        if webhook["former_secret"] is not None and webhook["former_until"] > now:
            sealed.append(webhook["former_secret"])
        return [self._vault.open(one, webhook["webhook_id"], SECRET) for one in sealed]

    async def _clear(self, webhook_id: UUID, state: str, before: UUID) -> None:
        while await stored.clear(self._database, webhook_id, state, before, CLEAR) == CLEAR:
            pass

    async def _now(self) -> datetime:
        async with self._statements:
            return await peek(self._clock, self._database)


def _settled(row: Record, now: datetime, failure: str | None) -> Settled:
    key = (row["cell"], row["event_id"])
    if failure is None:
        return (*key, DeliveryState.DELIVERED, now, None)
    again = next_attempt(row["attempts"] + 1, now, secrets.randbelow(JITTER_PARTS))
    if again is None:
        return (*key, DeliveryState.DEAD, now, failure)
    return (*key, DeliveryState.WAITING, again, failure)
