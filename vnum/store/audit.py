"""Audit entries in PostgreSQL: written with what they tell, linked into the chain of their cell afterwards."""

from collections.abc import Sequence
from datetime import datetime
from os import urandom
from uuid import UUID

from asyncpg import Record

from vnum.model.acting import acting, request_id
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("audit")


async def add(
    connection: Connection | Database,
    cell: int,
    at: datetime,
    did: str,
    subjects: Sequence[str],
    why: str | None = None,
) -> None:
    """One entry: who acts now did `did` to `subjects` (ids; never a phone). Call it in the transaction of the change.

    `did` is a noun and a participle (`binding.released`). What belongs to no cell goes to cell 0. Without a `why` the
    entry names the request.
    """
    by = [acting().by] * len(subjects)
    if why is None and (asked := request_id()):
        why = f"request {asked}"
    await connection.execute(SQL["add_entry"], cell, entry_id(cell, at), at, did, by, list(subjects), why)


def entry_id(cell: int, at: datetime) -> UUID:
    return new_id(cell, at, urandom(RANDOM_BYTES))


async def link(database: Database, cell: int, most: int) -> int:
    """Links entries that wait, the oldest first; how many."""
    return int(await database.fetchval(SQL["link"], cell, most))


async def forget(database: Database, cell: int, before: datetime) -> int:
    """Drops linked entries of before an instant; the chain begins after them from then on."""
    return int(await database.fetchval(SQL["forget"], cell, before))


async def head(database: Database, cell: int) -> Record | None:
    return await database.fetchrow(SQL["head"], cell)


async def chain(database: Database, cell: int, after: int, most: int) -> list[Record]:
    return await database.fetch(SQL["chain"], cell, after, most)


async def unlinked(database: Database, cell: int) -> Record:
    record = await database.fetchrow(SQL["unlinked"], cell)
    assert record is not None
    return record


async def entries(
    database: Database, cell: int, ids: tuple[UUID, UUID], by: str | None, subject: str | None, most: int
) -> list[Record]:
    """The newest first, of ids in [first, second)."""
    return await database.fetch(SQL["entries"], cell, *ids, by, subject, most)
