"""A bell that PostgreSQL rings when a call is ordered: one connection a process, however many wait."""

import asyncio
from contextlib import suppress

import asyncpg
import structlog

from vnum.store.database import APP_ROLE, LOST

log = structlog.get_logger()

CHANNEL = "vnum_dials"
CONNECT_S = 5.0


class Bell:
    """Listens from the first who waits on. It may be missed (a connection that was lost): who waits looks again by and
    by, whatever it does."""

    def __init__(self, dsn: str, schema: str) -> None:
        self._dsn = dsn
        self._schema = schema
        self._connection: asyncpg.Connection | None = None
        self._opening = asyncio.Lock()
        self.waiting: set[asyncio.Event] = set()
        self._closed = False

    async def listen(self) -> asyncio.Event:
        """An event that is set when it rings. Give it back by `leave`."""
        event = asyncio.Event()
        if self._closed:
            event.set()
        self.waiting.add(event)
        await self._open()
        return event

    def leave(self, event: asyncio.Event) -> None:
        self.waiting.discard(event)

    @property
    def heard(self) -> bool:
        """Whether it would be heard."""
        return self._connection is not None and not self._connection.is_closed()

    @property
    def closed(self) -> bool:
        return self._closed

    async def close(self) -> None:
        """Whoever waits is let go."""
        self._closed = True
        self._ring()
        if self._connection is not None:
            with suppress(*LOST, asyncpg.PostgresError, TimeoutError):
                await self._connection.close(timeout=1)

    async def _open(self) -> None:
        async with self._opening:
            if self._closed or self.heard:
                return
            try:
                connection = await asyncpg.connect(
                    self._dsn,
                    timeout=CONNECT_S,
                    server_settings={"role": APP_ROLE, "application_name": "vnum bell"},
                )
                await connection.add_listener(CHANNEL, self._heard)
                self._connection = connection
            except (*LOST, asyncpg.PostgresError, TimeoutError) as trouble:
                log.warning("bell_not_heard", trouble=type(trouble).__name__)

    def _heard(self, _connection: object, _process: object, _channel: object, payload: object) -> None:
        if payload == self._schema:
            self._ring()

    def _ring(self) -> None:
        for event in self.waiting:
            event.set()
