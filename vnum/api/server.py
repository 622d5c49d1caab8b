"""The server around the application."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from aiohttp import web

from vnum.api.app import make_app
from vnum.engine import Engine

LINGER_S: Final = 10.0
"""How long requests under way may take to end when the server stops."""

KEEP_ALIVE_S: Final = 75.0


class Serving(msgspec.Struct, frozen=True):
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@asynccontextmanager
async def serve(
    engine: Engine, host: str = "127.0.0.1", port: int = 0, *, sock: socket.socket | None = None
) -> AsyncIterator[Serving]:
    """Serves while the block runs. Port 0 = a free one; `sock` = one that listens already, shared by workers.

    There is no access log: paths and queries carry what logs must not, and each line would cost a request.
    """
    runner = web.AppRunner(
        make_app(engine),
        access_log=None,
        logger=_terse_logger(),
        auto_decompress=False,
        keepalive_timeout=KEEP_ALIVE_S,
        shutdown_timeout=LINGER_S,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port) if sock is None else web.SockSite(runner, sock)
        await site.start()
        bound = runner.addresses[0]
        yield Serving(bound[0], bound[1]) if isinstance(bound, tuple) else Serving(host, port)
    finally:
        await runner.cleanup()


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
