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
from vnum.store import bindings as stored

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
    seconds, dice, statement = Seconds(), Dice(), FaultyStatement(stored.bind)
    for module in (supply, registry):
        monkeypatch.setattr(module, "time", seconds)
    for module in (supply, redis_pool):
        monkeypatch.setattr(module, "secrets", dice)
    monkeypatch.setattr(stored, "bind", statement)
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
    "quarantine ignored": ("bind", "s.held_until <= $2", "s.ended_at <= $2"),
    "owner ignored": ("bind", "WHERE s.held_until <= $2", "WHERE $2 <= $2"),
    "last holder ignored": ("bind", "AND s.holder_recipient IS DISTINCT FROM excluded.holder_recipient", ""),
    "expired ones extended": ("extend", "s.ended_at > $2 AND", ""),
    "memory of the slot lost": ("bind", "former_recipient = s.holder_recipient", "former_recipient = NULL"),
}


@pytest.mark.parametrize("canary", ["quarantine ignored", "last holder ignored"])
def test_the_machine_finds_a_broken_promise(
    machine: type[SlotMachine], canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary: what is broken on purpose does not pass."""
    query, right, wrong = CANARIES[canary]
    assert right in stored.SQL[query]
    monkeypatch.setitem(stored.SQL, query, stored.SQL[query].replace(right, wrong))
    quick = settings(FULL, max_examples=300, phases=[Phase.generate], database=None, report_multiple_bugs=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=quick)
