"""Templates and messages in PostgreSQL."""

from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("messages")

Spans = tuple[datetime, datetime, datetime]
"""Now, an hour ago and a day ago."""


class Begun(msgspec.Struct, frozen=True):
    """A message to write; fields in the order of the statement's parameters."""

    cell: int
    message_id: UUID
    merchant_id: str
    order_id: str
    binding_id: UUID
    template_id: str
    purpose: str
    content: bytes
    made_by: str
    created_at: datetime


async def add_template(database: Database, row: tuple[str, str, str, bool, bool, str, datetime]) -> bool:
    """False = there is one of that id. (id, text, purpose, links, phones, made by, now)."""
    return await database.fetchval(SQL["add_template"], *row) is not None


async def template(database: Database, template_id: str) -> Record | None:
    return await database.fetchrow(SQL["template"], template_id)


async def templates(database: Database, after: str, most: int) -> list[Record]:
    return await database.fetch(SQL["templates"], after, most)


async def retire_template(database: Database, template_id: str, now: datetime) -> bool:
    """False = there is none."""
    return await database.fetchval(SQL["retire_template"], template_id, now) is not None


async def recipient(database: Database, cell: int, binding_id: UUID, merchant_id: str) -> Record | None:
    """Whom the order of a binding of the merchant reaches at present; sealed."""
    return await database.fetchrow(SQL["recipient"], cell, binding_id, merchant_id)


async def begin(connection: Connection, message: Begun) -> bool:
    """False = there is a message of that id."""
    return await connection.fetchval(SQL["begin"], *msgspec.structs.astuple(message)) is not None


async def count(
    connection: Connection, cell: int, recipient_hash: bytes, merchant_id: str, spans: Spans, caps: list[int]
) -> bool:
    """False = a cap is reached; then nothing is counted. Caps: the merchant's of an hour and a day, everybody's."""
    now, hour_ago, day_ago = spans
    row = (cell, recipient_hash, now, merchant_id, hour_ago, day_ago, caps)
    return await connection.fetchval(SQL["count_text"], *row) is not None


async def forget_texted(database: Database, before: datetime) -> None:
    await database.execute(SQL["forget_texted"], before)


async def settle(
    database: Database, cell: int, message_id: UUID, state: str, failure: str | None, now: datetime
) -> None:
    await database.execute(SQL["settle"], cell, message_id, state, failure, now)


async def message(database: Database, cell: int, message_id: UUID) -> Record | None:
    return await database.fetchrow(SQL["message"], cell, message_id)


async def content(database: Database, cell: int, message_id: UUID, merchant_id: str) -> bytes | None:
    """What a message of the merchant was asked to be; None = there is none of his."""
    found: bytes | None = await database.fetchval(SQL["content"], cell, message_id, merchant_id)
    return found
