"""The engines of tests/engines.py, and several of them on one schema."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.engines import World, bare_world, key_folder, open_world, schema, world
from tests.faults import HeldOpen, Hold
from vnum.servers import Endpoints

__all__ = ["bare_world", "key_folder", "schema", "workers", "world"]

WORKERS = 4


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Hold:
    """Holds the next call of a module's statement: `before` it, or in its open transaction."""

    def held(module: Any, name: str, *, before: bool = False) -> HeldOpen:
        holding = HeldOpen(getattr(module, name), before=before)
        monkeypatch.setattr(module, name, holding)
        return holding

    return held


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
