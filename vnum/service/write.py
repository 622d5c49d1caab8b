"""Writing a batch of bindings: repeated on deadlocks, halved on bad rows, looked up when the connection is lost."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto
from uuid import UUID

import asyncpg
import structlog

from vnum.store import bindings as stored
from vnum.store.bindings import Row
from vnum.store.database import LOST, Database, is_data_error, trying_again, writer_of

log = structlog.get_logger()


class Verdict(Enum):
    """What PostgreSQL said of one row."""

    BOUND = auto()
    SLOT_REFUSED = auto()  # held, or last held by this order or recipient; or a closed month, an inactive host
    ORDER_TAKEN = auto()  # another statement bound the order meanwhile
    UNSTORABLE = auto()  # this row's data can not be stored
    NOT_WRITTEN = auto()  # definitely nothing was written
    UNKNOWN = auto()  # the connection was lost and the order does not name this binding (yet)


class Writer:
    def __init__(self, database: Database, key_id: int) -> None:
        self._database = database
        self._key_id = key_id

    async def write(self, cell: int, now: datetime, rows: Sequence[Row]) -> dict[UUID, Verdict]:
        """A verdict for every row."""
        if not rows:
            return {}
        try:
            return await self._once(cell, now, rows)
        except Exception as trouble:
            if is_data_error(trouble):
                return await self._halves(cell, now, rows)
            if isinstance(trouble, LOST):
                return await self._look_up(cell, rows)
            if isinstance(trouble, asyncpg.PostgresError):
                log.warning("bind_not_written", sqlstate=trouble.sqlstate, rows=len(rows))
                return dict.fromkeys((row.binding_id for row in rows), Verdict.NOT_WRITTEN)
            raise

    async def _once(self, cell: int, now: datetime, rows: Sequence[Row]) -> dict[UUID, Verdict]:
        async for attempt in trying_again():
            with attempt:
                async with self._database.acquire() as connection:
                    writer = writer_of(connection)
                    came = await stored.bind(connection, cell, now, writer, self._key_id, rows)
        return {row.binding_id: _verdict(came.get(row.binding_id)) for row in rows}

    async def _halves(self, cell: int, now: datetime, rows: Sequence[Row]) -> dict[UUID, Verdict]:
        """The statement wrote nothing: halve it until the bad row stands alone."""
        if len(rows) == 1:
            log.warning("row_not_storable", binding_id=str(rows[0].binding_id))
            return {rows[0].binding_id: Verdict.UNSTORABLE}
        middle = len(rows) // 2
        verdicts = await self.write(cell, now, rows[:middle])
        return verdicts | await self.write(cell, now, rows[middle:])

    async def _look_up(self, cell: int, rows: Sequence[Row]) -> dict[UUID, Verdict]:
        """Nobody answered: what the orders name is bound; of the rest nothing can be said."""
        try:
            found = await stored.bound_ids(self._database, cell, rows)
        except LOST:
            found = set()
        log.warning("connection_lost_in_bind", rows=len(rows), found=len(found))
        return {row.binding_id: Verdict.BOUND if row.binding_id in found else Verdict.UNKNOWN for row in rows}


def _verdict(bound: bool | None) -> Verdict:
    if bound is None:
        return Verdict.SLOT_REFUSED
    return Verdict.BOUND if bound else Verdict.ORDER_TAKEN
