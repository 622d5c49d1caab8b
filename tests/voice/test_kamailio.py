"""What Kamailio lets pass between two carriers that tell more than they should, beside the suite's calls."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.voice.kamailio import Kamailio
from tests.voice.office import HOST, Office, opened_office
from tests.voice.switches import NotToBeHad
from tests.voice.talk import Order
from vnum.servers import Endpoints
from vnum.voice.softphone.call import Call, Manners
from vnum.voice.softphone.phone import Phone
from vnum.voice.softphone.sip import Address, Line, Message, user_in

pytestmark = [pytest.mark.voice, pytest.mark.asyncio(loop_scope="module")]

WAIT_S = 60
TELLING = (
    "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Diversion", "History-Info", "Call-Info",
    "Subject", "Organization", "User-Agent", "Server", "Reason", "Warning", "Referred-By", "X-Whatever",
)  # fmt: skip


def telling(message: Message) -> Message:
    """With the sender's number wherever it can stand."""
    if number := user_in(message.get("contact")):
        message.headers += [(name.lower(), f'"{number}" <sip:{number}@example.com>') for name in TELLING]
        message.headers.append(("content-disposition", f"session;n={number}"))
        message.body = message.body.replace("o=-", f"o={number}").replace("s=-", f"s={number}\r\ni={number}")
    return message


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """All phones tell more than they should."""
    request, answer = Line.request, Line.answer

    def told(self: Line, message: Message, to: Address) -> None:
        request(self, telling(message), to)

    def told_back(self: Line, asked: Message, message: Message, to: Address) -> None:
        answer(self, asked, telling(message), to)

    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Line, "request", told)
            patched.setattr(Line, "answer", told_back)
            async with opened_office(endpoints, tmp_path_factory.mktemp("telling"), Kamailio()) as (opened, _):
                yield opened
    except NotToBeHad as why:
        pytest.skip(str(why))


def check_quiet(office: Office, order: Order) -> None:
    """Each knows his own number, the host, and no header that nobody needs."""
    ((out, came),) = office.pairs(order)
    office.check_numbers(out, came, order)
    for message in (one for call in (out, came) for one in call.seen if not one.sent):
        passed = {name for name, _ in message.headers} & {name.lower() for name in TELLING} - {"server"}
        assert not passed, message.first


async def answered_within(call: Call, method: str) -> int:
    """The final status of the request of that name, which is sent."""
    sent = call.send(method, call.offer if method == "UPDATE" else "")
    while True:
        for one in call.seen:
            if one.status and one.status >= 200 and one.method == method and one.number == sent.number:
                return one.status
        await asyncio.sleep(0.02)


async def test_neither_side_of_a_call_is_told_more_than_the_host(office: Office) -> None:
    async with asyncio.timeout(WAIT_S):
        for n, hangs_up in enumerate(("caller", "callee")):
            order = await office.order(n)
            talk = await office.connect(order)
            for side in (talk.out, talk.came):
                assert await answered_within(side, "UPDATE") == 200
            await talk.both_ways(since=talk.came.acknowledged)
            (talk.out if hangs_up == "caller" else talk.came).hang_up()
            await talk.over()
            (call,) = await office.filed(order)
            assert call["release_dir"] == n + 1
            check_quiet(office, order)


@pytest.mark.parametrize(
    ("n", "caller", "user", "final"),
    [
        (20, "13700000020", "{host};ext={extension}", 200),
        (21, "+8613700000021", "+86{host}{extension}", 200),
        (22, "13700000022", "0086{host};ext={extension};phone-context=x", 200),
        (23, "anonymous", "{host}{extension}", 200),
        (25, "13700000025", "{host}", 404),
        (26, "13700000026", "someone", 404),
        (27, "13700000027", "1380", 404),
    ],
)
async def test_how_numbers_arrive(office: Office, n: int, caller: str, user: str, final: int) -> None:
    async with asyncio.timeout(WAIT_S):
        order = await office.order(n)
        dialled = user.format(host=HOST, extension=order.binding.extension)
        async with Phone(caller, order.tones[0]) as phone:
            host, port = office.switch.address
            out = await phone.dial(f"sip:{dialled}@{host}:{port}", (host, port))
            if final == 200:
                await (await office.trunk.call_to(order.callee)).until("acknowledged")
                out.hang_up()
                await out.until("ended")
                await office.filed(order)
            await out.until("ended")
        assert out.final == final


async def test_transfers_are_not_passed_on(office: Office) -> None:
    async with asyncio.timeout(WAIT_S):
        order = await office.order(5)
        talk = await office.connect(order)
        for side, other in ((talk.out, talk.came), (talk.came, talk.out)):
            assert await answered_within(side, "REFER") == 405
            assert not [one for one in other.seen if not one.sent and one.status is None and one.method == "REFER"]
        await talk.end()
        await office.filed(order)


@pytest.mark.parametrize(("n", "final"), [(10, 486), (11, 603)])
async def test_a_no_tells_nothing(office: Office, n: int, final: int) -> None:
    async with asyncio.timeout(WAIT_S):
        order = await office.order(n, manners=Manners(final=final))
        out = await office.dial(order)
        await out.until("ended")
        assert out.final == final
        await office.filed(order)
        check_quiet(office, order)
