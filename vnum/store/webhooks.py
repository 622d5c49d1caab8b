"""Subscriptions and deliveries in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("webhooks")

Settled = tuple[int, UUID, str, datetime, str | None]
"""(cell, event id, state, due at, failure) after an attempt."""


async def add(
    connection: Connection,
    webhook_id: UUID,
    merchant_id: str | None,
    role: str,
    made_by: str,
    url: str,
    events: Sequence[str],
    secret: bytes,
    now: datetime,
    most: int,
) -> bool:
    """False = there are `most` of this merchant and role already. `secret` is sealed."""
    row = (webhook_id, merchant_id, role, made_by, url, list(events), secret, now, most)
    return await connection.fetchval(SQL["add"], *row) is not None


async def webhook(connection: Connection | Database, webhook_id: UUID) -> Record | None:
    return await connection.fetchrow(SQL["webhook"], webhook_id)


async def sending(database: Database, webhook_id: UUID, now: datetime) -> Record | None:
    """What its deliveries need, the secrets sealed; None = nothing is sent to it now."""
    return await database.fetchrow(SQL["sending"], webhook_id, now)


async def webhooks(
    database: Database,
    merchants: Sequence[str] | None,
    roles: Sequence[str],
    made_by: str | None,
    after: UUID,
    most: int,
) -> list[Record]:
    return await database.fetch(SQL["webhooks"], merchants, roles, made_by, after, most)


async def change(
    connection: Connection | Database,
    webhook_id: UUID,
    url: str | None,
    events: Sequence[str] | None,
    active: bool | None,
) -> None:
    await connection.execute(SQL["change"], webhook_id, url, events, active)


async def rotate(connection: Connection, webhook_id: UUID, secret: bytes, until: datetime) -> None:
    await connection.execute(SQL["rotate"], webhook_id, secret, until)


async def delete(database: Database, webhook_id: UUID, now: datetime) -> None:
    await database.execute(SQL["delete"], webhook_id, now)


async def deliveries(database: Database, webhook_id: UUID, state: str, after: UUID, most: int) -> list[Record]:
    return await database.fetch(SQL["deliveries"], webhook_id, state, after, most)


async def counts(database: Database, webhook_ids: Sequence[UUID]) -> dict[tuple[UUID, str], int]:
    """(webhook, waiting or dead) -> how many deliveries."""
    records = await database.fetch(SQL["counts"], webhook_ids)
    return {(record["webhook_id"], record["state"]): record["deliveries"] for record in records}


async def replay(database: Database, cell: int, webhook_id: UUID, event_id: UUID, now: datetime) -> Record | None:
    return await database.fetchrow(SQL["replay"], cell, webhook_id, event_id, now)


async def replay_dead(database: Database, webhook_id: UUID, now: datetime, most: int) -> int:
    return len(await database.fetch(SQL["replay_dead"], webhook_id, now, most))


async def due_webhooks(database: Database, now: datetime) -> list[UUID]:
    return [record["webhook_id"] for record in await database.fetch(SQL["due_webhooks"], now)]


async def lease(database: Database, webhook_id: UUID, lease: UUID, until: datetime, now: datetime) -> bool:
    """False = another worker has it."""
    return await database.fetchval(SQL["lease"], webhook_id, lease, until, now) is not None


async def renew(database: Database, webhook_id: UUID, lease: UUID, until: datetime) -> bool:
    """False = it ran out, and another worker has it. Until an instant that is past, it is given back."""
    return await database.fetchval(SQL["renew"], webhook_id, lease, until) is not None


async def due(database: Database, webhook_id: UUID, now: datetime, most: int) -> list[Record]:
    """What may be delivered now; what is due behind an event that waits is put off until that is due."""
    await database.execute(SQL["hold_back"], webhook_id, now)
    return await database.fetch(SQL["due"], webhook_id, now, most)


async def settle(database: Database, webhook_id: UUID, now: datetime, rows: Sequence[Settled]) -> None:
    await database.execute(SQL["settle"], webhook_id, now, *zip(*rows, strict=True))


async def ids(database: Database) -> list[tuple[UUID, bool]]:
    """Every subscription, and whether it is deleted."""
    return [(record["webhook_id"], record["deleted_at"] is not None) for record in await database.fetch(SQL["ids"])]


async def clear(database: Database, webhook_id: UUID, state: str, before: UUID, most: int) -> int:
    return len(await database.fetch(SQL["clear"], webhook_id, state, before, most))


async def clear_webhook(connection: Connection, webhook_id: UUID) -> None:
    await connection.execute(SQL["clear_lane"], webhook_id)
    await connection.execute(SQL["clear_webhook"], webhook_id)
