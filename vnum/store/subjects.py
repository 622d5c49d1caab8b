"""One person's rows in PostgreSQL, found by the fingerprint of the phone."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("subjects")
PATIENCE_S = 610.0
_TRACES = (
    "erase_wrong_extensions",
    "erase_lockouts",
    "erase_contacts",
    "erase_texted",
    "erase_reached",
    "erase_dials",
    "erase_routed",
    "erase_marks",
)


async def _read(database: Database, name: str, *asked: object) -> list[Record]:
    """With more patience than others have: a month without an index is read through."""
    async with database.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(SQL["patience"])
        return list(await connection.fetch(SQL[name], *asked, timeout=PATIENCE_S))


async def bindings(database: Database, fingerprint: bytes, after: UUID, most: int) -> list[Record]:
    """By id."""
    return await _read(database, "subject_bindings", fingerprint, after, most)


async def calls_to(
    database: Database, fingerprint: bytes, after: tuple[UUID, datetime, str], most: int
) -> list[Record]:
    """By binding, instant and call id."""
    return await _read(database, "calls_to", fingerprint, *after, most)


async def calls_from(database: Database, fingerprint: bytes, after: tuple[datetime, str], most: int) -> list[Record]:
    """By instant and call id."""
    return await _read(database, "calls_from", fingerprint, *after, most)


async def counts_against(database: Database, fingerprint: bytes) -> tuple[int, int]:
    """(wrong extensions that count, locks)."""
    (record,) = await _read(database, "counts_against", fingerprint)
    return record["wrong_extensions"], record["lockouts"]


async def erase_bindings(connection: Connection, cell: int, ids: Sequence[UUID], fingerprint: bytes) -> list[UUID]:
    """The ids of those that named it until now."""
    records = await connection.fetch(SQL["erase_bindings"], cell, ids, fingerprint)
    return [record["binding_id"] for record in records]


async def erase_calls(connection: Connection, keys: Sequence[tuple[int, datetime, str]]) -> None:
    """By (cell, biz_at, call id)."""
    await connection.execute(SQL["erase_calls"], *(list(column) for column in zip(*keys, strict=True)))


async def erase_traces(connection: Connection, fingerprint: bytes) -> None:
    """Wrong extensions and locks, whom it reached, how often it was reached, who rang or was rung of marks."""
    await connection.execute(SQL["patience"])
    for name in _TRACES:
        await connection.execute(SQL[name], fingerprint, timeout=PATIENCE_S)


async def wishes(database: Database, fingerprint: bytes, most: int) -> list[Record]:
    """kind, merchant_id, what, at, call_id: opt-outs, registrations, blacklists and marks, up to `most` of each."""
    return await _read(database, "wishes", fingerprint, most)
