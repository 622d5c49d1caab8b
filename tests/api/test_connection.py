"""Plain requests go a short way, all others aiohttp's; which one, nobody can tell from the answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
from aiohttp import web

from vnum.api import connection as connection_module
from vnum.api.answers import Answer, Plain, response_of
from vnum.api.connection import MOST_BYTES, Connection, ways_of

HEAD = "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{more}\r\n"


def post(body: str = "", path: str = "/echo", more: str = "") -> bytes:
    return (HEAD.format(path=path, length=len(body), more=more) + body).encode()


class Server:
    """An application of a few paths. `short` = the bodies that came by the short way."""

    def __init__(self) -> None:
        self.short: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()
        self.app = web.Application(middlewares=[self.middleware], client_max_size=2 * 1024 * 1024)
        self.app.router.add_post("/echo", self.echo)
        self.app.router.add_post("/echo/{part}", self.echo)
        self.app.router.add_get("/echo", self.echo)
        self.app.router.add_post("/stream", self.stream)
        self.app.router.add_post("/pieces", self.pieces)
        self.app.router.add_post("/broken", self.broken)
        self.app.router.add_post("/bad-header", self.bad_header)

    @web.middleware
    async def middleware(self, request: web.Request, handler: object) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)  # type: ignore[operator]
        except web.HTTPException as refused:
            response = response_of(Answer(refused.status, b"{}"))
        response.headers["X-Path"] = request.match_info.route.resource.canonical  # type: ignore[union-attr]
        return response

    async def echo(self, request: web.Request) -> Plain:
        short = request._read_bytes is not None
        body = (await request.read()).decode()
        if short:
            self.short.append(body)
        self.reached.set()
        await self.gate.wait()
        return response_of(Answer(200, body.encode()))

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"in ")
        await response.write(await request.read())
        return response

    async def pieces(self, request: web.Request) -> Plain:
        read = []
        while piece := await request.content.read(2):
            read.append(piece)
        return response_of(Answer(200, b"|".join(read)))

    async def broken(self, request: web.Request) -> Plain:
        raise RuntimeError

    async def bad_header(self, request: web.Request) -> Plain:
        response = response_of(Answer(200, b"{}"))
        response.headers["X-Said"] = "a\r\nX-Smuggled: b"
        return response

    @asynccontextmanager
    async def open(self, connections: type[Connection] = Connection) -> AsyncIterator[int]:
        runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=5)
        await runner.setup()
        assert runner.server is not None
        connection = partial(connections, runner.server, ways_of(self.app), access_log=None, auto_decompress=False)
        listener = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            listener.close()
            await runner.cleanup()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], str]:
        """Status, headers, body of the next answer."""
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
            headers["date"] = ""
            if headers.get("transfer-encoding") == "chunked":
                body = b""
                while size := int(await self.reader.readline(), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readline()
            else:
                body = await self.reader.readexactly(int(headers["content-length"]))
            return int(head[0].split()[1]), headers, body.decode()

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], str]:
        await self.send(data)
        return await self.answer()

    async def rest(self) -> bytes:
        """All that comes until the connection ends, or breaks off."""
        got = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(5):
                while piece := await self.reader.read(1 << 20):
                    got += piece
        return got

    async def ended(self) -> bool:
        async with asyncio.timeout(5):
            return await self.reader.read() == b""


@pytest.fixture
async def server() -> Server:
    return Server()


async def turns() -> None:
    """Of the loop, in which the server reads what was sent."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    """It was used before: the first request of a connection may come before aiohttp is ready for it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = Client(reader, writer)
    assert (await client.ask(post("warm", path="/echo/part")))[0] == 200
    try:
        yield client
    finally:
        writer.close()


async def test_both_ways_answer_alike(server: Server) -> None:
    async with server.open() as port, connected(port) as client:
        short = await client.ask(post("same"))
        assert server.short == ["same"]
        other = await client.ask(post("same", path="/echo?n=1"))
        assert server.short == ["same"]
        assert short == other
        assert list(short[1]) == list(other[1])


