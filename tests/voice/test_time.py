"""Calls that run across an instant: the end of their number, midnight, the end of a month, by Asia/Shanghai.

The clocks of vnum and, where it lets itself be set, of the switch stand at the instant that matters; the call, its
seconds and its charge are real. A switch whose clock is the machine's is left out of those at midnight: whatever a
record says, the rules that date it are vnum's (tests/scenarios/test_calls.py).
"""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.voice.office import SHOP, opened_office
from tests.voice.switches import Embedded
from vnum.servers import Endpoints

WAIT_S = 120
SOON_S = 15
"""From the start of the clocks to midnight: enough to start a server and a switch and to be answered."""


async def test_a_call_runs_on_when_its_number_expires(endpoints: Endpoints, tmp_path: Path) -> None:
    async with opened_office(endpoints, tmp_path, Embedded(), ahead=timedelta(0)) as (office, _):
        async with asyncio.timeout(WAIT_S):
            order = await office.order(1)
            talk = await office.connect(order)
            office.server.tell(str(timedelta(days=31).total_seconds()))
            await office.server.heard(f"ahead by {timedelta(days=31).total_seconds()}")
            again = await office.dial(order)
            await office.key(again, order.binding.extension)
            await again.until("ended")
            assert len(office.trunk.rung[order.callee]) == 1
            assert again.answered < again.bye_came
            assert await office.refusals(order) == ["binding_expired"]
            await talk.both_ways(1.0, since=again.ended)
            await talk.end()
            (call,) = await office.filed(order)
            seconds = int(office.check_talk(talk, call))
            assert (call["minutes"], call["cost"]) == (1, "0.02")
            assert seconds >= 1
            office.check_numbers(again, None, order)


@pytest.mark.parametrize(
    ("midnight", "day", "month"),
    [
        ("2026-10-15T00:00:00+08:00", "2026-10-14", "2026-10"),
        ("2026-11-01T00:00:00+08:00", "2026-10-31", "2026-10"),
    ],
)
async def test_a_call_across_midnight_is_of_the_day_it_was_answered(
    endpoints: Endpoints, tmp_path: Path, midnight: str, day: str, month: str
) -> None:
    turn = datetime.fromisoformat(midnight)
    ahead = turn - datetime.now(UTC) - timedelta(seconds=SOON_S)
    async with opened_office(endpoints, tmp_path, Embedded(), ahead=ahead) as (office, _):
        async with asyncio.timeout(WAIT_S):
            order = await office.order(1)
            talk = await office.connect(order)
            turns = (turn - ahead).timestamp()
            assert talk.came.answered < turns, "too slow: it should be answered before midnight"
            await asyncio.sleep(turns + 0.5 - datetime.now(UTC).timestamp())
            await talk.both_ways(since=turns)
            await talk.end()
            (call,) = await office.filed(order)
            office.check_talk(talk, call, shift=ahead)
            assert datetime.fromisoformat(call["answer_time"]) < turn < datetime.fromisoformat(call["release_time"])
            assert (call["minutes"], call["cost"]) == (1, "0.02")
            assert month == day[:7]
            assert await office.bill(SHOP, day) == [("0.02", 1)]
            assert await office.bill(SHOP, turn.date().isoformat()) == []
