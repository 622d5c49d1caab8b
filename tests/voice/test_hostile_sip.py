"""What is thrown at the embedded switch over SIP, by strangers and by those who may ring, and that it goes on working.

One office; after each attack a call goes through, or the port answers as before.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.voice.attacker import Attacker, malformed
from tests.voice.embedded import Embedded
from tests.voice.office import HOST, SLACK_S, Office, Talk, instant, opened_office
from vnum.servers import Endpoints
from vnum.voice.softphone.call import Keys, Manners, Outgoing
from vnum.voice.softphone.phone import Phone
from vnum.voice.softphone.sip import LOOPBACK, Message, sdp, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT_S = 60
CALLS = 8
STRANGER = "127.0.0.2"
"""Also this machine, but not among those that may ring."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    switch = Embedded(more={"ALLOW": f"{LOOPBACK}/32", "CALLS": str(CALLS)})
    async with opened_office(endpoints, tmp_path_factory.mktemp("hostile"), switch) as (opened, _):
        yield opened


async def lives(office: Office) -> None:
    """The port answers."""
    async with Attacker(office) as somebody:
        assert await somebody.ask(somebody.compose("OPTIONS")) == 200


async def metric(office: Office, name: str) -> float:
    assert isinstance(office.switch, Embedded)
    async with office.http.get(f"http://{office.switch.metrics}/metrics") as page:
        found = re.search(rf"^{name} (\S+)$", await page.text(), re.M)
    assert found, name
    return float(found[1])


async def test_who_is_not_allowed_is_not_heard(office: Office) -> None:
    before = await metric(office, "vnum_switch_unheard_total")
    async with Attacker(office, STRANGER) as stranger:
        for method in ("OPTIONS", "INVITE", "BYE", "REGISTER"):
            stranger.throw(stranger.compose(method, body=sdp(40000, (0,), 101)).encode())
        await lives(office)  # what came before that was read, if it ever was
        assert stranger.heard == []
    assert await metric(office, "vnum_switch_unheard_total") == before + 4


async def test_malformed_messages_are_survived(office: Office) -> None:
    async with Attacker(office) as attacker:
        for name in malformed(attacker.compose("INVITE", body=sdp(40000, (0,), 101)).encode()):
            whole = attacker.compose("INVITE", body=sdp(40000, (0,), 101)).encode()
            attacker.throw(malformed(whole)[name])
            try:
                await lives(office)
            except TimeoutError:
                pytest.fail(f"it did not survive {name}")
        await clear(attacker, office)
    await a_call_goes_through(office, 1)


async def clear(attacker: Attacker, office: Office) -> None:
    """Gives up whatever calls of his are under way, until none is."""
    async with asyncio.timeout(WAIT_S):
        while await busy(office):
            for answer in [one for one in attacker.heard if one.method == "INVITE"]:
                kept = {name: answer.get(name) for name in ("via", "from", "to", "call-id")}
                ended = "BYE" if answer.status == 200 else "CANCEL"
                if ended == "CANCEL":
                    kept["to"] = kept["to"].partition(";tag")[0]
                number = answer.number + 1 if ended == "BYE" else answer.number
                attacker.throw(
                    attacker.compose(
                        ended, cseq=f"{number} {ended}", **{n.replace("-", "_"): v for n, v in kept.items()}
                    ).encode()
                )
            await asyncio.sleep(0.1)


async def busy(office: Office) -> float:
    assert isinstance(office.switch, Embedded)
    async with office.http.get(f"http://{office.switch.metrics}/metrics") as page:
        return sum(map(float, re.findall(r"^vnum_switch_calls\{[^}]*\} (\S+)$", await page.text(), re.M)))


async def a_call_goes_through(office: Office, n: int) -> None:
    async with asyncio.timeout(WAIT_S):
        order = await office.order(n)
        talk = await office.connect(order)
        await talk.end()
        (call,) = await office.filed(order)
        office.check_talk(talk, call)
        office.check_numbers(talk.out, talk.came, order)
        assert abs(instant(call["ring_time"]).timestamp() - talk.came.rang) <= SLACK_S


