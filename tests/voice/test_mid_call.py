"""What a party asks for in the middle of a call, on each switch: to be held, to be heard elsewhere, to be moved.

Nobody may be moved to a number of his choice, and what a party does with his own leg neither ends the record nor makes
a second one.
"""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.voice.embedded import Embedded
from tests.voice.known import marked, office_with
from tests.voice.office import HOST, Office, Talk
from tests.voice.switches import uri
from vnum.servers import Endpoints
from vnum.voice.softphone.call import Call
from vnum.voice.softphone.phone import Phone
from vnum.voice.softphone.sip import EVENTS, Message, parameter, sdp
from vnum.voice.softphone.sound import Sound

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT_S = 60
ELSEWHERE = "13999999999"
HELD_S = 0.5
SIDES = ("caller", "callee")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=marked())
async def office(
    request: pytest.FixtureRequest, endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Office]:
    async with office_with(request.param, endpoints, tmp_path_factory.mktemp("mid")) as opened:
        yield opened


def side_of(talk: Talk, side: str) -> Call:
    return talk.out if side == "caller" else talk.came


async def answered(call: Call, sent: Message) -> int:
    """The final status of a request of ours."""
    while True:
        for one in call.seen:
            if not one.sent and one.status and one.status >= 200 and one.branch == sent.branch:
                return one.status
        await asyncio.sleep(0.01)


async def offered(call: Call, sound: Sound, direction: str, version: int) -> int:
    """An INVITE within the call: the sound of this phone is there, and goes that way, from now on."""
    host = sound.transport.get_extra_info("sockname")[0]
    offer = sdp(sound.port, call.ours, EVENTS, host).replace("sendrecv", direction)
    return await answered(call, call.send("INVITE", offer.replace(" 1 IN IP4", f" {version} IN IP4", 1)))


async def check_charged_once(office: Office, talk: Talk) -> None:
    """To the end as ever; one record, of the whole talk."""
    await talk.end()
    (call,) = await office.filed(talk.order)
    office.check_talk(talk, call)
    office.check_numbers(talk.out, talk.came, talk.order)
    assert await office.count("call_states WHERE call_id = $1 AND state = 'failed'", call["call_id"]) == 0


async def hear_each_other_from_now_on(talk: Talk) -> None:
    heard = [frame.at for call in (talk.out, talk.came) for frame in call.sound.heard[-1:]]
    await talk.both_ways(since=max(heard))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
async def test_a_hold_is_part_of_the_talk(office: Office, side: str, direction: str) -> None:
    async with asyncio.timeout(WAIT_S):
        order = await office.order(SIDES.index(side) + (2 if direction == "inactive" else 0))
        talk = await office.connect(order)
        holds = side_of(talk, side)
        assert await offered(holds, holds.sound, direction, 2) == 200
        await asyncio.sleep(HELD_S)
        assert talk.out.talking
        assert talk.came.talking
        assert await offered(holds, holds.sound, "sendrecv", 3) == 200
        await hear_each_other_from_now_on(talk)
        await check_charged_once(office, talk)


@pytest.mark.parametrize("side", SIDES)
async def test_a_party_is_heard_at_his_new_address(office: Office, side: str) -> None:
    async with asyncio.timeout(WAIT_S):
        order = await office.order(4 + SIDES.index(side))
        talk = await office.connect(order)
        moves = side_of(talk, side)
        before, moves.sound = moves.sound, await Sound.open(moves.sound.hz)
        assert await offered(moves, moves.sound, "sendrecv", 2) == 200
        before.stop()
        heard = len(before.heard)
        await hear_each_other_from_now_on(talk)
        assert len(before.heard) == heard
        await check_charged_once(office, talk)


async def check_nobody_moved(office: Office, talk: Talk, elsewhere: Phone) -> None:
    """Both hear each other still; nothing of it came to who was named, nor to the trunk."""
    await hear_each_other_from_now_on(talk)
    assert elsewhere.line.seen == []
    assert len(office.trunk.rung[talk.order.callee]) == 1
    assert not [one for one in office.trunk.line.seen if not one.sent and ELSEWHERE in one.text]


def named(office: Office, elsewhere: Phone) -> list[str]:
    """Where a party might want somebody to be moved."""
    host, port = elsewhere.line.address
    trunk = office.trunk.line.address
    return [
        f"<sip:{ELSEWHERE}@{host}:{port}>",
        f"<sip:+86{ELSEWHERE}@{trunk[0]}:{trunk[1]}>",
        f"<{uri(office.switch, HOST, None)}>",
        f"<tel:+86{ELSEWHERE}>",
    ]


