"""`vnum calls`: one call's life, and those that nobody reported."""

from datetime import timedelta
from pathlib import Path

import msgspec
import uvloop

from tests.engines import HOST, START, open_world
from vnum.servers import Endpoints
from vnum.service.clock import ManualClock
from vnum.service.records import CallRecord

from .test_commands import Shell, ready, shell

__all__ = ["ready", "shell"]

CALLER = "13800000001"
LONG_AGO = START - timedelta(days=700)
"""The commands go by the machine's clock, whatever that says."""


async def some_calls(endpoints: Endpoints, schema: str, folder: Path) -> None:
    """One tried twice, connected and reported; one that was connected, long before anybody looks."""
    async with open_world(endpoints, schema, folder, clock=ManualClock(LONG_AGO), wipe=False) as world:
        await world.merchant()
        await world.host()
        lent = await world.bind("a")
        wrong = next(digit for digit in "123456789" if digit != lent.extension)
        await world.dial(msgspec.structs.replace(lent, extension=wrong), CALLER, "reported")
        await world.dial(lent, CALLER, "reported")
        await world.dial(lent, CALLER, "lost")
        world.pass_time(timedelta(seconds=61))
        record = CallRecord(
            call_id="reported",
            host=HOST,
            caller=CALLER,
            call_time=LONG_AGO,
            answer_time=LONG_AGO,
            release_time=world.now,
        )
        await world.engine.records.report([record])


def test_a_call_and_one_that_nobody_reported(ready: Shell, endpoints: Endpoints, tmp_path: Path) -> None:
    assert "0 calls need reconciliation" in ready.good("calls", "unrecorded")
    (tmp_path / "key").rename(tmp_path / "master.key")
    uvloop.run(some_calls(endpoints, ready.environment["VNUM_SCHEMA"], tmp_path))
    (tmp_path / "master.key").rename(tmp_path / "key")
    shown = ready.good("calls", "show", "reported")
    for words in ("order a", "refused: no_binding", "connected by route", "61 s, 2 min, CNY 0.04", "invoice none yet"):
        assert words in shown
    assert CALLER not in shown
    assert "needs reconciliation" in ready.good("calls", "show", "lost")
    listed = ready.good("calls", "unrecorded")
    assert "1 calls need reconciliation" in listed
    assert "lost" in listed
    refused = ready.run("calls", "show", "none")
    assert (refused.exit_code, "call_not_found" in refused.output) == (1, True)
