"""The contract's client: what is sent, and that nothing but a usable answer in time connects a call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, get_args

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.voice.scripted import START
from vnum.service.call_record import CallRecord
from vnum.service.marks import NewMark
from vnum.service.route import Decision, RouteRequest
from vnum.voice.contract import Answer, Dial, Mark, NoAnswer, Progress, Record, Said, Vnum
from vnum.voice.dials import Teller, take_orders

KEY = "vk_test"
CONNECT = {
    "action": "connect",
    "binding_id": "01890000-0000-7000-8000-000000000001",
    "callee": "+8613812345678",
    "display_number": "18400913965",
    "max_seconds": 10800,
}

Says = Callable[[web.Request, Any], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(says: Says, *, route_s: float = 3.0) -> AsyncIterator[Vnum]:
    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        return await says(request, await request.json())

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    async with TestServer(app) as server:
        vnum = Vnum(str(server.make_url("/")), KEY, route_s=route_s)
        try:
            yield vnum
        finally:
            await vnum.close()


def always(status: int, body: bytes) -> Says:
    async def says(request: web.Request, sent: Any) -> web.StreamResponse:
        return web.Response(status=status, body=body)

    return says


async def ask(vnum: Vnum, digits: str | None = "0042") -> Answer:
    return await vnum.route("c-1", "+8613712345678", "18400913965", digits)


@pytest.mark.parametrize("digits", [None, "0042"])
async def test_what_route_is_asked_is_what_the_service_reads(digits: str | None) -> None:
    heard: list[RouteRequest] = []

    async def says(request: web.Request, sent: Any) -> web.StreamResponse:
        assert request.path == "/v1/calls/route"
        heard.append(msgspec.convert(sent, RouteRequest))
        return web.json_response(CONNECT)

    async with serving(says) as vnum:
        answer = await ask(vnum, digits)
    assert answer.connects
    assert heard == [RouteRequest(call_id="c-1", caller="+8613712345678", host="18400913965", digits=digits)]


async def test_every_field_of_a_decision_is_understood() -> None:
    assert set(Decision.__struct_fields__) == set(Answer.__struct_fields__)


# What comes back -> it is rejected with cause 41 and the prompt that says so.
UNUSABLE: dict[str, Says] = {
    "no JSON": always(200, b"<html>"),
    "no UTF-8": always(200, b'{"action": "reject", "code": "\xff"}'),
    "nothing": always(200, b""),
    "another action": always(200, b'{"action": "transfer"}'),
    "connect to nobody": always(200, b'{"action": "connect", "display_number": "1", "max_seconds": 5}'),
    "connect showing nothing": always(200, b'{"action": "connect", "callee": "+861", "max_seconds": 5}'),
    "connect for no time": always(
        200, b'{"action": "connect", "callee": "+861", "display_number": "1", "max_seconds": 0}'
    ),
    "connect without a limit": always(200, b'{"action": "connect", "callee": "+861", "display_number": "1"}'),
    "collect no digits": always(200, b'{"action": "collect", "prompt": "extension"}'),
    "401": always(401, msgspec.json.encode(CONNECT)),
    "500": always(500, msgspec.json.encode(CONNECT)),
    "503": always(503, b""),
    "a redirect": always(302, b""),
}


@pytest.mark.parametrize("says", UNUSABLE.values(), ids=UNUSABLE)
async def test_what_is_no_usable_answer_connects_nobody(says: Says) -> None:
    async with serving(says) as vnum:
        answer = await ask(vnum)
    assert (answer.action, answer.cause, answer.prompt, answer.callee) == ("reject", 41, "not_available", None)


async def test_an_answer_that_comes_too_late_connects_nobody() -> None:
    late = asyncio.Event()

    async def says(request: web.Request, sent: Any) -> web.StreamResponse:
        await late.wait()
        return web.json_response(CONNECT)

    async with serving(says, route_s=0.05) as vnum:
        answer = await ask(vnum)
        late.set()
    assert (answer.action, answer.cause) == ("reject", 41)


async def test_a_vnum_that_is_not_there_connects_nobody() -> None:
    vnum = Vnum("http://127.0.0.1:1", KEY, route_s=3)
    assert (await ask(vnum)).cause == 41
    await vnum.close()


async def test_a_record_is_what_the_service_reads() -> None:
    heard: list[CallRecord] = []
    record = Record(
        call_id="c-1",
        host="18400913965",
        extension="0042",
        caller="+8613712345678",
        call_time=START,
        ring_time=START,
        answer_time=START.replace(microsecond=123_000),
        release_time=START.replace(minute=3),
        release_dir=2,
        release_cause=16,
    )

    async def says(request: web.Request, sent: Any) -> web.StreamResponse:
        assert request.path == "/v1/calls/records"
        heard.extend(msgspec.convert(item, CallRecord) for item in sent["items"])
        return web.json_response({"results": [{"call_id": "c-1", "status": "rated", "minutes": 3, "cost": "0.18"}]})

    async with serving(says) as vnum:
        (settled,) = await vnum.report([record])
    assert settled.done
    assert msgspec.structs.asdict(heard[0]) == msgspec.structs.asdict(record)


@pytest.mark.parametrize(
    "says",
    [always(200, b'{"results": []}'), always(200, b"{}"), always(413, b""), always(500, b"")],
    ids=["too few", "none", "413", "500"],
)
async def test_records_without_a_result_each_are_unsettled(says: Says) -> None:
    record = Record(call_id="c-1", host="1", caller="1", call_time=START, release_time=START)
    async with serving(says) as vnum:
        with pytest.raises(NoAnswer):
            await vnum.report([record])


@pytest.mark.parametrize("said", get_args(Said))
async def test_a_mark_is_what_the_service_reads(said: Said) -> None:
    heard: list[NewMark] = []

    async def says(request: web.Request, sent: Any) -> web.StreamResponse:
        assert request.path == "/v1/calls/marks"
        heard.append(msgspec.convert(sent, NewMark))
        return web.json_response({"call_id": "c-1", "mark": said, "new": True})

    async with serving(says) as vnum:
        settled = await vnum.mark(Mark(call_id="c-1", mark=said, at=START))
    assert settled.done
    assert [(new.call_id, str(new.mark), new.at) for new in heard] == [("c-1", said, START)]


# What vnum says to a mark -> whether it is put aside; else it is sent again.
REFUSED: dict[str, tuple[int, bytes, bool]] = {
    "no such call": (404, b'{"code": "call_not_found"}', True),
    "in the future": (422, b'{"code": "time_in_future"}', True),
    "malformed": (400, b'{"code": "invalid_request"}', True),
    "no such path": (404, b'{"code": "not_found"}', False),
    "a 404 of somebody else's": (404, b"<html>", False),
    "a key that ended": (401, b'{"code": "unauthorized"}', False),
    "a key of another role": (403, b'{"code": "forbidden"}', False),
    "too fast": (429, b'{"code": "rate_limited"}', False),
    "too slow": (408, b'{"code": "body_timeout"}', False),
    "out of order": (503, b'{"code": "store_unavailable"}', False),
    "an error": (500, b'{"code": "internal_error"}', False),
    "a redirect": (302, b'{"code": "call_not_found"}', False),
}


@pytest.mark.parametrize(("status", "body", "aside"), REFUSED.values(), ids=REFUSED)
async def test_a_mark_is_given_up_only_when_vnum_itself_refuses_it(status: int, body: bytes, aside: bool) -> None:
    async with serving(always(status, body)) as vnum:
        mark = Mark(call_id="c-1", mark="complaint", at=START)
        if aside:
            settled = await vnum.mark(mark)
            assert (settled.refused, settled.done) == (True, False)
        else:
            with pytest.raises(NoAnswer):
                await vnum.mark(mark)


async def test_orders_are_taken_as_there_are_places() -> None:
    begun: list[Dial] = []
    asked: list[Any] = []
    done = asyncio.Event()

    async def says(request: web.Request, sent: Any) -> web.StreamResponse:
        assert request.path == "/v1/calls/dials/take"
        asked.append(sent)
        dial = {"call_id": "d-1", "agent": "+861", "host": "1", "extension": "2", "display_number": "1"}
        return web.json_response({"dials": [dial | {"max_ring_seconds": 20, "more": "later"}]})

    def begin(dial: Dial) -> None:
        begun.append(dial)
        done.set()

    async with serving(says) as vnum:
        task = asyncio.create_task(take_orders(vnum, lambda: 3, begin))
        async with asyncio.timeout(20):
            await done.wait()
        task.cancel()
    assert asked[0] == {"most": 3, "wait_seconds": 20}
    assert begun[0] == Dial(
        call_id="d-1", agent="+861", host="1", extension="2", display_number="1", max_ring_seconds=20
    )


async def test_a_vnum_without_states_and_orders_is_left_in_peace() -> None:
    asked: list[str] = []
    twice = asyncio.Event()

    async def says(request: web.Request, sent: Any) -> web.StreamResponse:
        asked.append(request.path)
        if len(set(asked)) == 2:
            twice.set()
        return web.Response(status=404)

    async with serving(says) as vnum:
        teller = Teller(vnum)
        tasks = [
            asyncio.create_task(teller.run()),
            asyncio.create_task(take_orders(vnum, lambda: 1, lambda dial: None)),
        ]
        for _ in range(3):
            teller.tell(Progress(call_id="c-1", state="ringing", at=START))
        async with asyncio.timeout(20):
            await twice.wait()
        for task in tasks:
            assert not task.done()
            task.cancel()
    assert sorted(asked) == ["/v1/calls/dials/take", "/v1/calls/states"]
