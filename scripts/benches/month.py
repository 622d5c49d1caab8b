"""A month of usage, closed and exported, beside the bare scan of the columns that each needs.

What is measured runs in a fresh process each time (`benches.month_work`), which tells its time and its peak of memory;
close and scan take turns. The usage is written by SQL into a schema made by the migrations: bindings of 30 days bound
over September and October 2026, calls of October, 2,000 merchants; 3 % of them pay another tariff, 2 % one with free
minutes and added tax.
"""

import asyncio
import secrets
import statistics
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec

from benches.rows import Row
from vnum.servers import Endpoints
from vnum.store.database import check_schema
from vnum.store.migrate import migrate

SIZES = (100_000, 1_000_000)
CLOSES = 5
FLAT = 1.2
CLOSE_AIM = 3.0
MIB = 2**20

LOAD = """
SELECT ensure_months('2026-08-31', '2026-11-30');

INSERT INTO merchants (merchant_id, name, invoice_title, tax_no, created_at)
SELECT 'shop-' || lpad(n::text, 4, '0'), 'Shop ' || n, 'Shop ' || n || ' Ltd', '91330100MA2', '2026-08-01 00:00+08'
FROM generate_series(0, 1999) AS n;

INSERT INTO tariffs (tariff_id, version, effective_from, rental_day, call_minute, first_s, next_s, free_minutes,
                     tax_mode, tax_rate)
VALUES ('plan', 1, '1970-01-01 00:00+00', 0.00015, 0.018, 6, 6, 0, 'included', 0.06),
       ('free', 1, '1970-01-01 00:00+00', 0.00020, 0.024, 60, 60, 300, 'added', 0.06);

INSERT INTO tariff_assignments (merchant_id, effective_from, tariff_id, assigned_at, assigned_by)
SELECT merchant_id, '1970-01-01 00:00+00', CASE WHEN n % 100 < 3 THEN 'plan' ELSE 'free' END, created_at, 'bench'
FROM (SELECT *, right(merchant_id, 4)::int AS n FROM merchants) AS m WHERE n % 100 < 5;

INSERT INTO closes (merchant_id, period, invoice_number, closed_at)
SELECT merchant_id, '2026-09-01', NULL, '2026-10-01 00:00+08' FROM merchants;
"""

LOAD_BINDINGS = """
INSERT INTO bindings (cell, binding_id, merchant_id, order_id, host, extension, mode, city_strict, ttl_days, bound_at,
                      expires_at, ended_at, key_id, recipient, recipient_hash)
SELECT 0, (lpad(to_hex(floor(extract(epoch FROM bound_at) * 1000)::bigint), 12, '0') || '70008000'
           || lpad(to_hex(n), 12, '0'))::uuid,
       'shop-' || lpad((n * 7919 % 2000)::text, 4, '0'), 'order-' || n, lpad((n / 9999)::text, 11, '1'),
       lpad((n % 9999)::text, 4, '0'), 'axe', false, 30, bound_at, bound_at + interval '720 hours',
       bound_at + interval '720 hours', 1, decode(repeat('5a', 42), 'hex'), decode(md5(n::text), 'hex')
FROM (SELECT n, timestamptz '2026-09-01 00:00+08' + n * (interval '61 days' / $1::bigint) AS bound_at
      FROM generate_series(0::bigint, $1::bigint - 1) AS n) AS bound
"""
"""$1 how many."""

LOAD_CALLS = """
INSERT INTO calls (cell, call_id, biz_at, host, extension, binding_id, merchant_id, order_id, key_id, caller,
                   caller_hash, call_time, answer_time, release_time, seconds, minutes, units, unit_s, rate, setup_fee,
                   cost, tariff_id, tariff_version, late)
SELECT 0, 'call-' || lpad(to_hex(n), 12, '0'), answered_at, lpad((n / 9999)::text, 11, '1'),
       lpad((n % 9999)::text, 4, '0'), (lpad(to_hex(n), 32, '0'))::uuid, merchant_id, 'order-' || n, 1,
       decode(repeat('5a', 42), 'hex'),
       decode(md5(n::text), 'hex'), answered_at - interval '9 s', answered_at,
       answered_at + seconds * interval '1 s', seconds, ceil(seconds / 60.0)::int, units, t.unit_s, t.unit, 0,
       units * t.unit, t.tariff_id, 1, false
FROM (SELECT n, 'shop-' || lpad((n * 104729 % 2000)::text, 4, '0') AS merchant_id,
             n * 104729 % 2000 % 100 AS hundredth, (1 + n * 31 % 300)::int AS seconds,
             timestamptz '2026-10-01 00:00+08' + n * (interval '31 days' / $1::bigint) AS answered_at
      FROM generate_series(0::bigint, $1::bigint - 1) AS n) AS talk
JOIN (VALUES (0, 3, 'plan', 6, 0.0018), (3, 5, 'free', 60, 0.024), (5, 100, 'default', 60, 0.02))
    AS t (since, until, tariff_id, unit_s, unit) ON hundredth >= since AND hundredth < until
CROSS JOIN LATERAL (SELECT ceil(seconds / t.unit_s::numeric)::int AS units) AS u
"""
"""$1 how many."""

EXPORTS = {"csv": "CSV by day", "xlsx": "XLSX by binding", "fapiao": "the fapiao list"}
SCAN = "scan-details"

