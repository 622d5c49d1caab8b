"""Everything that the system holds and tells, as pieces to be scanned."""

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

from tests.leaks.scan import Piece


def fresh_mobile() -> str:
    """Never one that another test uses."""
    return f"1{secrets.choice(['35', '77', '86', '95'])}{secrets.randbelow(10**8):08}"


def fresh_line() -> str:
    return f"0571{2 + secrets.randbelow(7)}{secrets.randbelow(10**7):07}"


async def of_database(owner: Any) -> AsyncIterator[Piece]:
    """Every row of every table, each column raw; bytea as the bytes that it is."""
    tables = await owner.fetch(
        """SELECT c.oid::regclass::text AS name FROM pg_class c
           WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'm') ORDER BY 1"""
    )
    assert len(tables) > 30
    for (table,) in tables:
        for row in await owner.fetch(f"SELECT t.*, t::text AS whole_row FROM ONLY {table} AS t"):
            for column, value in row.items():
                if isinstance(value, (bytes, memoryview)):
                    yield Piece(f"{table}.{column}", bytes(value))
                elif value is not None:
                    yield Piece(f"{table}.{column}", str(value).encode())


async def of_redis(redis: Any) -> AsyncIterator[Piece]:
    """Every key: its name, its value, and as DUMP gives it."""
    readers = {b"string": redis.get, b"hash": redis.hgetall, b"set": redis.smembers, b"list": _whole_list(redis)}
    readers |= {b"zset": _whole_zset(redis), b"stream": redis.xrange}
    async for key in redis.scan_iter(match="*"):
        yield Piece("redis keys", key)
        yield Piece(f"redis dump {key!r}", await redis.dump(key) or b"")
        value = await readers[await redis.type(key)](key)
        for part in _flat(value):
            yield Piece(f"redis {key!r}", part)


def _whole_list(redis: Any) -> Any:
    return lambda key: redis.lrange(key, 0, -1)


def _whole_zset(redis: Any) -> Any:
    return lambda key: redis.zrange(key, 0, -1)


def _flat(value: Any) -> list[bytes]:
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, dict):
        return [part for pair in value.items() for one in pair for part in _flat(one)]
    if isinstance(value, (list, tuple, set)):
        return [part for one in value for part in _flat(one)]
    return [] if value is None else [str(value).encode()]


def without_callee(body: bytes) -> bytes:
    """An answer of route less the one real number that it may hold: the callee of a call that is connected."""
    try:
        answer = json.loads(body)
    except ValueError:
        return body
    if isinstance(answer, dict) and answer.get("action") == "connect":
        answer.pop("callee")
    return json.dumps(answer).encode()
