"""The table of `cases.py`, and twenty calls at once, on each switch that can be had.

All rows run at the same time, on one server and one switch: they mostly wait. A test waits for its row.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.voice.cases import CASES, STATES, Case
from tests.voice.known import SWITCHES, marked
from tests.voice.office import Office, opened_office
from tests.voice.results import Results
from tests.voice.switches import NotToBeHad, posted
from tests.voice.talk import Order, Talk
from vnum.servers import Endpoints
from vnum.voice.softphone.sound import tone

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT_S = 150
AT_ONCE = 20


@dataclass(slots=True)
class Floor:
    office: Office
    playing: dict[str, "asyncio.Task[None]"]
    results: Results


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=marked(),
)
async def floor(
    request: pytest.FixtureRequest, endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Floor]:
    """A switch with every row under way."""
    folder = tmp_path_factory.mktemp("voice")
    lapsed = tuple(n for n, case in enumerate(CASES) if case.state == "lapsed")
    switch = SWITCHES[request.param]()
    try:
        async with opened_office(endpoints, folder, switch, lapsed=lapsed) as (office, bound):
            for n, case in enumerate(CASES):
                if n not in bound:
                    bound[n] = await office.order(n, merchant=case.merchant, manners=case.manners)
            used = switch.cpu_s()
            rows = {case.name: bound[n] for n, case in enumerate(CASES) if switch.prompts or case.status is not None}
            playing = {
                case.name: asyncio.create_task(_play(case, office, rows[case.name]))
                for case in CASES
                if case.name in rows
            }
            results = Results(switch.name)
            yield Floor(office, playing, results)
            for task in playing.values():
                task.cancel()
            await asyncio.gather(*playing.values(), return_exceptions=True)
            results.write(
                calls=office.calls,
                cpu_s=switch.cpu_s() - used,
                differences=office.differences,
                exact=office.exact,
            )
    except NotToBeHad as why:
        pytest.skip(str(why))


async def _play(case: Case, office: Office, order: Order) -> None:
    async with asyncio.timeout(WAIT_S):
        if case.state in STATES:
            await STATES[case.state](office, order)
        await case.play(case, office, order)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
async def test_a_call(floor: Floor, case: Case) -> None:
    if case.name not in floor.playing:
        floor.results.note(case.name, "not by nature")
        pytest.skip(f"{floor.office.switch.name} plays no prompts: the extension comes with the call")
    floor.results.note(case.name, "failed")
    try:
        await floor.playing[case.name]
    except BaseException:
        print(floor.office.switch.logs()[-20_000:])
        raise
    floor.results.note(case.name, "passed")


async def test_twenty_calls_at_once(floor: Floor) -> None:
    """Each hears its own partner and nobody else, and each is charged once."""
    office, name = floor.office, "20 calls at once"
    floor.results.note(name, "failed")
    await asyncio.gather(*floor.playing.values(), return_exceptions=True)
    orders = [await office.order(n) for n in range(30, 30 + AT_ONCE)]
    async with asyncio.timeout(WAIT_S):
        talks = await asyncio.gather(*(office.connect(order) for order in orders))
        together = max(talk.came.answered for talk in talks)
        await asyncio.gather(*(talk.both_ways(1.2, since=together) for talk in talks))
        assert all(talk.came.talking for talk in talks)
        await asyncio.gather(*(talk.end() for talk in talks))
        for talk in talks:
            (call,) = await office.filed(talk.order)
            office.check_talk(talk, call)
            office.check_numbers(talk.out, talk.came, talk.order)
            assert (call["minutes"], call["cost"]) == (1, "0.02")
    check_no_crosstalk(talks)
    floor.results.note(name, "passed")


def check_no_crosstalk(talks: list[Talk]) -> None:
    for talk in talks:
        mine, theirs = talk.order.tones
        for side, hz in ((talk.came, mine), (talk.out, theirs)):
            frames = [frame for frame in side.sound.heard if frame.at >= talk.came.acknowledged][-20:]
            strange = [other for other in map(tone, range(48)) if other != hz and any(f.holds(other) for f in frames)]
            assert not strange, f"{hz} heard {strange}"


async def test_nothing_is_left_and_nobody_is_named(floor: Floor) -> None:
    """After all of it: every record was taken, none twice or refused, and no log names a phone."""
    office = floor.office
    await asyncio.gather(*floor.playing.values(), return_exceptions=True)
    async with asyncio.timeout(WAIT_S):
        await posted(office.switch)
    said = office.switch.logs() + "\n".join(office.server.said)
    for number in {*office.phones, *office.trunk.callees}:
        assert number not in said
    recorded = sum(case.cause is not None for case in CASES if case.name in floor.playing) + AT_ONCE
    assert await office.count("calls") == recorded
    assert await office.count("call_reviews") == 0
