"""The recipient's no in PostgreSQL."""

from datetime import datetime
from uuid import UUID

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("opt_outs")

ALL = ""
"""Every shop."""

NO_CALLER = b""


async def say(
    connection: Connection,
    opt_out_id: UUID,
    recipient_hash: bytes,
    scope: str,
    merchant_id: str,
    caller_hash: bytes,
    *,
    at: datetime,
    by: str,
    why: str | None,
) -> bool:
    """False = it was said already, and stands."""
    row = (opt_out_id, recipient_hash, scope, merchant_id, caller_hash, at, by, why)
    return await connection.fetchval(SQL["say"], *row) is not None


async def said_at(connection: Connection, recipient_hash: bytes, scope: str, merchant_id: str) -> datetime | None:
    """Since when it is in force; None = it is not."""
    found: datetime | None = await connection.fetchval(SQL["in_force"], recipient_hash, scope, merchant_id)
    return found


async def wants_no_texts(database: Database, recipient_hash: bytes, merchant_id: str) -> bool:
    return bool(await database.fetchval(SQL["wants_no_texts"], recipient_hash, merchant_id))


async def withdraw(
    connection: Connection, recipient_hash: bytes, scope: str, merchant_id: str, *, at: datetime, by: str
) -> list[UUID]:
    """What was in force, and is no more."""
    records = await connection.fetch(SQL["withdraw"], recipient_hash, scope, merchant_id, at, by)
    return [record["opt_out_id"] for record in records]