# Users of From, as they stand on the wire.
CALLERS = [
    "%0d%0aX-Evil:%20yes",
    "1%00373",
    "%22,%22callee%22:%22+8613900000000",
    "%7b%7d",
    "%1b[31mred",
    "..%2f..%2fetc%2fpasswd",
    "%ff%fe%fd",
    "%E2%80%AE73731",
    "';DROP%20TABLE%20calls;--",
    "1" * 250,
]


async def test_a_callers_name_is_no_code(office: Office) -> None:
    async with Attacker(office) as attacker:
        for user in CALLERS:
            before = len(office.switch.logs())
            ringing = attacker.compose(
                "INVITE", body=sdp(40000, (0,), 101), **{"from": f'"\\"\r\n x" <sip:{user}@127.0.0.1>;tag={token()}'}
            )
            await attacker.ask(ringing, final=False)
            await clear(attacker, office)
            said = office.switch.logs()[before:]
            assert not [line for line in said.splitlines() if line.startswith("X-Evil") or "\x1b[31mred" in line], said
            assert "call_crashed" not in said
    await lives(office)
    await a_call_goes_through(office, 2)


async def test_more_calls_than_there_are_places(office: Office) -> None:
    full = await metric(office, "vnum_switch_full_total")
    async with Attacker(office) as attacker:
        flood = [attacker.compose("INVITE", body=sdp(40000, (0,), 101)) for _ in range(60)]
        for one in flood:
            attacker.throw(one.encode())
        async with asyncio.timeout(WAIT_S):
            while sum(one.status == 486 for one in attacker.heard) < 60 - CALLS:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert await busy(office) <= CALLS
        assert await metric(office, "vnum_switch_full_total") > full
        await clear(attacker, office)
    await a_call_goes_through(office, 3)


async def test_a_flood_of_keys(office: Office) -> None:
    order = await office.order(4)
    async with asyncio.timeout(WAIT_S):
        out = await office.dial(order)
        await out.until("answered")
        for _ in range(300):
            out.send("INFO", "Signal=\0\xff;DROP\r\nDuration=99999999999\r\n" + "x" * 500, "application/dtmf-relay")
            out.send("INFO", "Signal=" + "9" * 400 + "\r\n", "application/dtmf-relay")
        flood_events(out, 3_000)
        await lives(office)
        out.leave()
        await out.until("ended")
    assert office.trunk.rung.get(order.callee) is None
    await a_call_goes_through(office, 5)


def flood_events(out: Outgoing, count: int) -> None:
    """Keys, each of one packet that is its end (RFC 4733), from the phone's own RTP port."""
    assert out.media is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        for n in range(count):
            head = bytes([0x80, 0x80 | (out.media.events or 101)]) + (n & 0xFFFF).to_bytes(2, "big")
            event = bytes([n % 256, 0x8A, 0x03, 0x20])
            port.sendto(head + (n * 800).to_bytes(4, "big") + b"\1\2\3\4" + event, out.media.address)


async def test_what_others_say_in_a_call_of_two(office: Office) -> None:
    """BYE and CANCEL of who is in neither; a transfer, a hold and another number by who is."""
    order = await office.order(6)
    async with asyncio.timeout(WAIT_S):
        talk = await office.connect(order)
        assert talk.out.invite is not None
        async with Attacker(office) as third, Attacker(office, STRANGER) as stranger:
            shared: dict[str, Any] = {"call_id": talk.out.call_id, "cseq": "77 BYE"}
            assert await third.ask(third.compose("BYE", **shared)) == 481
            assert await third.ask(third.compose("CANCEL", call_id=talk.out.call_id)) == 481
            known = {"from": talk.out.local, "to": talk.out.remote} | shared
            stranger.throw(stranger.compose("BYE", **known).encode())
        await refer(talk.out, "sip:13999999999@127.0.0.1")
        reinvite(talk.out, "sendonly")
        reinvite(talk.out, "sendrecv")
        await talk.both_ways(since=talk.came.acknowledged)
        assert talk.out.talking
        assert talk.came.talking
        await talk.end()
        await office.filed(order)
    office.check_numbers(talk.out, talk.came, order)
    assert len(office.trunk.rung[order.callee]) == 1
    assert not [one for one in office.trunk.line.seen if "13999999999" in one.text]


