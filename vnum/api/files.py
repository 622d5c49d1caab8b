"""Files over HTTP, both ways, in pieces: what a caller sends, and what he takes home."""

import asyncio
from collections.abc import AsyncGenerator
from hashlib import sha256
from typing import Final

import structlog
from aiohttp import hdrs, web

from vnum.api.deadlines import SlowBody
from vnum.api.endpoint import Call
from vnum.api.gate import CONTENT, DIGEST
from vnum.api.request_ids import HEADER
from vnum.model.acting import request_id
from vnum.model.refusals import Code, Refused

log = structlog.get_logger()

PIECE_S: Final = 60.0
"""How long the other side may take for one piece: a connection to PostgreSQL waits for it."""

LOOK_S: Final = 1.0
"""How often it is looked whether somebody still waits for a file that is being made."""

WHOLE_S: Final = 900.0
"""How long it may take to send a file."""

MOST_BYTES: Final = 256 * 1024 * 1024
_LEFT: Final = 499
_PIECE: Final = 256 * 1024
_MEBI: Final = 1024 * 1024


class FileTooLarge(Exception):
    """A file of more bytes than are taken."""


async def received(call: Call, most: int | None = None) -> AsyncGenerator[bytes, None]:
    """The body. Raises FileTooLarge (at once, if its length is told), SlowBody, Refused (invalid_request;
    signature_invalid, at its end)."""
    most = MOST_BYTES if most is None else most
    if (call.request.content_length or 0) > most:
        raise _too_large(most)
    left, clock = most, asyncio.get_running_loop().time
    until = clock() + WHOLE_S
    signed = call.request.get(DIGEST)
    came = sha256()
    while piece := await _piece(call, min(until, clock() + PIECE_S)):
        left -= len(piece)
        if left < 0:
            raise _too_large(most)
        if signed is not None:
            came.update(piece)
        yield piece
    if signed is not None and came.hexdigest() != signed:
        raise Refused(Code.SIGNATURE_INVALID, f"the file is not what {CONTENT} says")


async def _piece(call: Call, until: float) -> bytes:
    """The next bytes; none = the end. Raises SlowBody, Refused (invalid_request)."""
    try:
        async with asyncio.timeout_at(until):
            return await call.request.content.read(_PIECE)
    except TimeoutError:
        raise SlowBody from None
    except ConnectionError:
        raise Refused(Code.INVALID_REQUEST, "the body broke off") from None


def _too_large(most: int) -> FileTooLarge:
    return FileTooLarge(f"a file has at most {most // _MEBI} MiB; send it in parts, each with its from and to")


async def send_file(
    call: Call, pieces: AsyncGenerator[bytes, None], content_type: str, name: str
) -> web.StreamResponse:
    """The head goes out with the first piece, so that what is wrong from the start is a problem, not a file."""
    first = await _first(call.request, pieces)
    if first is None:
        return web.Response(status=_LEFT)
    response = web.StreamResponse()
    response.headers[hdrs.CONTENT_TYPE] = content_type
    response.headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{name}"'
    response.headers[HEADER] = request_id() or ""
    await response.prepare(call.request)
    try:
        await _write(response, first, pieces)
    except Exception as trouble:
        log.warning("export_broken_off", trouble=type(trouble).__name__)
        if call.request.transport is not None:
            call.request.transport.abort()  # without its end, nobody takes the file for whole
    return response


async def _first(request: web.Request, pieces: AsyncGenerator[bytes, None]) -> bytes | None:
    """The first piece, for which a whole file may have to be made; None when nobody waits for it any more."""
    making = asyncio.ensure_future(anext(pieces, b""))
    try:
        while request.transport is not None and not request.transport.is_closing():
            await asyncio.wait({making}, timeout=LOOK_S)
            if making.done():
                return making.result()
        return None
    finally:
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)


async def _write(response: web.StreamResponse, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
    """Raises TimeoutError when the reader stops: it holds a connection to PostgreSQL and a snapshot meanwhile."""
    async with asyncio.timeout(PIECE_S):
        await response.write(first)
    async for piece in rest:
        async with asyncio.timeout(PIECE_S):
            await response.write(piece)
    await response.write_eof()
