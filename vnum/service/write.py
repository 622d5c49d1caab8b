"""Writing a batch of bindings: repeated on deadlocks, halved on bad rows, looked up when the connection is lost."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto
from uuid import UUID

import asyncpg
import structlog

from vnum.store import bindings as stored
from vnum.store.bindings import Row
from vnum.store.database import ENDED, LOST, Connection, Database, is_data_error, trying_again, writer_of

log = structlog.get_logger()

LOOK_UPS = 3


class Verdict(Enum):
    """What PostgreSQL said of one row."""

    BOUND = auto()
    SLOT_REFUSED = auto()  # held, or last held by this order or recipient; or a closed month, an inactive host
    ORDER_TAKEN = auto()  # another statement bound the order meanwhile
    UNSTORABLE = auto()  # this row's data can not be stored
    NOT_WRITTEN = auto()  # definitely nothing was written
    UNKNOWN = auto()  # the connection was lost, and the order does not name this binding (yet)


class Writer:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, cell: int, now: datetime, key_id: int, rows: Sequence[Row]) -> dict[UUID, Verdict]:
        """A verdict for every row; all are sealed by one key, that of the month of `now`."""
        if not rows:
            return {}
        try:
            return await self._once(cell, now, key_id, rows)
        except _LostInStatement as lost:
            return await self._look_up(cell, rows, lost.session)
        except Exception as trouble:
            if is_data_error(trouble):
                return await self._halves(cell, now, key_id, rows)
            if isinstance(trouble, (*LOST, asyncpg.PostgresError)):
                log.warning("bind_not_written", trouble=type(trouble).__name__, rows=len(rows))
                return dict.fromkeys((row.binding_id for row in rows), Verdict.NOT_WRITTEN)
            raise

    async def _once(self, cell: int, now: datetime, key_id: int, rows: Sequence[Row]) -> dict[UUID, Verdict]:
        came: dict[UUID, bool] = {}
        async for attempt in trying_again():
            with attempt:
                async with self._database.acquire() as connection:
                    came = await self._send(connection, cell, now, key_id, rows)
        return {row.binding_id: _verdict(came.get(row.binding_id)) for row in rows}

    async def _send(
        self, connection: Connection, cell: int, now: datetime, key_id: int, rows: Sequence[Row]
    ) -> dict[UUID, bool]:
        writer = writer_of(connection)
        session = connection.get_server_pid()
        try:
            return await stored.bind(connection, cell, now, writer, key_id, rows)
        except (*LOST, *ENDED) as trouble:
            if is_data_error(trouble):
                raise
            raise _LostInStatement(session) from trouble

    async def _halves(self, cell: int, now: datetime, key_id: int, rows: Sequence[Row]) -> dict[UUID, Verdict]:
        """The statement wrote nothing: halve it until the bad row stands alone."""
        if len(rows) == 1:
            log.warning("row_not_storable", binding_id=str(rows[0].binding_id))
            return {rows[0].binding_id: Verdict.UNSTORABLE}
        middle = len(rows) // 2
        verdicts = await self.write(cell, now, key_id, rows[:middle])
        return verdicts | await self.write(cell, now, key_id, rows[middle:])

    async def _look_up(self, cell: int, rows: Sequence[Row], session: int) -> dict[UUID, Verdict]:
        """Nobody answered. What the orders name is bound; the rest is known not to be, once the session is over."""
        answer = await self._ask(cell, rows, session)
        log.warning("connection_lost_in_bind", rows=len(rows), answer=answer is not None)
        if answer is None:
            return dict.fromkeys((row.binding_id for row in rows), Verdict.UNKNOWN)
        over, found = answer
        otherwise = Verdict.NOT_WRITTEN if over else Verdict.UNKNOWN
        return {row.binding_id: Verdict.BOUND if row.binding_id in found else otherwise for row in rows}

    async def _ask(self, cell: int, rows: Sequence[Row], session: int) -> tuple[bool, set[UUID]] | None:
        """(whether the session is over, what is bound), in this order. Asked again on another connection: those of a
        pool tend to be lost together. None = no answer."""
        for _ in range(LOOK_UPS):
            try:
                over = not await stored.session_open(self._database, session)
                return over, await stored.bound_ids(self._database, cell, rows)
            except (*LOST, asyncpg.PostgresError):
                continue
        return None


class _LostInStatement(Exception):
    """The connection went away with the statement on it; `session` is its process in the server."""

    def __init__(self, session: int) -> None:
        super().__init__(session)
        self.session = session


def _verdict(bound: bool | None) -> Verdict:
    if bound is None:
        return Verdict.SLOT_REFUSED
    return Verdict.BOUND if bound else Verdict.ORDER_TAKEN
