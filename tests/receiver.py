"""A real HTTP server that receives what vnum sends, and answers as a test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class Received:
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def of(self) -> str:
        """The order that it tells of."""
        return str(self.data["order_id"])


@dataclass(slots=True)
class Receiver:
    """`answer` gives the status for a request, 200 unless a test says otherwise; None = it hangs until `stop`."""

    url: str = ""
    got: list[Received] = field(default_factory=list)
    answer: Callable[[Received], int | None] = lambda _: 200
    reply: Callable[[Received], Any] = lambda _: {}
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def types(self) -> list[str]:
        return [one.body["type"] for one in self.got]

    async def until(self, enough: Callable[[], bool]) -> None:
        """Waits until what was received is enough."""
        async with asyncio.timeout(30), self.came:
            await self.came.wait_for(enough)

    async def handle(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        one = Received(request.path, headers, await request.read())
        async with self.came:
            self.got.append(one)
            self.came.notify_all()
        status = self.answer(one)
        if status is None:
            await self.stop.wait()
            return web.Response(status=500)
        return web.json_response(self.reply(one), status=status)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """On a free port of this machine."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        receiver.stop.set()
        await runner.cleanup()
