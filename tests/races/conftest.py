"""The engines of tests/engines.py, and several of them on one schema."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.engines import World, bare_world, key_folder, open_world, schema, world
from vnum.servers import Endpoints

__all__ = ["bare_world", "key_folder", "schema", "workers", "world"]

WORKERS = 4


@pytest.fixture
async def workers(bare_world: World, endpoints: Endpoints, schema: str, key_folder: Path) -> AsyncIterator[list[World]]:
    """Engines with connections and memories of their own, one clock set by hand, and merchant "m"."""
    await bare_world.merchant()
    async with AsyncExitStack() as stack:
        yield [
            bare_world,
            *[
                await stack.enter_async_context(
                    open_world(endpoints, schema, key_folder, clock=bare_world.clock, wipe=False)
                )
                for _ in range(WORKERS - 1)
            ],
        ]
