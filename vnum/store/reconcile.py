"""A carrier's calls against ours in PostgreSQL, in temporary tables of one session.

No transaction is open but for the comparison itself: a file may come in slowly, and a close waits for open ones.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.store.database import Connection, Database
from vnum.store.queries import queries

SQL = queries("reconcile")
COMPARE_S = 610.0
_PREPARE = ("forget_file", "forget_pairs", "stage", "pair")


class FileCall(msgspec.Struct, frozen=True, gc=False):
    """A row of the file as it is staged."""

    line: int
    call_id: str
    call_cell: int
    cell: int | None
    host: str | None
    extension: str | None
    caller_hash: bytes | None
    at: datetime
    call_time: datetime
    answer_time: datetime | None
    release_time: datetime
    seconds: int
    minutes: int | None
    fee: Decimal | None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared: calls dated into [from_at, to_at), on these hosts; both sides are searched a little beyond."""

    from_at: datetime
    to_at: datetime
    search_from: datetime
    search_to: datetime
    cells: Sequence[int]
    hosts: Sequence[str]
    tolerance_s: int
    apart_s: int


class Priced(msgspec.Struct, frozen=True, gc=False):
    """The price of a carrier's call at our rates, and whose call it would be."""

    place: int
    priced: Decimal | None
    merchant_id: str | None = None
    order_id: str | None = None
    binding_id: UUID | None = None
    note: str | None = None


@asynccontextmanager
async def session(database: Database) -> AsyncIterator["Session"]:
    """A connection with both tables, empty."""
    async with database.acquire() as connection:
        for name in _PREPARE:
            await connection.execute(SQL[name])
        try:
            yield Session(connection)
        finally:
            if not connection.is_closed():
                await connection.execute(SQL["forget_file"])
                await connection.execute(SQL["forget_pairs"])


class Session:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def stage(self, calls: Sequence[FileCall]) -> None:
        await self._connection.copy_records_to_table(
            "file_calls", records=map(msgspec.structs.astuple, calls), columns=FileCall.__struct_fields__
        )

    async def unreadable(self, rows: Sequence[tuple[int, str]]) -> None:
        """(line, why) of rows of the file that are no call."""
        await self._connection.copy_records_to_table(
            "call_pairs",
            records=((["unreadable"], line, note) for line, note in rows),
            columns=("kinds", "line", "note"),
        )

    async def span(self) -> Record:
        """first, last, rows, hosts of the file."""
        await self._connection.execute(SQL["known"])
        return await self._one("span")

    async def compare(self, window: Window) -> None:
        async with self._connection.transaction():
            await self._connection.execute(SQL["patience"])
            await self._connection.execute(
                SQL["compare"],
                window.from_at,
                window.to_at,
                window.search_from,
                window.search_to,
                window.cells,
                window.hosts,
                window.tolerance_s,
                window.apart_s,
                timeout=COMPARE_S,
            )

    async def unpriced(self, after: int) -> list[Record]:
        """Up to 1,000, by place."""
        return list(await self._connection.fetch(SQL["unpriced"], after))

    async def reviewed(self, calls: Sequence[tuple[int, str]]) -> dict[str, tuple[str, str]]:
        """(status, code) by call id, of those whose record was not taken."""
        cells, ids = [cell for cell, _ in calls], [call_id for _, call_id in calls]
        records = await self._connection.fetch(SQL["reviewed"], cells, ids)
        return {record["call_id"]: (record["status"], record["code"]) for record in records}

    async def price(self, rows: Sequence[Priced]) -> None:
        await self._connection.execute(SQL["price"], *map(list, zip(*map(msgspec.structs.astuple, rows), strict=True)))

    async def totals(self) -> Record:
        return await self._one("totals")

    async def kinds(self) -> dict[str, int]:
        return {record["kind"]: record["calls"] for record in await self._connection.fetch(SQL["kinds"])}

    async def differences(self, after: int) -> list[Record]:
        """Up to 1,000, by place."""
        return list(await self._connection.fetch(SQL["differences"], after))

    async def _one(self, name: str) -> Record:
        record = await self._connection.fetchrow(SQL[name])
        assert record is not None
        return record
