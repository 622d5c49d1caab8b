"""Fixtures that every folder of tests may use."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vnum.model.acting import SYSTEM, act
from vnum.servers import Endpoints, open_servers

# Small and quick. What these servers hold is thrown away, so nothing waits for a disk; tests of durability start their
# own servers, with the settings of the product.
SMALL_SETTINGS = {
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


@pytest.fixture(autouse=True)
def vnum_itself_acts() -> None:
    """Commands are run in this process too, and say that an operator acts from then on."""
    act(SYSTEM)


@pytest.fixture(autouse=True)
def umask_as_found() -> Iterator[None]:
    """The switches' programs are run in this process too, and narrow what files they make may be read by."""
    found = os.umask(0o022)
    os.umask(found)
    yield
    os.umask(found)


@pytest.fixture(scope="session")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """One PostgreSQL and one Valkey out of the wheels for the whole session (each worker of xdist has its own pair).

    Whatever VNUM_POSTGRES_DSN says is not looked at. The servers are entered on the main thread, which outlives them,
    by a loop of their own, which touches none of the loops of the tests.
    """
    folder: Path = tmp_path_factory.mktemp("servers")
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        servers = open_servers(folder, postgres_settings=SMALL_SETTINGS)
        found = runner.run(servers.__aenter__())
        try:
            yield found
        finally:
            runner.run(servers.__aexit__(None, None, None))
