"""The peers: an aiohttp JSON echo in a process of its own, `python -m benches.http_echo PORT [DSN SCHEMA]`.

The same aiohttp, uvloop and msgspec; a struct of the size of a binding's answer, decoded and encoded; no work. With a
DSN also the least that any service must do that keeps what it answers: each echo is one row of a table of its own, in
a commit of its own, on as many connections as the bench of bindings gives bare SQL.
"""

import asyncio
import sys

import asyncpg
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


CONNECTIONS = 8
TABLE = """
CREATE TABLE kept (n bigserial PRIMARY KEY, binding_id text, merchant_id text, order_id text, host text, extension text)
"""
KEEP = "INSERT INTO kept (binding_id, merchant_id, order_id, host, extension) VALUES ($1, $2, $3, $4, $5)"
DECODER = msgspec.json.Decoder(Echo)
ENCODER = msgspec.json.Encoder()


async def echo(request: web.Request) -> web.Response:
    said = DECODER.decode(await request.read())
    return web.Response(body=ENCODER.encode(said), content_type="application/json")


class Keeper:
    """Echoes what is kept."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def keep(self, request: web.Request) -> web.Response:
        said = DECODER.decode(await request.read())
        await self._pool.execute(KEEP, said.binding_id, said.merchant_id, said.order_id, said.host, said.extension)
        return web.Response(body=ENCODER.encode(said), content_type="application/json")


async def main(port: int, dsn: str | None = None, schema: str = "public") -> None:
    app = web.Application()
    app.router.add_post("/echo", echo)
    if dsn is not None:
        pool = await asyncpg.create_pool(
            dsn, min_size=CONNECTIONS, max_size=CONNECTIONS, server_settings={"search_path": schema}
        )
        await pool.execute(TABLE)
        app.router.add_post("/keep", Keeper(pool).keep)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), *sys.argv[2:]))
