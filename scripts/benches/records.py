"""Call records: decoded rows to committed rows, in batches."""

import asyncio
import secrets
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benches.bindings import requests
from benches.engines import CONNECTIONS, engine_on
from benches.rows import RUNS, Row, Work, rate
from vnum.engine import Engine
from vnum.model.bindings import Binding
from vnum.servers import Endpoints
from vnum.service.batch import Bound
from vnum.service.records import CallRecord, Status

BATCH = 1_000
AIM = 50_000


async def bench_records(endpoints: Endpoints, folder: Path, count: int) -> Row:
    """Records of calls to live bindings, each with its binding id as a switch has it from the route."""
    async with engine_on(endpoints, folder) as engine:
        bindings = await _bind(engine, 10_000)
        await reporting(_records(bindings, count), engine)()
        rates = [await rate(reporting(_records(bindings, count), engine)) for _ in range(RUNS)]
    ours = statistics.median(rates)
    return Row(
        name=f"call records, batches of {BATCH:,}, {CONNECTIONS} at a time",
        ours=ours,
        unit="records/s",
        aim=f">= {AIM:,}/s",
        reached=ours >= AIM,
        detail={"ours": rates},
    )


async def _bind(engine: Engine, count: int) -> list[Binding]:
    found = []
    for _ in range(count // 100):
        outcomes = await engine.binder.bind(requests(100))
        found += [outcome.binding for outcome in outcomes if isinstance(outcome, Bound)]
    return found


def _records(bindings: Sequence[Binding], count: int) -> list[list[CallRecord]]:
    now = datetime.now(UTC).replace(microsecond=0)
    records = [
        CallRecord(
            call_id=secrets.token_hex(12),
            host=binding.host,
            extension=binding.extension,
            binding_id=binding.binding_id,
            caller=f"139{secrets.randbelow(10**8):08d}",
            call_time=now,
            answer_time=now + timedelta(seconds=9),
            release_time=now + timedelta(seconds=10 + secrets.randbelow(200)),
        )
        for binding in (bindings[n % len(bindings)] for n in range(count))
    ]
    return [records[n : n + BATCH] for n in range(0, count, BATCH)]


def reporting(batches: Sequence[Sequence[CallRecord]], engine: Engine) -> Work:
    """The batches, by as many tasks as there are connections."""

    async def lane(mine: Sequence[Sequence[CallRecord]]) -> int:
        rated = 0
        for batch in mine:
            rated += sum(done.status is Status.RATED for done in await engine.records.report(batch))
        return rated

    async def work() -> int:
        rated = sum(await asyncio.gather(*(lane(batches[n::CONNECTIONS]) for n in range(CONNECTIONS))))
        assert rated == sum(map(len, batches)), "every record is rated"
        return rated

    return work
