"""Durable bindings beside the bare SQL that writes the same rows."""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from benches.engines import CONNECTIONS, MERCHANTS, engine_on
from benches.rows import Row, Work, compared, in_turn
from vnum.engine import Engine
from vnum.model.ids import new_id
from vnum.model.orders import OrderStatus
from vnum.servers import Endpoints
from vnum.service.batch import Bound
from vnum.service.orders import BindRequest

CALLERS = 64

BARE = """
WITH item AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[])
        AS i (binding_id, host, extension, merchant_id, order_id, recipient, recipient_hash)
), slot AS (
    INSERT INTO slots (cell, host, extension, binding_id, ended_at, held_until, holder_order, holder_recipient)
    SELECT 0, host, extension, binding_id, $9, $10, 1, 2 FROM item ORDER BY host, extension RETURNING binding_id
), ordered AS (
    INSERT INTO orders (cell, merchant_id, order_id, binding_id, host, extension, mode, order_status,
                        recipient_hash, bound_at, ended_at)
    SELECT 0, merchant_id, order_id, binding_id, host, extension, 'axe', 'shipped', recipient_hash, $8, $9
    FROM slot JOIN item USING (binding_id) ORDER BY merchant_id, order_id RETURNING binding_id
)
INSERT INTO bindings (cell, binding_id, merchant_id, order_id, host, extension, mode, city, city_strict, ttl_days,
                      bound_at, expires_at, ended_at, key_id, recipient, recipient_hash, recipient_name)
SELECT 0, binding_id, merchant_id, order_id, host, extension, 'axe', NULL, false, 30,
       $8, $9, $9, 1, recipient, recipient_hash, NULL
FROM ordered JOIN item USING (binding_id) ORDER BY binding_id
"""
"""The same rows, columns and indexes as a bind writes, with nothing decided."""


def requests(count: int) -> list[BindRequest]:
    return [
        BindRequest(
            merchant_id=f"m{n % MERCHANTS}",
            order_id=secrets.token_hex(8),
            recipient_phone=f"138{secrets.randbelow(10**8):08d}",
            order_status=OrderStatus.SHIPPED,
        )
        for n in range(count)
    ]


def lanes(batches: Sequence[Sequence[BindRequest]], engine: Engine) -> Work:
    """The batches, by as many tasks as there are connections."""

    async def lane(mine: Sequence[Sequence[BindRequest]]) -> int:
        bound = 0
        for batch in mine:
            outcomes = await engine.binder.bind(batch)
            bound += sum(isinstance(outcome, Bound) and outcome.created for outcome in outcomes)
        return bound

    async def work() -> int:
        bound = sum(await asyncio.gather(*(lane(batches[n::CONNECTIONS]) for n in range(CONNECTIONS))))
        assert bound == sum(map(len, batches)), "every order is bound"
        return bound

    return work


def singly(count: int, engine: Engine) -> Work:
    """Callers that each bind one order after the other; group commit puts those of a moment into one statement."""
    each = [requests(count // CALLERS) for _ in range(CALLERS)]

    async def caller(mine: Sequence[BindRequest]) -> int:
        outcomes = [await engine.binder.bind_one(request) for request in mine]
        return sum(isinstance(outcome, Bound) and outcome.created for outcome in outcomes)

    async def work() -> int:
        bound = sum(await asyncio.gather(*map(caller, each)))
        assert bound == sum(map(len, each)), "every order is bound"
        return bound

    return work


def bare(pool: asyncpg.Pool, count: int, size: int) -> Work:
    """Statements of the same shape with everything prepared beforehand."""
    now = datetime.now(UTC)
    ends, held = now + timedelta(days=30), now + timedelta(days=120)
    batches = [_bare_columns(now, size) for _ in range(count // size)]

    async def lane(mine: Sequence[list[list[object]]]) -> int:
        async with pool.acquire() as connection:
            statement = await connection.prepare(BARE)
            for columns in mine:
                await statement.fetch(*columns, now, ends, held)
        return len(mine) * size

    async def work() -> int:
        return sum(await asyncio.gather(*(lane(batches[n::CONNECTIONS]) for n in range(CONNECTIONS))))

    return work


def _bare_columns(now: datetime, size: int) -> list[list[object]]:
    ids = [new_id(0, now, secrets.token_bytes(8)) for _ in range(size)]
    tokens = [secrets.token_hex(8) for _ in range(size)]
    # Hosts of the peer are random, so that its rows fall as far apart in the index as ours; four digits after.
    slots = [f"{secrets.randbelow(10**11):011d}" for _ in range(size)]
    return [
        list(ids),
        list(slots),
        [f"{secrets.randbelow(10**4):04d}" for _ in range(size)],
        [f"m{n % MERCHANTS}" for n in range(size)],
        list(tokens),
        [secrets.token_bytes(42) for _ in range(size)],
        [secrets.token_bytes(16) for _ in range(size)],
    ]


async def bench_bindings(endpoints: Endpoints, folder: Path, count: int) -> list[Row]:
    peer = f"bare SQL on {CONNECTIONS} connections"
    async with engine_on(endpoints, folder) as engine, engine_on(endpoints, folder, hosts=1) as other:
        single = await in_turn(lambda: singly(count // 2, engine), lambda: bare(other.database, count // 4, 1))
        batches = await in_turn(
            lambda: lanes([requests(100) for _ in range(count // 100)], engine),
            lambda: bare(other.database, count, 100),
        )
    return [
        compared(f"durable bindings, one a request, {CALLERS} callers", single, f"{peer}, one a statement", 0.5),
        compared("durable bindings, batches of 100", batches, f"{peer}, 100 a statement", 0.5),
    ]
