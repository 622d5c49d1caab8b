"""Opens the servers of a data folder in a process of its own: `opener.py DATA_DIR OPTIONS`.

Writes one line of JSON, the endpoints and the servers' process numbers or the trouble, and stays until its standard
input ends.
"""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

import asyncpg
import redis.asyncio
import structlog

from vnum.servers import Endpoints, ServerTrouble, open_servers

SETTINGS = {"shared_buffers": "32MB"}


async def main(data_dir: str, options: str) -> None:
    try:
        async with open_servers(Path(data_dir), postgres_settings=SETTINGS, **json.loads(options)) as endpoints:
            print(json.dumps({**asdict(endpoints), **await process_numbers(endpoints)}), flush=True)
            await asyncio.to_thread(sys.stdin.read)
    except ServerTrouble as trouble:
        print(json.dumps({"trouble": trouble.code, "message": trouble.message}), flush=True)


async def process_numbers(endpoints: Endpoints) -> dict[str, int]:
    connection = await asyncpg.connect(endpoints.postgres_admin_dsn)
    client = redis.asyncio.Redis.from_url(endpoints.redis_url)
    try:
        number = await connection.fetchval("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int")
        return {"postgres_pid": number, "valkey_pid": (await client.info("server"))["process_id"]}
    finally:
        await connection.close()
        await client.aclose()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for the report
    asyncio.run(main(*sys.argv[1:]))
