"""Calls that run across an instant: midnight, the end of a month, the end of their number, by Asia/Shanghai.

One office, whose clocks are moved on from test to test: vnum's, and the switch's where it can be set. The calls, their
seconds and their charges are real. Switches that know only the machine's clock are not run across midnight: how a
record is dated is for vnum to say, whoever posts it (tests/scenarios/test_calls.py).
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from tests.voice.known import SWITCHES, marked
from tests.voice.office import SHOP, Office, opened_office
from tests.voice.running import ahead
from tests.voice.switches import NotToBeHad
from tests.voice.talk import Talk
from vnum.servers import Endpoints

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT_S = 200
TURNS = [datetime.fromisoformat("2026-10-15T00:00:00+08:00"), datetime.fromisoformat("2026-11-01T00:00:00+08:00")]
MONTH = timedelta(days=31)
BEFORE_S = (5.0, 20.0, 60.0)
"""So long before midnight a call is begun; the longer ones for machines on which it was not answered in time."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=marked())
async def office(
    request: pytest.FixtureRequest, endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Office]:
    switch = SWITCHES[request.param]()
    start = _until(TURNS[0], BEFORE_S[0]) if switch.shifts else timedelta(0)
    try:
        async with opened_office(endpoints, tmp_path_factory.mktemp("time"), switch, ahead=start) as (opened, _):
            yield opened
    except NotToBeHad as why:
        pytest.skip(str(why))


@pytest.mark.parametrize("turn", TURNS, ids=["midnight", "the_end_of_a_month"])
async def test_a_call_across_it_is_of_the_day_and_month_of_its_answer(office: Office, turn: datetime) -> None:
    if not office.switch.shifts:
        pytest.skip("the clock of this switch is the machine's")
    async with asyncio.timeout(WAIT_S):
        talk, shift = await across(office, turn)
        (call,) = await office.filed(talk.order)
        office.check_talk(talk, call, shift=shift)
        office.check_numbers(talk.out, talk.came, talk.order)
        assert datetime.fromisoformat(call["answer_time"]) < turn < datetime.fromisoformat(call["release_time"])
        assert (call["minutes"], call["cost"]) == (1, "0.02")
        before = (turn - timedelta(seconds=1)).date().isoformat()
        assert (call["call_id"], "0.02", 1) in await office.bill(SHOP, before)
        assert call["call_id"] not in [charged for charged, *_ in await office.bill(SHOP, turn.date().isoformat())]


async def across(office: Office, turn: datetime) -> tuple[Talk, timedelta]:
    """A call that was answered before `turn` and ended after it, and how far ahead the switch's clock was."""
    await ahead(office.server, _until(turn, BEFORE_S[0]).total_seconds())
    for n, before_s in enumerate(BEFORE_S):
        order = await office.order(TURNS.index(turn) * len(BEFORE_S) + n)
        shift = _until(turn, before_s)
        await office.switch.shift(shift.total_seconds())
        talk = await office.connect(order)
        turns = (turn - shift).timestamp()
        if in_time := talk.came.acknowledged < turns:
            await talk.until(turns + 0.5)
            await talk.both_ways(since=turns)
        await talk.end()
        if in_time:
            return talk, shift
    raise AssertionError("this machine connects no call in a minute")


def _until(turn: datetime, seconds: float) -> timedelta:
    """How far ahead a clock is that has so many seconds to go."""
    return turn - datetime.now(UTC) - timedelta(seconds=seconds)


async def test_a_call_runs_on_when_its_number_expires_and_the_next_is_refused(office: Office) -> None:
    shift = _until(TURNS[-1], -60) if office.switch.shifts else timedelta(0)
    async with asyncio.timeout(WAIT_S):
        await ahead(office.server, shift.total_seconds())
        if office.switch.shifts:
            await office.switch.shift(shift.total_seconds())
        office.clock.instant = datetime.now(UTC) + shift
        order = await office.order(9)
        talk = await office.connect(order)
        await ahead(office.server, (shift + MONTH).total_seconds())
        again = await office.dial(order)
        await office.key(again, order.binding.extension)
        await again.until("ended")
        assert len(office.trunk.rung[order.callee]) == 1
        assert await office.refusals(order) == ["binding_expired"]
        office.check_numbers(again, None, order)
        await talk.both_ways(1.0, since=again.ended)
        await talk.end()
        (call,) = await office.filed(order)
        assert office.check_talk(talk, call, shift=shift) >= 1
        assert (call["minutes"], call["cost"]) == (1, "0.02")
