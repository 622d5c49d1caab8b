"""What is told of orders and their parcels, in PostgreSQL: events, the ends they set, new recipients, prints."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("lifecycle")


class End(msgspec.Struct, frozen=True, kw_only=True):
    """A live binding's new end. `due_at` = when it would expire without it; None = this is when."""

    binding_id: UUID
    ends_at: datetime
    held_until: datetime
    due_at: datetime | None


class NewRecipient(msgspec.Struct, frozen=True, kw_only=True):
    """Another phone behind a binding. `holder` = the short hash by which its slot remembers him."""

    binding_id: UUID
    key_id: int
    recipient: bytes
    recipient_hash: bytes
    holder: int
    change_id: UUID
    changed_by: str
    reason: str


class Print(msgspec.Struct, frozen=True, kw_only=True):
    print_id: UUID
    merchant_id: str
    order_id: str
    binding_id: UUID
    format: str
    printed_at: datetime
    printed_by: str
    host: str
    extension: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which labels are looked for. `until` = numbers that end until then; merchants, carrier None = all."""

    until: datetime
    after: tuple[str, str]
    merchants: Sequence[str] | None
    carrier: str | None
    under_way: Sequence[str]
    readable: Sequence[str]
    most: int


async def lock_order(connection: Connection, cell: int, merchant_id: str, order_id: str) -> Record | None:
    """The order's row and that of its slot, until the end of the transaction."""
    return await connection.fetchrow(SQL["lock_order"], cell, merchant_id, order_id)


async def due(connection: Connection, cell: int, binding_id: UUID) -> datetime | None:
    due_at: datetime | None = await connection.fetchval(SQL["due"], cell, binding_id)
    return due_at


async def policy(connection: Connection | Database) -> Record | None:
    return await connection.fetchrow(SQL["policy"])


async def set_policy(connection: Connection, rules: Sequence[int | None], now: datetime, by: str) -> None:
    await connection.execute(SQL["set_policy"], *rules, now, by)


async def parcels(connection: Connection | Database, merchant_id: str, order_id: str) -> list[Record]:
    return await connection.fetch(SQL["parcels"], merchant_id, order_id)


async def parcels_of_orders(database: Database, orders: Sequence[tuple[str, str]]) -> list[tuple[int, Record]]:
    """(position in `orders`, parcel)."""
    records = await database.fetch(SQL["parcels_of_orders"], *zip(*orders, strict=True))
    return [(record["n"] - 1, record) for record in records]


async def events(connection: Connection | Database, cell: int, merchant_id: str, order_id: str) -> list[Record]:
    """By the instants of their happening."""
    return await connection.fetch(SQL["events"], cell, merchant_id, order_id)


async def add_event(connection: Connection, cell: int, *columns: object) -> None:
    """merchant, order, event id, seq, type, carrier, waybill number, at, now, who."""
    await connection.execute(SQL["add_event"], cell, *columns)


async def rest_parcels(
    connection: Connection,
    merchant_id: str,
    order_id: str,
    state: str,
    since: datetime,
    parcel: tuple[str | None, str | None],
) -> None:
    """`parcel` = carrier and waybill number; (None, None) = all of the order's."""
    await connection.execute(SQL["rest_parcels"], merchant_id, order_id, state, since, *parcel)


async def take_parcels(
    connection: Connection, rows: Sequence[tuple[int, str, str]], merchant_id: str, order_id: str
) -> list[Record]:
    """Those that the order had, of (cell, carrier, waybill_no)."""
    return await connection.fetch(SQL["take_parcels"], *zip(*rows, strict=True), merchant_id, order_id)


async def set_status(connection: Connection, cell: int, merchant_id: str, order_id: str, status: str) -> None:
    await connection.execute(SQL["set_status"], cell, merchant_id, order_id, status)


async def set_end(
    connection: Connection, cell: int, now: datetime, writer: int, end: End, simulated: datetime | None
) -> bool:
    """False = it is not live any more, or `now` lies in a closed month."""
    found = await connection.fetchval(
        SQL["set_end"], cell, now, writer, end.binding_id, end.ends_at, end.held_until, end.due_at, simulated
    )
    return found is not None


async def change_recipient(
    connection: Connection, cell: int, now: datetime, writer: int, new: NewRecipient, simulated: datetime | None
) -> bool:
    """False = it is not live any more, or has this recipient already."""
    found = await connection.fetchval(
        SQL["change_recipient"],
        cell,
        now,
        writer,
        new.binding_id,
        new.key_id,
        new.recipient,
        new.recipient_hash,
        new.holder,
        simulated,
        new.change_id,
        new.changed_by,
        new.reason,
    )
    return found is not None


async def recipient(
    database: Database, cell: int, merchant_id: str, order_id: str, binding_id: UUID, recipient_hash: bytes
) -> Record:
    """`same` = he is behind it already; `opted_out` = he wants no number."""
    found = await database.fetchrow(SQL["recipient"], cell, merchant_id, order_id, binding_id, recipient_hash)
    assert found is not None
    return found


async def recipient_changes(database: Database, cell: int, merchant_id: str, order_id: str) -> list[Record]:
    return await database.fetch(SQL["recipient_changes"], cell, merchant_id, order_id)


async def add_print(database: Database | Connection, cell: int, done: Print) -> None:
    await database.execute(
        SQL["print"],
        cell,
        done.print_id,
        done.merchant_id,
        done.order_id,
        done.binding_id,
        done.format,
        done.printed_at,
        done.printed_by,
        done.host,
        done.extension,
    )


async def arrived(connection: Connection, cell: int, merchant_id: str, order_id: str) -> None:
    await connection.execute(SQL["arrived"], cell, merchant_id, order_id)


async def stale(database: Database, now: datetime, wanted: Wanted) -> list[Record]:
    return await database.fetch(
        SQL["stale"],
        now,
        wanted.until,
        *wanted.after,
        None if wanted.merchants is None else list(wanted.merchants),
        wanted.carrier,
        list(wanted.under_way),
        list(wanted.readable),
        wanted.most,
    )
