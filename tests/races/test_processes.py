"""Workers in processes of their own, on the servers' own clock."""

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.engines import open_world
from vnum.servers import Endpoints

WORKER = Path(__file__).with_name("worker.py")
PROCESSES, ROUNDS = 3, 4


async def test_processes_that_bind_the_same_orders_agree(endpoints: Endpoints, schema: str, key_folder: Path) -> None:
    """Twelve orders, nine slots: nine orders are bound, once, and every worker says the same of them."""
    async with open_world(endpoints, schema, key_folder, clock=None) as world:
        await world.merchant()
        await world.host()
        told = await run_workers(endpoints, schema, key_folder / "master.key")
        assert len(told) == PROCESSES * ROUNDS * 12
        bound = {tuple(line[1:]) for line in told if line[0] == "bound"}
        assert len(bound) == 9
        assert len({slot for _, _, slot in bound}) == len({order for order, _, _ in bound}) == 9
        assert {tuple(line[1:3]) for line in told if line[0] == "refused"} == {("no_number_available", "all_bound")}
        rows = await world.owner.fetch("SELECT order_id, binding_id::text, host || '-' || extension FROM bindings")
        assert set(map(tuple, rows)) == bound
        await world.engine.care.tend()
        assert await world.count("orphans") == 0


async def run_workers(endpoints: Endpoints, schema: str, key_file: Path) -> list[list[str]]:
    """What all of them say, after they were let go at once."""
    command = [sys.executable, WORKER, endpoints.postgres_dsn, endpoints.redis_url, key_file, schema, str(ROUNDS)]
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    workers = [
        await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment, limit=1 << 20)
        for _ in range(PROCESSES)
    ]
    async with asyncio.timeout(120):
        for worker in workers:
            assert worker.stdout
            while (line := await worker.stdout.readline()) != b"ready\n":
                assert line, "a worker died"
        outputs = await asyncio.gather(*(worker.communicate(b"go\n") for worker in workers))
    return [line for output, _ in outputs for line in json.loads(output.splitlines()[-1])]
