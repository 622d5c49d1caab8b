"""Click to dial and calls back, on real phones; what operators see of such calls; and orders while no switch is there.

The plays of `orders.py` and `backs.py` run at the same time, on one server and one switch; a test waits for its own.
The tests below them come after all of them, in their order.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from tests.voice import backs, orders
from tests.voice.backs import SERVED, SERVICE, ToShop, back_of, check_back
from tests.voice.embedded import Embedded
from tests.voice.known import SWITCHES, marked
from tests.voice.office import SHOP, Office, opened_office
from tests.voice.running import VNUM, ahead
from tests.voice.switches import NotToBeHad, Switch, posted
from tests.voice.talk import Order
from vnum.servers import Endpoints
from vnum.service.merchants import NewMerchant

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT_S = 150
PLAYS = orders.PLAYS | backs.PLAYS
OF_SERVED = {"back to the shop"}
RING_FIRST = [param for param in marked() if param.values != ("kamailio",)]
"""Kamailio passes signals on and rings nobody of its own."""

AFTER_WINDOW = timedelta(hours=25)


@dataclass(slots=True)
class Floor:
    office: Office
    switch: Switch
    playing: dict[str, "asyncio.Task[None]"]
    orders: dict[str, Order]

    async def over(self) -> None:
        """All that was begun has come to its end, well or not."""
        await asyncio.gather(*self.playing.values(), return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=RING_FIRST)
async def floor(
    request: pytest.FixtureRequest, endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Floor]:
    try:
        async with opened_floor(endpoints, tmp_path_factory.mktemp("orders"), SWITCHES[request.param]()) as opened:
            yield opened
    except NotToBeHad as why:
        pytest.skip(str(why))


@asynccontextmanager
async def opened_floor(endpoints: Endpoints, folder: Path, switch: Switch) -> AsyncIterator[Floor]:
    async with opened_office(endpoints, folder, switch, ahead=timedelta(0)) as (office, _):
        await office.engine.merchants.add(NewMerchant(merchant_id=SERVED, name=SERVED, service_number=SERVICE))
        bound = {
            name: await office.order(n, merchant=SERVED if name in OF_SERVED else SHOP) for n, name in enumerate(PLAYS)
        }
        playing = {name: asyncio.create_task(_play(office, bound[name], name)) for name in PLAYS}
        floor = Floor(office, switch, playing, bound)
        yield floor
        for task in playing.values():
            task.cancel()
        await floor.over()


async def _play(office: Office, order: Order, name: str) -> None:
    async with asyncio.timeout(WAIT_S):
        await PLAYS[name](office, order)


@pytest.mark.parametrize("name", PLAYS, ids=lambda name: name.replace(" ", "_"))
async def test_a_call(floor: Floor, name: str) -> None:
    try:
        await floor.playing[name]
    except BaseException:
        print(floor.switch.logs()[-20_000:])
        raise


async def test_the_meters_of_the_switch_agree_with_the_records(floor: Floor) -> None:
    """No call is left in any state, nothing in the spool; the answer-seizure ratio is that of the records."""
    if not isinstance(floor.switch, Embedded):
        pytest.skip(f"{floor.switch.name} has no meters of ours")
    await floor.over()
    office = floor.office
    async with asyncio.timeout(WAIT_S):
        await posted(floor.switch)
        while running(meters := await metered(office, floor.switch)):  # noqa: ASYNC110 (it happens in the switch)
            await asyncio.sleep(0.05)
    count = await office.count("calls")
    answered = await office.count("calls WHERE answer_time IS NOT NULL")
    assert meters["vnum_switch_seized_total"] == count
    assert meters["vnum_switch_answered_total"] == answered
    assert 0 < answered < count
    assert meters["vnum_switch_post_dial_delay_seconds_count"] == await office.count(
        "calls WHERE ring_time IS NOT NULL"
    )
    assert meters["vnum_switch_records_total{rated}"] == count
    assert meters["vnum_switch_spool_records"] == meters["vnum_switch_crashed_total"] == 0
    causes = {name: value for name, value in meters.items() if name.startswith("vnum_switch_releases_total")}
    assert causes == {f"vnum_switch_releases_total{{{cause}}}": await released(office, cause) for cause in (16, 17, 19)}
    rejects = {name: value for name, value in meters.items() if name.startswith("vnum_switch_rejects_total")}
    assert rejects == {"vnum_switch_rejects_total{recipient_opted_out}": 1}


async def released(office: Office, cause: int) -> int:
    return await office.count("calls WHERE release_cause = $1", cause)


def running(meters: dict[str, float]) -> float:
    return sum(value for name, value in meters.items() if name.startswith("vnum_switch_calls{"))


async def metered(office: Office, switch: Embedded) -> dict[str, float]:
    """Samples by name, with the values of their labels."""
    async with office.http.get(f"http://{switch.metrics}/metrics") as response:
        text = await response.text()
    return {
        sample.name + (f"{{{','.join(sample.labels.values())}}}" if sample.labels else ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_whole_life_of_a_call_is_shown_and_no_phone(floor: Floor) -> None:
    await floor.over()
    office, order = floor.office, floor.orders["ordered, its states"]
    (call,) = await office.filed(order)
    shown = await printed(office, "calls", "show", call["call_id"])
    steps = [
        "ordered, to be dialled for an agent", "taken by a switch", "the switch says ringing_agent",
        "connected by route", "the switch says ringing", "record: rings", "record: answered",
        "record: released, cause 16", "rated: 1 s, 1 min, CNY 0.02", "invoice none yet",
    ]  # fmt: skip
    assert [step for step in steps if step not in shown] == []
    assert shown.index("the switch says ringing_agent") < shown.index("record: rings") < shown.index("record: released")
    life = await office.life(call["call_id"])
    assert {name: life["record"][name] for name in ("seconds", "minutes", "cost", "answer_time", "release_time")} == {
        name: call[name] for name in ("seconds", "minutes", "cost", "answer_time", "release_time")
    }
    for text in (shown, str(life)):
        assert not re.search(f"{order.caller}|{order.callee}", text)


async def printed(office: Office, *words: str) -> str:
    """What the operator sees, on one line."""
    process = await asyncio.create_subprocess_exec(
        *VNUM, *words, env={**office.server.environment, "COLUMNS": "200"}, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return " ".join(out.decode().split())


async def test_outside_of_the_window_he_reaches_the_shop(floor: Floor) -> None:
    """Who rang him yesterday is not called back any more."""
    await floor.over()
    office = floor.office
    async with asyncio.timeout(WAIT_S):
        order = await office.order(20, merchant=SERVED)
        talk = await office.connect(order)
        await talk.end()
        await office.filed(order)
        await ahead(office.server, AFTER_WINDOW.total_seconds())
        await check_back(office, back_of(order, ToShop), 2, nth=1)


async def test_an_order_waits_for_a_switch(floor: Floor) -> None:
    """It is queued while the switch is away, also if that was killed while it asked for orders, and rings after."""
    await floor.over()
    office = floor.office
    async with asyncio.timeout(WAIT_S):
        order = await office.order(21)
        await floor.switch.kill()
        call_id = await office.order_call(order, orders.ANSWERS)
        assert (await office.comes_to(order, "queued"))["call_id"] == call_id
        await floor.switch.restart()
        agent = await office.trunk.call_to(order.caller)
        talk = await orders.heard(order, agent, await office.rung(order, agent))
        await talk.end()
        (call,) = await office.filed(order)
        assert call["call_id"] == call_id


async def test_no_log_names_a_phone(floor: Floor) -> None:
    await floor.over()
    said = floor.switch.logs() + "\n".join(floor.office.server.said)
    for number in {*floor.office.phones, *floor.office.trunk.callees}:
        assert number not in said
