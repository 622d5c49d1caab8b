"""A close in a process of its own that can be stopped at any of its statements, so that it is killed just there.

    python closer.py POSTGRES_DSN SCHEMA PERIOD AT CHUNK_MERCHANTS STEP NTH MOMENT

Steps are the statements of the close by their names, the beginnings and ends of its transactions, and "progress". At
the nth time of STEP it writes a line and, `before` or `after` it, waits for ever; `during`, it goes on. A close that
comes to its end writes the list of its steps.
"""

import asyncio
import json
import sys
from datetime import datetime
from typing import Any

import asyncpg

from billing.close import close
from billing.periods import Period
from billing.queries import load_queries

NAMES = {sql: name for group in ("close", "drain") for name, sql in load_queries(group).items()}


class Gate:
    """Where to stop, and the steps so far."""

    def __init__(self, step: str, nth: int, moment: str) -> None:
        self.stop = (step, nth)
        self.moment = moment
        self.steps: list[str] = []

    def passes(self, step: str, moment: str) -> None:
        if moment == "before":
            self.steps.append(step)
        if (step, self.steps.count(step)) == self.stop and moment == self.moment.replace("during", "before"):
            print("here", flush=True)
            if self.moment != "during":
                sys.stdin.read()


gate = Gate(sys.argv[6], int(sys.argv[7]), sys.argv[8])


class GatedConnection(asyncpg.Connection):
    async def execute(self, query: str, *args: Any, **options: Any) -> Any:
        return await _gated(query, super().execute(query, *args, **options))

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        return await _gated(query, super().fetch(query, *args, **options))

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        return await _gated(query, super().fetchval(query, *args, **options))


async def _gated(query: str, statement: Any) -> Any:
    step = NAMES.get(query, query.strip().rstrip(";"))
    gate.passes(step, "before")
    answer = await statement
    gate.passes(step, "after")
    return answer


def progress(*_: int) -> None:
    gate.passes("progress", "before")
    gate.passes("progress", "after")


async def main(dsn: str, schema: str, period: str, at: str, chunk: str) -> None:
    settings = {"search_path": schema, "application_name": "closer"}
    pool = asyncpg.create_pool(dsn, min_size=1, max_size=1, server_settings=settings, connection_class=GatedConnection)
    async with pool:
        await close(
            pool, Period.parse(period), now=datetime.fromisoformat(at), chunk_merchants=int(chunk), progress=progress
        )
        steps = list(gate.steps)
    print(json.dumps(steps), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:6]))
