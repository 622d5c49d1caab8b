"""A key after the call, on real phones: what is keyed in stands in vnum, whatever fails in between.

The plays of `marks.py` run at the same time, on one server and one switch; a test waits for its own. The tests below
them come after all of them, in their order.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.voice.embedded import Embedded
from tests.voice.known import SWITCHES
from tests.voice.marks import MARK_S, OF_SHORT, PLAYS, SAID, asked, check_call, keyed, left, marked, refused_from_now_on
from tests.voice.office import SHOP, SHORT, Office, Order, opened_office
from tests.voice.switches import NotToBeHad, posted
from tests.voice.test_orders import RING_FIRST, metered, running
from vnum.servers import Endpoints

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT_S = 150


@dataclass(slots=True)
class Floor:
    office: Office
    playing: dict[str, "asyncio.Task[None]"]

    async def over(self) -> None:
        """All that was begun has come to its end, well or not."""
        await asyncio.gather(*self.playing.values(), return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=RING_FIRST)
async def floor(
    request: pytest.FixtureRequest, endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Floor]:
    """A switch that asks recipients. Kamailio can not: it is in no call."""
    folder, switch = tmp_path_factory.mktemp("marks"), SWITCHES[request.param]()
    try:
        async with opened_office(endpoints, folder, switch, mark_s=MARK_S) as (office, _):
            bound = {
                name: await office.order(n, merchant=SHORT if name in OF_SHORT else SHOP)
                for n, name in enumerate(PLAYS)
            }
            floor = Floor(office, {name: asyncio.create_task(_play(office, bound[name], name)) for name in PLAYS})
            yield floor
            for task in floor.playing.values():
                task.cancel()
            await floor.over()
    except NotToBeHad as why:
        pytest.skip(str(why))


async def _play(office: Office, order: Order, name: str) -> None:
    async with asyncio.timeout(WAIT_S):
        await PLAYS[name](office, order)


@pytest.mark.parametrize("name", PLAYS, ids=lambda name: name.replace(" ", "_"))
async def test_a_recipient(floor: Floor, name: str) -> None:
    try:
        await floor.playing[name]
    except BaseException:
        print(floor.office.switch.logs()[-20_000:])
        raise


async def test_nothing_else_is_said_of_any_call(floor: Floor) -> None:
    await floor.over()
    async with asyncio.timeout(WAIT_S):
        await posted(floor.office.switch)
    assert await floor.office.count("call_marks") == SAID


async def test_the_meters_of_the_switch_agree_with_the_marks(floor: Floor) -> None:
    """No call is left in any state, and nothing in the spool."""
    office, switch = floor.office, floor.office.switch
    if not isinstance(switch, Embedded):
        pytest.skip(f"{switch.name} has no meters of ours")
    await floor.over()
    async with asyncio.timeout(WAIT_S):
        await posted(switch)
        while running(meters := await metered(office, switch)):  # noqa: ASYNC110 (it happens in the switch)
            await asyncio.sleep(0.05)
    assert meters["vnum_switch_marks_total{marked}"] == SAID
    assert meters["vnum_switch_marks_total{rejected}"] == meters["vnum_switch_spool_marks"] == 0
    assert meters["vnum_switch_crashed_total"] == 0


async def test_vnum_is_away_and_the_switch_is_killed(floor: Floor) -> None:
    """While vnum is away he complains, and is told that it was noted; then the switch dies. It is not lost."""
    await floor.over()
    office = floor.office
    async with asyncio.timeout(WAIT_S):
        order = await office.order(20)
        talk = await office.connect(order)
        await office.server.kill()
        await left(talk)
        await keyed(talk, "1")
        assert office.switch.unposted()
        await office.switch.kill()
        await office.switch.restart()
        await office.server.start()
        await marked(office, await check_call(office, talk), "complaint")
        await posted(office.switch)
        await refused_from_now_on(office, order)
    assert await office.count("call_reviews") == 0


async def test_the_switch_is_stopped_while_he_is_asked(floor: Floor) -> None:
    """His phone is let go, and the call is on record as it was."""
    await floor.over()
    office = floor.office
    async with asyncio.timeout(WAIT_S):
        order = await office.order(21)
        talk = await office.connect(order)
        await left(talk)
        await asked(talk)
        await office.switch.stop()
        await talk.came.until("ended")
        assert talk.came.bye_came
        await office.switch.restart()
        await marked(office, await check_call(office, talk))


async def test_no_log_names_a_phone(floor: Floor) -> None:
    await floor.over()
    said = floor.office.switch.logs() + "\n".join(floor.office.server.said)
    for number in {*floor.office.phones, *floor.office.trunk.callees}:
        assert number not in said