async def refer(out: Outgoing, to: str) -> None:
    out.sequence += 1
    message = out.compose("REFER")
    message.headers.append(("refer-to", f"<{to}>"))
    out.seen.append(message)
    out.line.request(message, (LOOPBACK, int(out.target.rpartition(":")[2].partition(";")[0].rstrip(">"))))
    while not any(one.method == "REFER" and one.status and one.number == message.number for one in out.seen):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def reinvite(out: Outgoing, direction: str) -> None:
    out.send("INVITE", out.offer.replace("sendrecv", direction))


async def test_a_callee_who_sends_the_call_elsewhere(office: Office) -> None:
    order = await office.order(7, manners=Manners(final=302))
    async with asyncio.timeout(WAIT_S):
        out = await office.dial(order)
        await office.key(out, order.binding.extension, way=Keys.INFO)
        await out.until("ended")
        (call,) = await office.filed(order)
    assert call["seconds"] == 0
    assert len(office.trunk.rung[order.callee]) == 1


async def test_a_callee_who_answers_twice(office: Office) -> None:
    """As a forking carrier's second branch would: the first goes on, and there is one record."""
    order = await office.order(8)
    async with asyncio.timeout(WAIT_S):
        talk = await office.connect(order)
        first = next(one for one in talk.came.seen if one.sent and one.status == 200)
        headers = [
            (name, again if name == "to" else value) for name, value in first.headers for again in [other(value)]
        ]
        office.trunk.line.transport.sendto(Message(first.first, headers, first.body).encode(), office.switch.address)
        await lives(office)
        seen = len(talk.came.sound.heard)
        await talk.both_ways(since=talk.came.sound.heard[seen - 1].at)
        await talk.end()
        (call,) = await office.filed(order)
    office.check_talk(talk, call)


def other(to: str) -> str:
    return re.sub(r";tag=\w+", f";tag={token()}", to)


async def test_a_callees_early_sound_is_not_heard(office: Office) -> None:
    """An announcement of his carrier could name his number; and nothing is charged for it."""
    order = await office.order(9, manners=Manners(ring_s=1.0))
    async with asyncio.timeout(WAIT_S):
        out = await office.dial(order)
        await office.key(out, order.binding.extension)
        came = await office.rung(order, out)
        assert came.invite is not None
        ringing = next(one for one in came.seen if one.sent and one.status == 180)
        headers = [*ringing.headers, ("content-type", "application/sdp")]
        early = Message("SIP/2.0 183 Session Progress", headers, sdp(came.sound.port, (0,), 101))
        office.trunk.line.transport.sendto(early.encode(), office.switch.address)
        came.hear(came.invite.body)
        talk = Talk(order, out, came)
        await came.until("acknowledged")
        await talk.both_ways(since=came.answered)
        await talk.end()
        (call,) = await office.filed(order)
    office.check_talk(talk, call)
    assert not [one for one in out.sound.heard if one.at < came.answered and one.holds(order.tones[1])]


async def test_a_host_that_rings_itself(office: Office) -> None:
    """X in From is a stranger like any other: the recipient sees X, is rung once, and nobody in a circle."""
    order = await office.order(10)
    async with Phone(HOST, 900) as phone, asyncio.timeout(WAIT_S):
        to = f"sip:{HOST}{order.binding.extension}@{LOOPBACK}:{office.switch.address[1]}"
        out = await phone.dial(to, office.switch.address)
        came = await office.trunk.call_to(order.callee)
        await came.until("acknowledged")
        out.leave()
        await out.until("ended")
        await office.filed(order)
        office.check_numbers(out, came, order)
    assert len(office.trunk.rung[order.callee]) == 1


async def test_no_number_is_in_any_log(office: Office) -> None:
    said = office.switch.logs() + "\n".join(office.server.said)
    for number in {*office.phones, *office.trunk.callees, "13755550000", "13999999999"}:
        assert number not in said
    assert "unhandled request" not in said
    assert "unhandled response" not in said
    assert "msg decode err" not in said
    assert await metric(office, "vnum_switch_crashed_total") == 0
