"""Call records that were not taken, in PostgreSQL: kept, listed, decided."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.store.calls import Filed
from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("reviews")


class Kept(msgspec.Struct, frozen=True, gc=False):
    """One record that was not taken, sealed; fields in the order of the statement's arrays."""

    cell: int
    review_id: UUID
    call_id: str
    status: str
    code: str
    detail: str
    content: bytes
    record: bytes


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """Who decides a review, when and why."""

    cell: int
    review_id: UUID
    at: datetime
    by: str
    reason: str


async def keep(database: Database, rows: Sequence[Kept], received_at: datetime, key_id: int) -> None:
    """Keeps records for review, once each content."""
    cells, ids, calls, *rest = ([row[n] for row in map(msgspec.structs.astuple, rows)] for n in range(8))
    await database.execute(SQL["keep_reviews"], cells, ids, calls, received_at, *rest, key_id)


async def page(
    database: Database, state: str, status: str | None, code: str | None, after: UUID, limit: int
) -> list[Record]:
    """Reviews of a state behind `after`, oldest first."""
    return await database.fetch(SQL["reviews"], state, status, code, after, limit)


async def lock(connection: Connection, cell: int, review_id: UUID) -> Record | None:
    """A review, which nobody else decides until the transaction's end."""
    return await connection.fetchrow(SQL["lock_review"], cell, review_id)


async def refuse_again(connection: Connection, cell: int, review_id: UUID, status: str, code: str, detail: str) -> None:
    await connection.execute(SQL["refuse_again"], cell, review_id, status, code, detail)


async def decide(connection: Connection, ruling: Ruling, state: str) -> None:
    await connection.execute(
        SQL["decide_review"], ruling.cell, ruling.review_id, state, ruling.at, ruling.by, ruling.reason
    )


async def lock_call(connection: Connection, cell: int, call_id: str) -> Record | None:
    """binding_id, biz_at and content of what is charged under a call's id, which nobody else replaces meanwhile."""
    return await connection.fetchrow(SQL["lock_call"], cell, call_id)


async def replace(
    connection: Connection, ruling: Ruling, charged_at: datetime, filed: Filed, replaced: Kept, key_id: int
) -> bool:
    """Puts `filed` in the place of the call charged at `charged_at`; False = a month is closed, nothing is changed.
    `key_id` = what `replaced` is sealed by."""
    call = (
        filed.cell,
        filed.call_id,
        charged_at,
        filed.biz_at,
        filed.key_id,
        filed.caller,
        filed.caller_hash,
        filed.call_time,
        filed.ring_time,
        filed.answer_time,
        filed.release_time,
        filed.release_dir,
        filed.release_cause,
        filed.rated.seconds,
        filed.rated.minutes,
        filed.rated.units,
        filed.rated.unit_s,
        filed.rated.rate,
        filed.rated.setup_fee,
        filed.rated.cost,
        filed.rated.tariff_id,
        filed.rated.tariff_version,
    )
    review = (ruling.cell, filed.content, ruling.review_id, ruling.at, ruling.by, ruling.reason)
    before = (replaced.review_id, replaced.detail, replaced.content, replaced.record, key_id)
    return await connection.fetchval(SQL["replace_call"], *call, *review, *before) is not None
