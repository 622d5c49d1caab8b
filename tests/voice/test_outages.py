"""What fails while people talk: vnum, PostgreSQL, the switch, each killed with SIGKILL under twenty calls.

Calls that run go on (unless the switch itself died), new ones are refused, and once everything is back every answered
call is charged exactly once. PostgreSQL is one of the test's own, with the settings of the product.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import psutil
import pytest
import pytest_asyncio

from tests.voice.known import marked, office_with
from tests.voice.office import Office
from tests.voice.switches import ROUTE_TIMEOUT_S, posted
from tests.voice.talk import Talk
from vnum.servers import Endpoints, open_servers

pytestmark = pytest.mark.asyncio(loop_scope="module")

DURABLE = {"shared_buffers": "32MB"}
WAIT_S = 120
CALLS = 20
OUT_OF_ORDER = 27


class Servers:
    """PostgreSQL and Valkey that may be killed and opened again."""

    def __init__(self, folder: Any) -> None:
        self._folder = folder

    async def open(self) -> Endpoints:
        self._opened = open_servers(self._folder, postgres_settings=DURABLE)
        self.endpoints: Endpoints = await self._opened.__aenter__()
        return self.endpoints

    async def close(self) -> None:
        await self._opened.__aexit__(None, None, None)

    async def kill_postgres(self) -> None:
        connection = await asyncpg.connect(self.endpoints.postgres_admin_dsn)
        query = "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int"
        postmaster = psutil.Process(await connection.fetchval(query))
        for process in [postmaster, *postmaster.children(recursive=True)]:
            process.send_signal(signal.SIGKILL)
        connection.terminate()
        await self.close()


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=marked(),
)
async def hall(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Office, Servers]]:
    folder = tmp_path_factory.mktemp("outages")
    servers = Servers(folder / "servers")
    await servers.open()
    try:
        async with office_with(request.param, servers.endpoints, folder) as office:
            yield office, servers
    finally:
        await servers.close()


async def twenty(office: Office, first: int) -> list[Talk]:
    """As many calls, all answered and heard both ways."""
    orders = [await office.order(n) for n in range(first, first + CALLS)]
    talks = await asyncio.gather(*(office.connect(order) for order in orders))
    assert all(talk.came.talking for talk in talks)
    return list(talks)


async def hear_on(talks: list[Talk]) -> None:
    """They all still hear each other, by what was said from now on."""
    since = max(talk.out.sound.spoke_until for talk in talks)
    await asyncio.gather(*(talk.both_ways(since=since) for talk in talks))


async def refused(office: Office, n: int) -> None:
    """A new call is turned away, and its callee not rung."""
    order = office.spare[n]
    out = await office.dial(order)
    await out.until("ended")
    assert order.callee not in office.trunk.rung
    assert not out.sound.hears(order.tones[1])


async def charged_once(office: Office, talks: list[Talk]) -> None:
    await posted(office.switch)
    for talk in talks:
        (call,) = await office.filed(talk.order)
        office.check_talk(talk, call)
        office.check_numbers(talk.out, talk.came, talk.order)


async def test_vnum_is_killed_under_twenty_calls(hall: tuple[Office, Servers]) -> None:
    office, _ = hall
    async with asyncio.timeout(WAIT_S):
        office.spare[90] = await office.order(90)
        talks = await twenty(office, 100)
        await office.server.kill()
        await hear_on(talks)
        await refused(office, 90)  # the connection is refused
        await asyncio.gather(*(talk.end() for talk in talks))
        assert office.switch.unposted() == CALLS
        await office.server.start()
        await charged_once(office, talks)
        await connects_again(office, 90)


async def test_postgres_is_killed_under_twenty_calls(hall: tuple[Office, Servers]) -> None:
    office, servers = hall
    async with asyncio.timeout(WAIT_S):
        office.spare[91] = await office.order(91)
        talks = await twenty(office, 200)
        await servers.kill_postgres()
        await hear_on(talks)
        await refused(office, 91)
        await asyncio.gather(*(talk.end() for talk in talks))
        assert office.switch.unposted() == CALLS
        await servers.open()
        await charged_once(office, talks)
        await connects_again(office, 91)


async def test_vnum_answers_too_late(hall: tuple[Office, Servers]) -> None:
    """It takes connections and says nothing: the caller is turned away after the switch's time-out."""
    office, _ = hall
    async with asyncio.timeout(WAIT_S):
        order = office.spare[92] = await office.order(92)
        if office.switch.prompts:
            out = await office.dial(order)
            await out.until("answered")
            await out.sound.until_audible()
        office.server.process.suspend()
        try:
            if office.switch.prompts:
                await out.key(order.binding.extension)
                await out.until("ended")
                assert out.ended - out.sound.spoke_until < WAIT_S
            await refused(office, 92)
        finally:
            office.server.process.resume()
        await connects_again(office, 92)
    assert ROUTE_TIMEOUT_S < WAIT_S


async def test_the_switch_is_killed_under_twenty_calls(hall: tuple[Office, Servers]) -> None:
    """Its next start reports each call up to the last sign of life: once, and never for more than they talked."""
    office, _ = hall
    async with asyncio.timeout(WAIT_S):
        talks = await twenty(office, 300)
        ended = await twenty(office, 400)
        await asyncio.gather(*(talk.end() for talk in ended[:10]))
        await asyncio.gather(*(office.filed(talk.order) for talk in ended[:10]))
        await office.switch.kill()
        killed = max(talk.out.sound.spoke_until for talk in talks)
        await office.switch.restart()
        await posted(office.switch)
        await charged_once(office, ended[:10])
        for talk in [*talks, *ended[10:]]:
            (call,) = await office.filed(talk.order)
            assert (call["release_cause"], call["release_dir"]) == (OUT_OF_ORDER, 0)
            assert 0 <= call["seconds"] <= killed - talk.came.answered + 0.1
        orders = [talk.order.binding.order_id for talk in [*talks, *ended]]
        assert await office.count("calls WHERE order_id = ANY($1)", orders) == 2 * CALLS
        for talk in [*talks, *ended[10:]]:  # as phones that hear nothing: their sound would come to the next call
            talk.out.sound.stop()
            talk.came.sound.stop()
        office.spare[93] = await office.order(93)
        await connects_again(office, 93)


async def connects_again(office: Office, n: int) -> None:
    talk = await office.connect(office.spare[n])
    await talk.end()
    calls = await office.calls_of(office.spare[n])
    while not any("answer_time" in call for call in calls):
        calls = await office.calls_of(office.spare[n])
    (call,) = [call for call in calls if "answer_time" in call]
    office.check_talk(talk, call)
