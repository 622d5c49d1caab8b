"""A slot's life against a model (design sections 2 and 3): any order of events, Redis lying, PostgreSQL failing."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.engines import START, open_world
from tests.faults import Dice, FaultyStatement, Seconds
from tests.service.slot_machine import SlotMachine
from vnum.pool import redis_pool
from vnum.servers import Endpoints
from vnum.service import registry, supply
from vnum.service.clock import ManualClock
from vnum.store import bindings, hosts

FULL = settings(
    max_examples=int(os.environ.get("SOAK", "60")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a shrink takes minutes: ask for it when one fails
    report_multiple_bugs=False,
    print_blob=True,
)


@pytest.fixture
def machine(
    endpoints: Endpoints, schema: str, key_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[SlotMachine]]:
    """The machine on an engine of its own, with a loop of its own."""
    seconds, dice, statement = Seconds(), Dice(), FaultyStatement(bindings.bind)
    for module in (supply, registry):
        monkeypatch.setattr(module, "time", seconds)
    for module in (supply, redis_pool):
        monkeypatch.setattr(module, "secrets", dice)
    monkeypatch.setattr(bindings, "bind", statement)
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        opening = open_world(endpoints, schema, key_folder, clock=ManualClock(START))
        home = runner.run(stack.enter_async_context(opening))
        try:
            parts = {"home": home, "runner": runner, "statement": statement, "seconds": seconds, "dice": dice}
            yield type("Machine", (SlotMachine,), parts)
        finally:
            runner.run(stack.aclose())


def test_no_order_of_events_breaks_a_promise(machine: type[SlotMachine]) -> None:
    run_state_machine_as_test(machine, settings=FULL)


CANARIES = {
    "quarantine ignored": [
        (bindings.SQL, "bind", "s.held_until <= $2", "s.ended_at <= $2"),
        (hosts.SQL, "held_on_host", "held_until > $3", "ended_at > $3"),
    ],
    "owner ignored": [
        (bindings.SQL, "bind", "s.held_until <= $2", "s.held_until - interval '9000 days' <= $2"),
        (hosts.SQL, "held_on_host", "held_until > $3", "held_until - interval '9000 days' > $3"),
    ],
}


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES)
def test_the_machine_finds_a_broken_promise(
    machine: type[SlotMachine], canary: list[tuple[dict[str, str], str, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is broken on purpose does not pass: the test above can fail."""
    for queries, name, right, wrong in canary:
        assert right in queries[name]
        monkeypatch.setitem(queries, name, queries[name].replace(right, wrong))
    quick = settings(FULL, max_examples=200, phases=[Phase.generate], database=None, derandomize=True)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=quick)
