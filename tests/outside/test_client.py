"""Requests to servers that do not mean well, or do not answer."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from vnum.outside.addresses import Reach
from vnum.outside.client import MOST_ANSWER, Client, NoAnswer


@asynccontextmanager
async def served(handler: object) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client(Reach.LOOPBACK)
    yield made
    await made.close()


async def test_a_redirect_is_an_answer_like_others(client: Client) -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with served(handle) as url:
        assert (await client.post(url, b"{}", {})).status == 302
    assert asked == ["/"]


async def test_a_long_answer_is_cut_off(client: Client) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        except ConnectionError:
            return response

    async with served(handle) as url:
        reply = await client.post(url, b"{}", {})
    assert len(reply.body) == MOST_ANSWER


async def test_patience_ends(client: Client) -> None:
    hang = asyncio.Event()

    async def handle(_: web.Request) -> web.Response:
        await hang.wait()
        return web.Response()

    short = Client(Reach.LOOPBACK, total_s=0.05)
    async with served(handle) as url:
        with pytest.raises(NoAnswer, match="timeout"):
            await short.post(url, b"{}", {})
        hang.set()
    await short.close()


async def test_nobody_listens(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    with pytest.raises(NoAnswer, match="connection"):
        await client.post(f"http://127.0.0.1:{port}/", b"{}", {})


@pytest.mark.parametrize("scheme", ["https://localhost:{}/", "https://127.0.0.1:{}/"])
async def test_the_address_is_judged_when_connecting(scheme: str) -> None:
    """A name that resolves to this machine is refused though its URL passes; and nothing is connected."""
    public = Client(Reach.PUBLIC)
    came = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        with pytest.raises(NoAnswer, match="address_refused"):
            await public.post(scheme.format(listening.getsockname()[1]), b"{}", {})
        with pytest.raises(BlockingIOError):
            came.append(listening.accept())
    assert came == []
    await public.close()
