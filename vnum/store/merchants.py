"""Merchants: who pays."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from asyncpg import Record

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("merchants")


async def page(
    database: Database | Connection, after: str, size: int, only: list[str] | None, now: datetime
) -> list[Record]:
    """Merchants behind `after`, each with the tariff that he pays now."""
    return await database.fetch(SQL["merchants"], after, size, only, now)


async def has(database: Database, merchant_id: str) -> bool:
    return bool(await database.fetchval(SQL["has_merchant"], merchant_id))


async def limits(database: Database, merchant_id: str) -> Record | None:
    """What he may spend; None = no such merchant."""
    return await database.fetchrow(SQL["limits"], merchant_id)


async def add(
    connection: Connection, *columns: str | None, now: datetime | None, limits: Sequence[Decimal | None]
) -> datetime | None:
    """merchant_id, name, invoice_title, tax_no, service_number, state; since when, None = there is one already."""
    created_at: datetime | None = await connection.fetchval(SQL["add_merchant"], *columns, now, *limits)
    return created_at


async def change(
    connection: Connection, merchant_id: str, *columns: str | None, limits: Sequence[tuple[bool, Decimal | None]]
) -> bool:
    """name, invoice_title, tax_no, service_number, state (None = as it is); limits: whether it is changed, and to what.

    False = no such merchant.
    """
    changes = [value for limit in limits for value in limit]
    return await connection.fetchval(SQL["change_merchant"], merchant_id, *columns, *changes) is not None