REOPEN = """
TRUNCATE invoices, invoice_lines, invoice_taxes, invoice_adjustments, invoice_serials, periods;
DELETE FROM closes WHERE period = '2026-10-01';
"""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of `benches.month_work` tells. Memory in bytes; the backend's is 0 if it runs elsewhere.

    `peak` is the most that Python held, `backend_own` the most of the backend without shared buffers (looked at
    every 20 ms), `backend_peak` with those that it read.
    """

    seconds: float
    rows: int
    peak: int
    backend_own: int
    backend_peak: int


class Month:
    """A schema with a month of usage."""

    def __init__(self, endpoints: Endpoints, schema: str, size: int, owner: asyncpg.Connection) -> None:
        self.size = size
        self._endpoints = endpoints
        self._schema = schema
        self._owner = owner

    async def work(self, what: str) -> Done:
        """Do one thing in a process of its own."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benches.month_work", what, self._endpoints.postgres_dsn, self._schema,
            cwd=Path(__file__).parents[1], stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await child.communicate()
        if child.returncode:
            raise RuntimeError(f"{what} failed")
        return msgspec.json.decode(said, type=Done)

    async def reopen(self) -> None:
        """As if the month had not been closed."""
        await self._owner.execute(REOPEN)


@asynccontextmanager
async def month_of(endpoints: Endpoints, size: int) -> AsyncIterator[Month]:
    """`size` bindings and as many calls; dropped at the end."""
    schema = f"bench_{secrets.token_hex(4)}"
    check_schema(schema)
    await migrate(endpoints.postgres_admin_dsn, schema)
    owner = await asyncpg.connect(endpoints.postgres_admin_dsn, server_settings={"search_path": schema})
    try:
        await owner.execute(LOAD)
        await owner.execute(LOAD_BINDINGS, size)
        await owner.execute(LOAD_CALLS, size)
        await owner.execute("VACUUM ANALYZE")
        yield Month(endpoints, schema, size, owner)
    finally:
        await owner.execute(f"DROP SCHEMA {schema} CASCADE")
        await owner.close()


async def bench_month(endpoints: Endpoints, scale: float, *, closes: bool, exports: bool) -> list[Row]:
    """Both sizes, one after the other: closes with the scan beside each, and exports, which take minutes, once each."""
    found: dict[str, dict[int, list[Done]]] = defaultdict(dict)
    for size in (int(size * scale) for size in SIZES):
        async with month_of(endpoints, size) as month:
            for what, done in [*(await _closes(month, CLOSES if closes else 1)), *(await _exports(month, exports))]:
                found[what].setdefault(size, []).append(done)
    rows = _rows("a close", found["close"], found["scan-close"], CLOSE_AIM) if closes else []
    for what, name in EXPORTS.items() if exports else ():
        rows += _rows(name, found[what], found[SCAN], None)
    return rows


async def _closes(month: Month, times: int) -> list[tuple[str, Done]]:
    await month.work("scan-close")  # the first finds the tables cold
    done = []
    for _ in range(times):
        await month.reopen()
        done += [(what, await month.work(what)) for what in ("close", "scan-close")]
    return done


async def _exports(month: Month, wanted: bool) -> list[tuple[str, Done]]:
    if not wanted:
        return []
    await month.work(SCAN)
    return [pair for name in EXPORTS for pair in ((name, await month.work(name)), (SCAN, await month.work(SCAN)))]


def _rows(name: str, ours: dict[int, list[Done]], peers: dict[int, list[Done]], at_most: float | None) -> list[Row]:
    size = max(ours)
    return [_compared(f"{name} of", size, ours[size], peers[size][: len(ours[size])], at_most), *_memory(name, ours)]


def _compared(name: str, size: int, ours: list[Done], peers: list[Done], at_most: float | None) -> Row:
    ratio = statistics.median(a.seconds / b.seconds for a, b in zip(ours, peers, strict=True))
    return Row(
        name=f"{name} {size:,} bindings and {size:,} calls",
        ours=statistics.median(done.seconds for done in ours),
        unit="s",
        peer=statistics.median(done.seconds for done in peers),
        peer_name="s, COPY of the columns it needs",
        ratio=ratio,
        aim="" if at_most is None else f"<= {at_most:g} x",
        reached=None if at_most is None else ratio <= at_most,
        runs=len(ours),
        detail={
            "ours, s": [done.seconds for done in ours],
            "peer, s": [done.seconds for done in peers],
            "rows": [float(done.rows) for done in ours],
            "bindings and calls a second": [2 * size / done.seconds for done in ours],
        },
    )


def _memory(name: str, by_size: dict[int, list[Done]]) -> list[Row]:
    """The peaks at both sizes: flat for Python; the backend's sorts and hashes are bounded by work_mem."""
    small, large = sorted(by_size)
    found = []
    for whose, flat, peak in (
        ("Python", True, lambda done: done.peak),
        ("PostgreSQL's backend without shared buffers", False, lambda done: done.backend_own),
    ):
        peaks = {size: statistics.median(map(peak, dones)) / MIB for size, dones in by_size.items()}
        ratio = peaks[large] / peaks[small] if peaks[small] else None
        if ratio is None:
            continue
        row = Row(
            name=f"peak memory of {name}, {whose}",
            ours=peaks[large],
            unit=f"MiB at {large:,}",
            peer=peaks[small],
            peer_name=f"MiB at {small:,}",
            ratio=ratio,
            aim=f"<= {FLAT} x" if flat else "",
            reached=ratio <= FLAT if flat else None,
            runs=len(by_size[large]),
            detail={"with shared buffers, MiB": [done.backend_peak / MIB for done in by_size[large]]},
        )
        found.append(row)
    return found
