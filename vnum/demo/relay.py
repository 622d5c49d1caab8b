"""Stands between a switch and the API, passes everything on, and notes what is asked about calls, and when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import aiohttp
import msgspec
from aiohttp import web

from vnum.voice.clock import MachineClock

ROUTE: Final = "/v1/calls/route"
RECORDS: Final = "/v1/calls/records"

_PASSED: Final = frozenset({"Authorization", "Content-Type", "Idempotency-Key"})
_PATIENCE: Final = aiohttp.ClientTimeout(total=60)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question of the switch and its answer, as JSON; instants in seconds since 1970."""

    path: str
    asked_at: float
    question: bytes
    answered_at: float
    status: int
    answer: bytes


class Relay:
    """`url` is what the switch is told in place of the API's."""

    def __init__(self, api: aiohttp.ClientSession) -> None:
        self._api = api
        self._clock = MachineClock()
        self.noted: list[Asked] = []
        self.url = ""
        self._news = asyncio.Condition()

    async def first(self, path: str, within_s: float) -> Asked | None:
        """The first question of that path; None = none came in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._news:
                await self._news.wait_for(lambda: any(one.path == path for one in self.noted))
        return next((one for one in self.noted if one.path == path), None)

    async def pass_on(self, request: web.Request) -> web.Response:
        asked_at, body = self._now(), await request.read()
        headers = {name: value for name, value in request.headers.items() if name in _PASSED}
        async with self._api.request(request.method, request.path_qs, data=body, headers=headers) as response:
            answer = await response.read()
        if request.path in (ROUTE, RECORDS):
            asked = Asked(
                path=request.path,
                asked_at=asked_at,
                question=body,
                answered_at=self._now(),
                status=response.status,
                answer=answer,
            )
            async with self._news:
                self.noted.append(asked)
                self._news.notify_all()
        return web.Response(status=response.status, body=answer, content_type=response.content_type)

    def _now(self) -> float:
        return self._clock.utc().timestamp()


@asynccontextmanager
async def open_relay(api_url: str) -> AsyncIterator[Relay]:
    async with aiohttp.ClientSession(api_url, timeout=_PATIENCE) as api:
        relay = Relay(api)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", relay.pass_on)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            relay.url = f"http://{host}:{port}"
            yield relay
        finally:
            await runner.cleanup()
