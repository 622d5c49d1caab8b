"""Slots, orders and bindings in PostgreSQL, the judge of who holds what."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.orders import OrderStatus
from vnum.store.audit import entry_id
from vnum.store.database import Connection, Database, aware
from vnum.store.queries import queries

SQL = queries("bindings")
ERASED = "erased"
"""release_reason of a binding that ended because its recipient was erased."""

STATUSES = [str(status) for status in OrderStatus]


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What most rows of a batch have in common; fields in the order of the statement's arrays."""

    mode: str
    city: str | None
    city_strict: bool
    ttl_days: int
    order_status: str
    expires_at: datetime
    held_until: datetime
    by: str


class Row(msgspec.Struct, frozen=True, gc=False):
    """One binding to write; fields in the order of the statement's arrays."""

    binding_id: UUID
    host: str
    extension: str
    merchant_id: str
    order_id: str
    holder_order: int
    holder_recipient: int
    recipient: bytes
    recipient_hash: bytes
    recipient_name: bytes | None
    terms: Terms


async def before_bind(
    database: Database,
    cell: int,
    now: datetime | None,
    merchants: Sequence[str],
    orders: Sequence[str],
    recipients: Sequence[bytes],
) -> list[Record]:
    """One record an order, in order: clock, merchant's state and limits, recipient's no, current binding."""
    records = await database.fetch(SQL["before_bind"], cell, now, merchants, orders, recipients)
    return sorted(records, key=lambda record: record["n"])


async def bind(
    connection: Connection, cell: int, now: datetime, writer: int, key_id: int, rows: Sequence[Row]
) -> dict[UUID, bool]:
    """Binding ids whose slot was written: True = bound, False = the order was bound by another meanwhile."""
    *columns, terms = zip(*map(msgspec.structs.astuple, rows), strict=True)
    distinct = {id(term): term for term in terms}
    number = {key: n for n, key in enumerate(distinct, 1)}
    columns += (
        tuple(number[id(term)] for term in terms),
        *zip(*map(msgspec.structs.astuple, distinct.values()), strict=True),
    )
    entry = entry_id(cell, now)
    records = await connection.fetch(SQL["bind"], cell, now, writer, key_id, *columns, STATUSES, entry)
    return {record["binding_id"]: record["bound"] for record in records}


async def free_orphans(database: Database, cell: int, now: datetime) -> list[Record]:
    return await database.fetch(SQL["free_orphans"], cell, now)


async def held_slots(
    database: Database, cell: int, slots: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], datetime]:
    """(host, extension) -> held until, for those ever bound."""
    hosts, extensions = zip(*slots, strict=True)
    records = await database.fetch(SQL["held_slots"], cell, hosts, extensions)
    return {(record["host"], record["extension"]): aware(record["held_until"]) for record in records}


async def bound_ids(database: Database, cell: int, rows: Sequence[Row]) -> set[UUID]:
    """Which of these rows are their orders' current bindings."""
    records = await database.fetch(
        SQL["bound_ids"],
        cell,
        [row.merchant_id for row in rows],
        [row.order_id for row in rows],
        [row.binding_id for row in rows],
    )
    return {record["binding_id"] for record in records}


async def session_open(database: Database, session: int) -> bool:
    """Whether that process of the server still serves somebody (another one, at worst)."""
    return bool(await database.fetchval(SQL["session_open"], session))


async def advance_status(database: Database, cell: int, changes: Sequence[tuple[str, str, str]]) -> None:
    """(merchant_id, order_id, order_status) of orders that moved on while bound."""
    merchants, orders, statuses = zip(*changes, strict=True)
    await database.execute(SQL["advance_status"], cell, merchants, orders, statuses, STATUSES)


async def file_waybills(
    database: Database | Connection, rows: Sequence[tuple[int, str, str, str, str]], now: datetime
) -> None:
    """(cell, carrier, waybill_no, merchant_id, order_id); repeating it changes nothing."""
    await database.execute(SQL["file_waybills"], *zip(*dict.fromkeys(rows), strict=True), now)


async def known_waybills(database: Database, rows: Sequence[tuple[int, str, str, str, str]]) -> set[int]:
    """The places, from 0 on, of those that are filed."""
    return {row["n"] - 1 for row in await database.fetch(SQL["known_waybills"], *zip(*rows, strict=True))}


async def binding(connection: Database | Connection, cell: int, binding_id: UUID, now: datetime | None) -> Record:
    """The clock, and the binding's columns (null when there is none)."""
    record = await connection.fetchrow(SQL["binding"], cell, binding_id, now)
    assert record is not None
    return record


async def extend(
    connection: Connection,
    cell: int,
    now: datetime,
    writer: int,
    binding_id: UUID,
    was: datetime,
    expires_at: datetime,
    held_until: datetime,
    simulated: datetime | None,
) -> bool:
    """False = it is not live any more, its expiry is no longer `was`, or `now` lies in a closed month."""
    query = SQL["extend"]
    found = await connection.fetchval(query, cell, now, writer, binding_id, was, expires_at, held_until, simulated)
    return found is not None


async def release(
    connection: Connection,
    cell: int,
    now: datetime,
    writer: int,
    binding_id: UUID,
    held_until: datetime,
    reason: str,
) -> bool:
    """False = it is not live any more, or `now` lies in a closed month."""
    found = await connection.fetchval(SQL["release"], cell, now, writer, binding_id, held_until, reason)
    return found is not None


async def labels(
    database: Database, cell: int, now: datetime | None, merchants: Sequence[str], orders: Sequence[str]
) -> list[Record]:
    """One record an order, in order, with the clock; binding_id null = never bound."""
    records = await database.fetch(SQL["labels"], cell, now, merchants, orders)
    return sorted(records, key=lambda record: record["n"])


async def waybills(database: Database, rows: Sequence[tuple[int, str, str]]) -> list[tuple[int, Record]]:
    """(position in `rows`, order) for every order that one of these parcels carries; of a parcel the newest first."""
    records = await database.fetch(SQL["waybills"], *zip(*rows, strict=True))
    return [(record["n"] - 1, record) for record in records]


async def alike(database: Database, cells: Sequence[int], orders: Sequence[tuple[str, str]]) -> set[int]:
    """Positions of the orders that have the recipient of the first."""
    records = await database.fetch(SQL["alike"], cells, *zip(*orders, strict=True))
    return {record["n"] - 1 for record in records}


async def carried_orders(database: Database, carrier: str, orders: Sequence[tuple[str, str]]) -> set[int]:
    """Positions of the (merchant_id, order_id) that have a parcel with the carrier."""
    merchants, ids = zip(*orders, strict=True)
    records = await database.fetch(SQL["carried_orders"], carrier, merchants, ids)
    return {record["n"] - 1 for record in records}


async def last_recipient(database: Database, cell: int, binding_id: UUID) -> Record | None:
    return await database.fetchrow(SQL["last_recipient"], cell, binding_id)
