"""Merchants: who pays."""

from datetime import datetime

from asyncpg import Record

from vnum.store.database import Database
from vnum.store.queries import queries

SQL = queries("merchants")


async def page(database: Database, after: str, size: int, only: list[str] | None) -> list[Record]:
    return await database.fetch(SQL["merchants"], after, size, only)


async def merchant(database: Database, merchant_id: str) -> Record | None:
    return await database.fetchrow(SQL["merchant"], merchant_id)


async def add(database: Database, *columns: str | None, now: datetime | None) -> Record | None:
    """merchant_id, name, invoice_title, tax_no, tariff_id, service_number, state; None = there is one already."""
    return await database.fetchrow(SQL["add_merchant"], *columns, now)


async def change(database: Database, merchant_id: str, *columns: str | None) -> Record | None:
    """name, invoice_title, tax_no, tariff_id, service_number, state (None = as it is); None = no such merchant."""
    return await database.fetchrow(SQL["change_merchant"], merchant_id, *columns)


async def has_orders(database: Database, cells: int, merchant_id: str) -> bool:
    """Whether anything was ever bound for the merchant."""
    return bool(await database.fetchval(SQL["has_orders"], list(range(cells)), merchant_id))
