"""A connection, with a short way for the plain requests that nearly all are: POST, a declared path without parts, a
body of known and small length. They are handled and answered as every other request is, by the same handlers behind
the same middlewares; what they skip is what aiohttp does around these for requests of any kind: a router, a second
task, a queue between the two. That is a good half of the processor time of a small request.

Everything else (other methods, queries, large or chunked bodies, `Expect`, pipelining, malformed requests) goes the way
of aiohttp's RequestHandler, which also parses both kinds. A connection may change from one to the other with each
request, and answers them in their order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE, HttpVersion11, RawRequestMessage, StreamWriter
from aiohttp.streams import StreamReader

from vnum.api.answers import Plain, problem_answer, response_of
from vnum.api.problems import EdgeCode, problem
from vnum.api.request_ids import HEADER, known_as
from vnum.meters import REFUSALS
from vnum.model.refusals import Code

MOST_BYTES: Final = 65_536
"""A longer body is read piece by piece, by aiohttp."""

WHOLE_S: Final = 1.0
"""How long the rest of a body is waited for here; then its handler waits for it, as long as its limits allow."""

UNREAD_S: Final = 60.0
"""How long a client may leave answers unread while more than the transport holds (64 KiB) waits for him."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Way(msgspec.Struct, frozen=True):
    """What answers a path: its handler behind the application's middlewares, and the route that it stands for."""

    handler: Handler
    route: web.UrlMappingMatchInfo


Ways = Mapping[str, Way]


def ways_of(app: web.Application) -> Ways:
    """By path: every POST whose path has no parts to be read."""
    return {
        route.resource.canonical: _way(app, route)
        for route in app.router.routes()
        if route.method == hdrs.METH_POST and isinstance(route.resource, web.PlainResource)
    }


def _way(app: web.Application, route: web.AbstractRoute) -> Way:
    handler: Any = route.handler
    for middleware in reversed(app.middlewares):
        handler = partial(middleware, handler=handler)
    match = web.UrlMappingMatchInfo({}, route)
    match.add_app(app)
    match.freeze()
    return Way(handler, match)


class Connection(web.RequestHandler):
    """`_waiting` = a request whose body is not whole yet; `_busy` = one is handled on the short way; `_started` =
    aiohttp's loop over requests runs, and waits for the next one whenever it handles none."""

    __slots__ = ("_busy", "_slow", "_started", "_unread", "_waiting", "_ways")

    def __init__(self, server: web.Server, ways: Ways, **options: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._ways = ways
        self._waiting: tuple[Way, RawRequestMessage, StreamReader] | None = None
        self._busy = self._started = False
        self._slow: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self._started = True
        await super().start()

    def data_received(self, data: bytes) -> None:
        idle = self._waiter
        if self._started and (idle is None or idle.done()):  # aiohttp handles a request: this one comes after it
            super().data_received(data)
            return
        self._waiter = None  # so that what is parsed now wakes nobody
        try:
            super().data_received(data)
        finally:
            self._waiter = idle
        if self._waiting is None and not self._busy and len(self._messages) == 1:
            self._waiting = self._taken()
        if self._waiting is not None:
            if self._waiting[2].is_eof():
                self._begin(*self._waiting)
            elif self._slow is None:
                self._slow = self._loop.call_later(WHOLE_S, self._begin_slow)
        elif self._messages and not self._busy and idle is not None:
            idle.set_result(None)

    def pause_writing(self) -> None:
        """More is written than the client reads: he has his time, then the connection ends, whoever waits for him."""
        super().pause_writing()
        if self.transport is not None:
            self._unread = self._loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget_unread()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget_unread()
        super().connection_lost(exc)

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _taken(self) -> tuple[Way, RawRequestMessage, StreamReader] | None:
        """The one request that came, if it may go the short way: it is aiohttp's no more."""
        message, payload = self._messages[0]
        if not isinstance(message, RawRequestMessage) or message.method != hdrs.METH_POST:
            return None
        way = self._ways.get(message.path)
        if way is None or not isinstance(payload, StreamReader) or not _is_plain(message):
            return None
        self._messages.clear()
        assert self._parser is not None
        self._parser.message_consumed()
        return way, message, payload

    def _begin_slow(self) -> None:
        if self._waiting is not None and not self._close and not self._force_close:
            self._begin(*self._waiting)

    def _begin(self, way: Way, message: RawRequestMessage, payload: StreamReader) -> None:
        self._waiting = None
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None
        self._busy = self._request_in_progress = True  # the latter is what a server that stops waits for
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        self._loop.create_task(self._answer(way, message, payload))

    async def _answer(self, way: Way, message: RawRequestMessage, payload: StreamReader) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert self._request_factory is not None
        request = self._request_factory(message, payload, self, StreamWriter(self, self._loop), task)
        assert isinstance(request, web.Request)
        request._match_info = way.route
        if payload.is_eof() and payload.total_bytes:  # it stays there, for who reads it piece by piece
            request._read_bytes = b"".join(payload._buffer)
        try:
            await self._send(request, await way.handler(request))
        except ConnectionError:
            self.force_close()
        except Exception as trouble:
            self.log_exception("a request could not be answered", exc_info=trouble)
            self.force_close()
        finally:
            self._done()

    async def _send(self, request: web.Request, response: web.StreamResponse) -> None:
        if not request.content.is_eof():
            response.force_close()  # it was answered before its body had come: what comes yet is no request
        elif type(response) is Plain and not self._close:
            if self.transport is not None:
                self.transport.write(_whole(response))
                await self._drain_helper()  # answers that nobody reads would pile up in memory
            return
        if self._close:
            response.force_close()
        await response.prepare(request)
        await response.write_eof()
        if not response.keep_alive:
            self._close = True

    def _process_keepalive(self) -> None:
        """aiohttp takes a connection that is busy on the short way for an idle one, and would close it."""
        if self._busy:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What can not be parsed is refused as everything else is; aiohttp would quote it."""
        super().handle_error(request, status, exc, message)
        wrong = (
            problem(Code.INVALID_REQUEST, "the head of the request is malformed or too long")
            if status < 500
            else problem(EdgeCode.INTERNAL_ERROR, "something is wrong on our side; it was logged")
        )
        REFUSALS.labels(wrong.code).inc()
        response = response_of(problem_answer(wrong))
        response.headers[HEADER] = known_as(None)
        response.force_close()
        return response

    def _done(self) -> None:
        """What came in meanwhile is aiohttp's."""
        self._busy = self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        if self._close:
            if self.transport is not None:
                self.transport.close()
        elif self._messages and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _is_plain(message: RawRequestMessage) -> bool:
    headers = message.headers
    if message.version != HttpVersion11 or message.should_close or message.chunked or message.upgrade:
        return False
    return hdrs.EXPECT not in headers and int(headers.get(hdrs.CONTENT_LENGTH, MOST_BYTES)) < MOST_BYTES


def _whole(response: Plain) -> bytes:
    body = response.body
    assert isinstance(body, bytes)
    lines = [f"{name}: {value}" for name, value in response.headers.items()]
    head = "\r\n".join(
        (
            f"HTTP/1.1 {response.status} {response.reason}",
            *lines,
            f"Content-Length: {len(body)}",
            f"Date: {rfc822_formatted_time()}",
            f"Server: {SERVER_SOFTWARE}\r\n\r\n",
        )
    )
    assert head.count("\n") == len(lines) + 5, "no line break in a header"
    return head.encode() + body