class Hasty(Connection):
    """Its first request is there before the loop has turned once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.data_received(post("first"))


async def test_what_comes_with_the_connection_goes_the_short_way_too(server: Server) -> None:
    async with server.open(Hasty) as port:
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        assert (await client.answer())[2] == "first"
        assert (await client.ask(post("second")))[2] == "second"
        assert server.short == ["first", "second"]
        client.writer.close()


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (post("x" * MOST_BYTES), "x" * MOST_BYTES),
        (post("x" * 1_500_000), "x" * 1_500_000),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc"),
        (post("query", path="/echo?a=b"), "query"),
        (post("part", path="/echo/part"), "part"),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", ""),
    ],
    ids=["large", "larger than what is read ahead", "chunked", "query", "part", "get"],
)
async def test_what_goes_aiohttps_way_and_back(server: Server, sent: bytes, answered: str) -> None:
    async with server.open() as port, connected(port) as client:
        assert (await client.ask(sent))[2] == answered
        assert (await client.ask(post("after")))[2] == "after"
        assert server.short == ["after"]


async def test_a_request_that_asks_whether_to_go_on_is_told_so(server: Server) -> None:
    async with server.open() as port, connected(port) as client:
        await client.send(post("x", more="Expect: 100-continue\r\n")[:-1])
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await client.ask(b"x"))[2] == "x"
        assert server.short == []


@pytest.mark.parametrize("cut", [1, 30, -4, -1])
async def test_a_request_may_come_in_pieces(server: Server, cut: int) -> None:
    async with server.open() as port, connected(port) as client:
        await client.send(post("whole")[:cut])
        await turns()
        assert (await client.ask(post("whole")[cut:]))[2] == "whole"
        assert server.short == ["whole"]


async def test_requests_sent_at_once_are_answered_in_their_order(server: Server) -> None:
    async with server.open() as port, connected(port) as client:
        await client.send(post("1") + post("2") + post("3", path="/echo?n") + post("4"))
        assert [(await client.answer())[2] for _ in range(4)] == ["1", "2", "3", "4"]


async def test_what_comes_while_one_is_handled_waits_for_it(server: Server) -> None:
    async with server.open() as port, connected(port) as client:
        server.gate.clear()
        server.reached.clear()
        await client.send(post("1"))
        await server.reached.wait()
        await client.send(post("2") + post("3", path="/echo/part") + post("4")[:-1])
        await turns()
        server.gate.set()
        await client.send(b"4")
        assert [(await client.answer())[2] for _ in range(4)] == ["1", "2", "3", "4"]
        assert (await client.ask(post("5")))[2] == "5"
        assert server.short == ["1", "5"]


async def test_a_client_that_wants_it_closed(server: Server) -> None:
    async with server.open() as port, connected(port) as client:
        _, headers, body = await client.ask(post("bye", more="Connection: close\r\n"))
        assert (headers["connection"], body) == ("close", "bye")
        assert await client.ended()


async def test_a_stream_is_written_to_its_end(server: Server) -> None:
    async with server.open() as port, connected(port) as client:
        assert (await client.ask(post("parts", path="/stream")))[2] == "in parts"
        assert (await client.ask(post("after")))[2] == "after"


async def test_a_handler_may_read_the_body_piece_by_piece(server: Server) -> None:
    async with server.open() as port, connected(port) as client:
        assert (await client.ask(post("abcde", path="/pieces")))[2] == "ab|cd|e"
        assert (await client.ask(post("fgh", path="/pieces")))[2] == "fg|h"
        assert (await client.ask(post("", path="/pieces")))[2] == ""
        assert (await client.ask(post("")))[2] == ""


@pytest.mark.parametrize("path", ["/broken", "/bad-header"])
async def test_no_answer_at_all_rather_than_a_wrong_one(server: Server, path: str) -> None:
    """What the middlewares let through is a mistake of ours: the connection ends, the server goes on."""
    async with server.open() as port:
        async with connected(port) as client:
            await client.send(post("x", path=path))
            assert await client.ended()
        async with connected(port) as client:
            assert (await client.ask(post("next")))[2] == "next"


async def test_what_is_no_http_is_refused(server: Server) -> None:
    async with server.open() as port, connected(port) as client:
        assert (await client.ask(b"POST /echo HTTP/1.1\r\nContent-Length: nine\r\n\r\n"))[0] == 400
        assert await client.ended()


async def sent_unread(server: Server, client: Client, path: str) -> int:
    """Requests of a client that reads nothing until no more are answered; how many were sent."""
    transport = client.reader._transport  # type: ignore[attr-defined]
    transport.pause_reading()
    answered = True
    sent = 0
    while answered and sent < 200:
        server.reached.clear()
        client.writer.write(post("x" * 60_000, path=path))
        sent += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(server.reached.wait(), 1)
        answered = server.reached.is_set()
    transport.resume_reading()
    return sent


@pytest.mark.parametrize("path", ["/echo", "/echo/part"])
async def test_answers_that_nobody_reads_do_not_pile_up(server: Server, path: str) -> None:
    async with server.open() as port, connected(port) as client:
        sent = await sent_unread(server, client, path)
        assert sent < 200, "12 MB would lie in memory"
        for _ in range(sent):
            assert (await client.answer())[0] == 200


@pytest.mark.parametrize("path", ["/echo", "/echo/part"])
async def test_who_reads_no_answers_is_not_waited_for_for_ever(
    server: Server, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "UNREAD_S", 0.01)
    async with server.open() as port, connected(port) as client:
        sent = await sent_unread(server, client, path)
        assert (await client.rest()).count(b"HTTP/1.1 200") < sent


async def test_a_client_that_goes_away_harms_nobody(server: Server) -> None:
    async with server.open() as port:
        async with connected(port) as client:
            server.gate.clear()
            server.reached.clear()
            await client.send(post("gone"))
            await server.reached.wait()
        server.gate.set()
        async with connected(port) as client:
            assert (await client.ask(post("next")))[2] == "next"


async def test_a_server_that_stops_answers_first(server: Server) -> None:
    async def open_gate(_: web.Application) -> None:
        server.gate.set()

    server.app.on_shutdown.append(open_gate)
    async with server.open() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        client = Client(reader, writer)
        await client.ask(post("warm"))
        server.gate.clear()
        server.reached.clear()
        await client.send(post("last"))
        await server.reached.wait()
    _, headers, body = await client.answer()
    assert (headers["connection"], body) == ("close", "last")
    assert await client.ended()
    writer.close()
