"""The bucket in Redis: how much it gives, when, to workers whose clocks differ; the script on a real server."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from vnum.engine import open_redis
from vnum.pool.keys import Keys
from vnum.pool.redis_pool import RedisPool
from vnum.servers import Endpoints

NOW = 1_790_000_000_000
NAMES = (f"lease-{n}" for n in range(10_000))


@pytest.fixture
async def pool(endpoints: Endpoints) -> AsyncIterator[RedisPool]:
    async with open_redis(endpoints.redis_url) as redis:
        pool = RedisPool(redis, Keys(next(NAMES)))
        yield pool
        await pool.drop()


Step = tuple[int, int, tuple[int, int]]

# 10 a second, 20 at most: (milliseconds, wanted, (granted, milliseconds to wait)).
STORIES: dict[str, list[Step]] = {
    "full at first, then empty": [(0, 15, (15, 0)), (0, 15, (5, 0)), (0, 1, (0, 100)), (99, 1, (0, 1))],
    "fills by itself": [(0, 20, (20, 0)), (100, 5, (1, 0)), (1100, 50, (10, 0)), (1100, 1, (0, 100))],
    "no more than full": [(0, 20, (20, 0)), (3_600_000, 50, (20, 0)), (3_600_000, 1, (0, 100))],
    "parts of tokens are kept": [(0, 20, (20, 0)), (50, 1, (0, 50)), (120, 1, (1, 0)), (180, 1, (0, 20))],
    "a slow clock fills nothing twice": [(1000, 20, (20, 0)), (0, 1, (0, 1100)), (1100, 1, (1, 0))],
    "two clocks half a second apart": [
        (500, 20, (20, 0)),
        (0, 9, (0, 600)),
        (1000, 9, (5, 0)),
        (500, 9, (0, 600)),
        (1500, 9, (5, 0)),
        (1000, 9, (0, 600)),
    ],
    "a clock far ahead is not waited for": [(3_600_000, 20, (20, 0)), (0, 1, (0, 100)), (100, 1, (1, 0))],
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
async def test_what_a_bucket_gives(pool: RedisPool, story: list[Step]) -> None:
    for at, wanted, expected in story:
        assert await pool.lease("k", NOW + at, 10, 20, wanted) == expected, (at, wanted)


async def test_a_rate_of_one_a_second(pool: RedisPool) -> None:
    got = [await pool.lease("k", NOW + 100 * n, 1, 2, 1) for n in range(31)]
    assert sum(granted for granted, _ in got) == 2 + 3
    assert all(0 < wait <= 1000 for granted, wait in got if not granted)


async def test_workers_together_get_the_rate_whatever_their_clocks_say(pool: RedisPool) -> None:
    """Ten seconds of three workers, one of them 700 ms behind, one 300 ms ahead."""
    taken = 0
    for tick in range(0, 10_000, 20):
        for skew in (0, -700, 300):
            taken += (await pool.lease("k", NOW + tick + skew, 100, 200, 7))[0]
    assert 200 + 100 * 9.9 <= taken <= 200 + 100 * 10.4


async def test_keys_have_buckets_of_their_own_that_go_by_themselves(pool: RedisPool) -> None:
    assert await pool.lease("a", NOW, 10, 20, 20) == (20, 0)
    assert await pool.lease("b", NOW, 10, 20, 20) == (20, 0)
    redis: Any = pool._redis
    for name in ("a", "b"):
        assert 0 < await redis.pttl(pool._keys.bucket(name)) <= 62_000


async def test_numbers_of_any_size(pool: RedisPool) -> None:
    assert await pool.lease("k", NOW, 1_000_000, 2_000_000, 50_000) == (50_000, 0)
    assert await pool.lease("k", NOW, 1_000_000, 2_000_000, 3_000_000) == (1_950_000, 0)
    assert await pool.lease("k", NOW + 1, 1_000_000, 2_000_000, 3_000) == (1_000, 0)