@pytest.mark.parametrize("side", SIDES)
async def test_nobody_is_transferred(office: Office, side: str) -> None:
    """By REFER: 202 and then a NOTIFY that it failed (embedded), 405 (Kamailio), no answer at all (Asterisk)."""
    async with asyncio.timeout(WAIT_S), Phone(ELSEWHERE, 900) as elsewhere:
        order = await office.order(6 + SIDES.index(side))
        talk = await office.connect(order)
        asks, other = side_of(talk, side), side_of(talk, SIDES[1 - SIDES.index(side)])
        for n, target in enumerate(named(office, elsewhere), 1):
            sent = asks.send("REFER", refer_to=target, referred_by=asks.contact)
            if office.switch.name == "asterisk":
                assert await answered(asks, asks.send("OPTIONS")) == 200  # it has read it, and says nothing
            elif await answered(asks, sent) == 202:
                assert "200" not in await told_of(asks, n)
            else:
                assert 405 in [one.status for one in asks.seen if one.branch == sent.branch]
        assert not [
            one for one in other.seen if not one.sent and one.status is None and one.method in ("REFER", "NOTIFY")
        ]
        await check_nobody_moved(office, talk, elsewhere)
        await check_charged_once(office, talk)


async def told_of(call: Call, nth: int) -> str:
    """How the nth transfer went, as the switch tells at its end."""
    while True:
        told = [one for one in call.seen if not one.sent and one.method == "NOTIFY"]
        if len(ends := [one.body for one in told if "terminated" in one.get("subscription-state")]) == nth:
            return ends[-1]
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("side", SIDES)
async def test_nobody_takes_a_call_over(office: Office, side: str) -> None:
    """By an INVITE that replaces a leg, with all that its party knows of it: the other party is not given to who comes.
    He stays where he is, or his call is over as by a hang-up of that party."""
    async with asyncio.timeout(WAIT_S), Phone(ELSEWHERE, 900) as elsewhere:
        order = await office.order(8 + SIDES.index(side))
        talk = await office.connect(order)
        leg = side_of(talk, side)
        host, port = office.switch.address
        thieves = []
        for ours, theirs in ((leg.remote, leg.local), (leg.local, leg.remote)):
            tags = f"to-tag={parameter(ours, 'tag')};from-tag={parameter(theirs, 'tag')}"
            replaces = f"{leg.call_id};{tags}"
            thieves.append(
                await elsewhere.dial(f"sip:{HOST}@{host}:{port}", (host, port), replaces=replaces, require="replaces")
            )
            while not thieves[-1].final:
                await thieves[-1].changed.wait()
        if leg.talking:
            await hear_each_other_from_now_on(talk)
            talk.out.hang_up()
        await talk.over()
        (call,) = await office.filed(order)
        office.check_talk(talk, call)
        office.check_numbers(talk.out, talk.came, order)
        for thief in thieves:
            thief.hang_up()
            await thief.until("ended")
            assert not any(thief.sound.hears(hz) for hz in order.tones)
        assert len(office.trunk.rung[order.callee]) == 1
        await idle(office)


async def idle(office: Office) -> None:
    """No call is left over; only the embedded switch says so."""
    running = ["1"] if isinstance(office.switch, Embedded) else []
    while sum(map(float, running)):
        async with office.http.get(f"http://{office.switch.metrics}/metrics") as page:  # type: ignore[attr-defined]
            running = re.findall(r"^vnum_switch_calls\{[^}]*\} (\S+)$", await page.text(), re.M)
        await asyncio.sleep(0.01)


ASKED = {
    "embedded": {"OPTIONS": 200, "INFO": 200, "UPDATE": 200, "MESSAGE": 501, "SUBSCRIBE": 400, "NONSENSE": 501},
    "asterisk": {"OPTIONS": 200, "INFO": 200, "UPDATE": 200},
    "kamailio": {"OPTIONS": 200, "INFO": 200, "UPDATE": 200, "MESSAGE": 405, "SUBSCRIBE": 405, "NONSENSE": 405},
}


async def test_what_is_asked_in_a_call_is_answered(office: Office) -> None:
    """By OPTIONS and UPDATE above all: carriers ask so whether a call still lives, and end it when nobody says so."""
    async with asyncio.timeout(WAIT_S):
        talk = await office.connect(await office.order(10))
        for side in (talk.out, talk.came):
            for method, status in ASKED[office.switch.name].items():
                assert await answered(side, side.send(method)) == status, method
        await hear_each_other_from_now_on(talk)
        await check_charged_once(office, talk)
