"""Call policies in PostgreSQL."""

from datetime import datetime
from uuid import UUID

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("call_policies")


async def get(database: Database | Connection, merchant_id: str) -> str | None:
    """JSON of the fields that the merchant sets; None = none."""
    found: str | None = await database.fetchval(SQL["get"], merchant_id)
    return found


async def put(connection: Connection, merchant_id: str, policy: str, at: datetime, by: str) -> None:
    await connection.execute(SQL["put"], merchant_id, policy, at, by)


async def pick(connection: Connection, cell: int, binding_id: UUID, group: str | None) -> bool:
    """False = there is no such binding."""
    return await connection.fetchval(SQL["pick"], cell, binding_id, group) is not None
