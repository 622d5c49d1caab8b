"""One piece of work on a month of usage, in a process of its own: `python -m benches.month_work WHAT DSN SCHEMA`.

Prints its time, its rows and its peak of memory as JSON (`benches.month.Done`).
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

import asyncpg
import msgspec
import uvloop

from billing.close import close
from billing.details import OfPeriod
from billing.export import export_csv, export_fapiao, export_xlsx
from billing.periods import Period
from vnum.store.database import open_database

SAMPLE_S = 0.02
OCTOBER = Period.parse("2026-10")
CLOSED_AT = datetime.fromisoformat("2026-11-01T03:00:00+08:00")

EXPORTS = {"csv": export_csv, "xlsx": export_xlsx, "fapiao": export_fapiao}
SCANS = {
    "scan-close": (
        "SELECT merchant_id, bound_at, ended_at FROM usage_rentals",
        "SELECT merchant_id, answered_at, units, unit_s, rate, setup_fee, cost, tariff_id, tariff_version, late "
        "FROM usage_calls",
    ),
    "scan-details": ("SELECT * FROM usage_rentals", "SELECT * FROM usage_calls"),
}


async def scan(pool: asyncpg.Pool, queries: tuple[str, ...]) -> int:
    """Rows of bare COPYs to nowhere."""

    async def nowhere(_: bytes) -> None:
        return None

    rows = 0
    async with pool.acquire() as connection:
        for query in queries:
            status = await connection.copy_from_query(query, output=nowhere)
            rows += int(status.removeprefix("COPY "))
    return rows


async def closed(pool: asyncpg.Pool) -> int:
    """Rows of usage that a close summed."""
    report = await close(pool, OCTOBER, now=CLOSED_AT)
    assert report.invoices_made == report.invoices > 0, "this very close made them all"
    rows = await pool.fetchval("SELECT sum(count) FROM invoice_lines WHERE kind IN ('rental_day', 'call')")
    return int(rows)


async def written(pieces: AsyncGenerator[bytes, None]) -> int:
    """Lines of an export to nowhere, where it is text."""
    lines = 0
    async with aclosing(pieces) as stream:
        async for piece in stream:
            lines += piece.count(b"\r\n")
    return lines


async def work(what: str, pool: asyncpg.Pool) -> int:
    """Do it; the number of rows."""
    if what in SCANS:
        return await scan(pool, SCANS[what])
    if what in EXPORTS:
        return await written(EXPORTS[what](pool, OfPeriod(period=OCTOBER)))
    return await closed(pool)


def memory(pid: int | str, field: str) -> int:
    """A line of a process' status, in bytes; 0 if it is not on this machine."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields[field].split()[0]) * 1024 if pid == "self" or "postgres" in fields["Name"] else 0


async def highest_own(pid: int, seen: list[int]) -> None:
    """Watches a backend's own memory: all but the shared buffers, which each counts that it has read."""
    while True:
        seen[0] = max(seen[0], memory(pid, "RssAnon"))
        await asyncio.sleep(SAMPLE_S)


async def main(what: str, dsn: str, schema: str) -> None:
    pool = await open_database(dsn, schema, connections=1)
    backend = await pool.fetchval("SELECT pg_backend_pid()")
    own = [0]
    watch = asyncio.create_task(highest_own(backend, own))
    started = time.perf_counter()
    rows = await work(what, pool)
    seconds = time.perf_counter() - started
    watch.cancel()
    report = {"seconds": seconds, "rows": rows, "peak": memory("self", "VmHWM"), "backend_own": own[0],
              "backend_peak": memory(backend, "VmHWM")}  # fmt: skip
    sys.stdout.buffer.write(msgspec.json.encode(report))
    await pool.close()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
