"""A worker in a process of its own: binds orders as told on its command line, and tells what became of each.

    python worker.py POSTGRES_DSN REDIS_URL KEY_FILE SCHEMA ROUNDS

It says "ready", waits for a line on its standard input, binds, and writes one line of JSON.
"""

import asyncio
import json
import sys
from pathlib import Path

from vnum.engine import Parts, open_engine
from vnum.model.orders import OrderStatus
from vnum.service.batch import Bound, Outcome
from vnum.service.orders import BindRequest

ORDERS = 12


def request(n: int) -> BindRequest:
    return BindRequest(
        merchant_id="m", order_id=f"order-{n}", recipient_phone=f"139{n:08}", order_status=OrderStatus.SHIPPED
    )


def told(outcome: Outcome) -> list[str]:
    if isinstance(outcome, Bound):
        binding = outcome.binding
        return ["bound", binding.order_id, str(binding.binding_id), f"{binding.host}-{binding.extension}"]
    return ["refused", outcome.code, outcome.reason or "", ""]


async def main(dsn: str, redis_url: str, key_file: str, schema: str, rounds: str) -> None:
    parts = Parts(postgres_dsn=dsn, redis_url=redis_url, key_file=Path(key_file), schema=schema, postgres_connections=3)
    async with open_engine(parts) as engine:
        await engine.registry.refresh()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        batches = [engine.binder.bind([request(n) for n in range(ORDERS)]) for _ in range(int(rounds))]
        outcomes = [outcome for batch in await asyncio.gather(*batches) for outcome in batch]
        print(json.dumps([told(outcome) for outcome in outcomes]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
