"""The server around the application."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web

from vnum.api.app import make_app
from vnum.api.connection import Connection, ways_of
from vnum.api.deadlines import MOST_HEADER, MOST_HEADERS, MOST_LINE, USUAL, HttpLimits
from vnum.engine import Engine

LINGER_S: Final = 10.0
"""How long requests under way may take to end when the server stops."""

KEEP_ALIVE_S: Final = 75.0
BACKLOG: Final = 1024


class Serving(msgspec.Struct, frozen=True):
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@asynccontextmanager
async def serve(
    engine: Engine,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    sock: socket.socket | None = None,
    limits: HttpLimits = USUAL,
) -> AsyncIterator[Serving]:
    """Serves while the block runs. Port 0 = a free one; `sock` = one that listens already, shared by workers.

    There is no access log: paths and queries carry what logs must not, and each line would cost a request.
    """
    app = make_app(engine, limits)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=LINGER_S)
    await runner.setup()
    try:
        assert runner.server is not None
        connection = partial(Connection, runner.server, ways_of(app), **_options())
        async with _listening(connection, host, port, sock) as address:
            yield Serving(*address)
    finally:
        await runner.cleanup()


def _options() -> dict[str, Any]:
    return {
        "access_log": None,
        "logger": _terse_logger(),
        "auto_decompress": False,
        "keepalive_timeout": KEEP_ALIVE_S,
        "max_line_size": MOST_LINE,
        "max_field_size": MOST_HEADER,
        "max_headers": MOST_HEADERS,
    }


@asynccontextmanager
async def _listening(
    connection: Callable[[], Connection], host: str, port: int, sock: socket.socket | None
) -> AsyncIterator[tuple[str, int]]:
    """Takes no more connections after the block; those that are open go on."""
    loop = asyncio.get_running_loop()
    if sock is None:
        listener = await loop.create_server(connection, host, port, backlog=BACKLOG)
    else:
        listener = await loop.create_server(connection, sock=sock, backlog=BACKLOG)
    bound = listener.sockets[0].getsockname()
    try:
        yield (bound[0], bound[1]) if isinstance(bound, tuple) else (host, port)
    finally:
        listener.close()


class _Terse(logging.Filter):
    """Of an exception only its kind: aiohttp's quote the request that could not be parsed."""

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        if kind is not None:
            record.msg, record.args = f"{record.msg}: %s", (*(record.args or ()), kind.__name__)
            record.exc_info = record.exc_text = None
        return True


def _terse_logger() -> logging.Logger:
    logger = logging.getLogger("vnum.http")
    if not logger.filters:
        logger.addFilter(_Terse())
    return logger
