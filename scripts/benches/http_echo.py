"""The peer: an aiohttp JSON echo in a process of its own, `python -m benches.http_echo PORT`.

The same aiohttp, uvloop and msgspec; a struct of the size of a binding's answer, decoded and encoded; no work.
"""

import asyncio
import sys

import msgspec
import uvloop
from aiohttp import web


class Echo(msgspec.Struct, frozen=True):
    """The fields of a binding as it is answered."""

    binding_id: str
    merchant_id: str
    order_id: str
    host: str
    extension: str
    number: str
    mode: str
    state: str
    bound_at: str
    expires_at: str


DECODER = msgspec.json.Decoder(Echo)
ENCODER = msgspec.json.Encoder()


async def echo(request: web.Request) -> web.Response:
    said = DECODER.decode(await request.read())
    return web.Response(body=ENCODER.encode(said), content_type="application/json")


async def main(port: int) -> None:
    app = web.Application()
    app.router.add_post("/echo", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
