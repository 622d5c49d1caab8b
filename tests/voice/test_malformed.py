"""Messages in which something is wrong, thrown at the switches that are obtained: they are answered where one can be
made, the switch goes on, and no log quotes the numbers in them. (The embedded one: `test_hostile_sip.py`.)"""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.voice.attacker import Attacker, malformed
from tests.voice.known import office_with
from tests.voice.office import Office
from vnum.servers import Endpoints
from vnum.voice.softphone.sip import Message, sdp

pytestmark = [pytest.mark.voice, pytest.mark.asyncio(loop_scope="module")]

WAIT_S = 60
CALLER = "13755550000"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["asterisk", "kamailio"])
async def office(
    request: pytest.FixtureRequest, endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Office]:
    async with office_with(request.param, endpoints, tmp_path_factory.mktemp("malformed")) as opened:
        yield opened


def odd(whole: bytes) -> dict[str, bytes]:
    """An INVITE in which one line is wrong."""
    return malformed(whole) | {
        "a first line of noise": re.sub(rb"^INVITE \S+", b"INVITE sip:@@@:::", whole),
        "another scheme": re.sub(rb"^INVITE \S+", b"INVITE http://x/", whole),
        "a From of noise": re.sub(rb"\r\nFrom:[^\r]*", b"\r\nFrom: <<<<>>;;" + CALLER.encode(), whole),
        "a To of noise": re.sub(rb"\r\nTo:[^\r]*", b'\r\nTo: "abc <sip:', whole),
        "a Contact of noise": re.sub(rb"\r\nContact:[^\r]*", b"\r\nContact: <sip:", whole),
        "no To": re.sub(rb"\r\nTo:[^\r]*", b"", whole),
        "no CSeq": re.sub(rb"\r\nCseq:[^\r]*", b"", whole),
        "no Contact": re.sub(rb"\r\nContact:[^\r]*", b"", whole),
        "a Via of noise": whole.replace(b"\r\nMax", b"\r\nVia: nonsense\r\nMax"),
        "a line of noise": whole.replace(b"\r\nMax", b"\r\nnonsense without colon\r\nMax"),
        "hops of noise": re.sub(rb"Max-Forwards:[^\r]*", b"Max-Forwards: abc", whole),
        "an identity of noise": whole.replace(b"\r\nMax", b"\r\nP-Asserted-Identity: <<<nonsense\r\nMax"),
        "a length of noise": re.sub(rb"Content-Length:[^\r]*", b"Content-Length: abc", whole),
    }


ANSWERED = {
    "kamailio": {
        "a length beyond its end": 400,
        "another method in CSeq": 400,
        "a CSeq too large": 400,
        "a first line of noise": 400,
        "another scheme": 400,
        "a From of noise": 400,
        "hops of noise": 483,
        "an identity of noise": 404,
    },
    "asterisk": {"SDP of noise": 400, "SDP with no port": 400, "no Contact": 400, "SDP with no address": 488},
}
"""By which status. Of the rest a switch can not make an answer (Via, From, To, Call-ID or CSeq can not be read), or it
takes it for a call like any other."""


def final_answers(attacker: Attacker, asked: Message) -> list[int]:
    """Also those that name the method that the request gave to itself in CSeq."""
    return [one.status for one in attacker.heard if one.call_id == asked.call_id and (one.status or 0) >= 200]


async def test_what_can_be_answered_is(office: Office) -> None:
    async with asyncio.timeout(WAIT_S), Attacker(office) as attacker:
        for name in odd(b""):
            asked = attacker.compose("INVITE", body=sdp(40000, (0,), 101))
            attacker.throw(odd(asked.encode())[name])
            if status := ANSWERED[office.switch.name].get(name):
                while not (told := final_answers(attacker, asked)):  # noqa: ASYNC110 (as in ask)
                    await asyncio.sleep(0.01)
                assert told[0] == status, name
            assert await attacker.ask(attacker.compose("OPTIONS")) == 200, name
    said = office.switch.logs()
    assert CALLER not in said
    assert "Call-Id:" not in said
