"""What every request meets: its id, its time, its size, its rate; with clients that are slow, late or greedy."""

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import structlog

from vnum.api import connection
from vnum.api.deadlines import Deadlines, HttpLimits
from vnum.api.request_ids import known_as
from vnum.api.server import serve
from vnum.cli.session import set_up_logs
from vnum.service.merchants import Merchants

from .conftest import PHONE, OpenWorld, World, order

GOOD_IDS = ["a", "x" * 64, "0af7651916cd43dd8448eb211c80319c", "A.b_c-9", "019bd93c-d040-7000-b85f-ab117e4c212a",
            "1745093122987163648", "12345"]  # fmt: skip
BAD_IDS = ["", "x" * 65, "a b", "a/b", "编号", PHONE, f"call-{PHONE}", f"86{PHONE}", f"0086{PHONE}", "138-1234-5678",
           "0571-12345678", "02112345678", "a\tb"]  # fmt: skip


@pytest.mark.parametrize("given", GOOD_IDS)
def test_an_id_that_is_kept(given: str) -> None:
    assert known_as(given) == given


@pytest.mark.parametrize("given", [None, *BAD_IDS])
def test_an_id_that_is_not(given: str | None) -> None:
    made = known_as(given)
    assert made != given
    assert known_as(made) == made
    assert known_as(given) != made


async def test_every_answer_has_an_id(world: World) -> None:
    await world.stock()
    for method, path, body in (
        ("POST", "/v1/bindings", order()),
        ("POST", "/v1/bindings", order("o2", recipient_phone="x")),
        ("POST", "/v1/bindings", None),
        ("GET", "/v1/bindings?merchant_id=m1&order_id=o1", None),
        ("GET", "/healthz", None),
        ("GET", "/docs", None),
        ("GET", "/nowhere", None),
        ("PUT", "/v1/bindings", None),
    ):
        reply = await world.call(method, path, body, headers={"X-Request-Id": "mine-1"})
        assert reply.headers["X-Request-Id"] == "mine-1", (method, path)
        reply = await world.call(method, path, body)
        assert reply.headers["X-Request-Id"].partition("-")[0].isalnum(), (method, path)
    export = await world.get("/v1/bills/daily?biz_date=2026-10-05", role="finance", headers={"X-Request-Id": "mine-2"})
    assert export.headers["X-Request-Id"] == "mine-2"


async def test_the_id_is_in_every_log_line_of_the_request(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    set_up_logs("info")

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    try:
        with monkeypatch.context() as patch:
            patch.setattr(Merchants, "page", broken)
            assert (await world.get("/v1/merchants", headers={"X-Request-Id": "mine-3"})).status == 500
            assert (await world.get("/v1/merchants", headers={"X-Request-Id": PHONE})).status == 500
    finally:
        structlog.reset_defaults()
        root.handlers, root.level = handlers, level
    logged = "".join(capfd.readouterr())
    assert '"request_id": "mine-3"' in logged
    assert logged.count('"request_id"') == 2
    assert PHONE not in logged


async def test_the_audit_names_the_request(world: World) -> None:
    await world.post("/v1/merchants", {"merchant_id": "m9", "name": "x"}, headers={"X-Request-Id": "mine-4"})
    path = "/v1/audit?from=2026-10-05T00:00:00Z&to=2026-10-06T00:00:00Z"
    entries = (await world.get(path, role="admin")).body["entries"]
    assert [entry["why"] for entry in entries if entry["did"] == "POST /v1/merchants"] == ["request mine-4"]


@asynccontextmanager
async def limited(world: World, **limits: Any) -> Any:
    """The world behind a server with other limits."""
    async with serve(world.engine, limits=HttpLimits(**limits)) as serving:
        before, world.url = world.url, serving.url
        yield serving
        world.url = before


async def talk(serving: Any, text: bytes) -> bytes:
    """What is answered until the server closes; nothing more is sent."""
    reader, writer = await asyncio.open_connection(serving.host, serving.port)
    writer.write(text)
    try:
        async with asyncio.timeout(30):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("length", [100, 100_000])
async def test_a_body_that_does_not_come(world: World, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    monkeypatch.setattr(connection, "WHOLE_S", 0.01)
    head = f"POST /v1/bindings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.keys['platform']}\r\n"
    async with limited(world, body_s=0.01) as serving:
        said = await talk(serving, f"{head}Content-Length: {length}\r\n\r\n{{".encode())
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"body_timeout"' in said
    assert b"Connection: close" in said


async def test_a_file_that_does_not_come(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vnum.api.files.PIECE_S", 0.01)
    head = f"POST /v1/reconciliations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.keys['finance']}\r\n"
    async with limited(world) as serving:
        said = await talk(serving, f"{head}Content-Length: 1000\r\n\r\ncall_id".encode())
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"body_timeout"' in said


async def test_a_body_in_two_pieces_is_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WHOLE_S", 0.01)
    await world.stock()
    handed_on = asyncio.Event()
    began = connection.Connection._begin_slow

    def begin_slow(self: connection.Connection) -> None:
        began(self)
        handed_on.set()

    monkeypatch.setattr(connection.Connection, "_begin_slow", begin_slow)
    host, port = world.url.removeprefix("http://").split(":")
    body = b'{"items":[{"merchant_id":"m1","order_id":"o1"}]}'
    head = f"POST /v1/labels/current HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.keys['courier']}\r\n"
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(2):  # and the connection is as good as before
        handed_on.clear()
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
        async with asyncio.timeout(30):
            await handed_on.wait()
            writer.write(body[10:])
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 ")
            length = int(answer.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            assert b"binding_not_found" in await reader.readexactly(length)
    writer.close()


async def test_a_request_that_takes_too_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = asyncio.Event()

    async def endless(*_: object, **__: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    async with limited(world, request_s=0.05):
        with monkeypatch.context() as patch:
            patch.setattr(Merchants, "page", endless)
            for _ in range(2):
                reply = await world.get("/v1/merchants")
                assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "request_timeout", "1")
                assert given_up.is_set()
            patch.setattr(Merchants, "add", endless)
            reply = await world.post("/v1/merchants", {"merchant_id": "m9", "name": "x"}, key="k")
            assert reply.code == "request_timeout"
    assert (await world.get("/v1/merchants")).status == 200
    assert (await world.post("/v1/merchants", {"merchant_id": "m9", "name": "x"}, key="k")).status == 201


async def test_only_the_late_are_given_up() -> None:
    deadlines = Deadlines(10)
    early, late = (asyncio.create_task(asyncio.Event().wait()) for _ in range(2))
    await asyncio.sleep(0)
    deadlines.begin(late, 100.0)
    deadlines.begin(early, 105.0)
    deadlines.sweep(110.0)
    assert not late.cancelling()
    deadlines.sweep(110.1)
    deadlines.sweep(110.2)
    assert (late.cancelling(), early.cancelling()) == (1, 0)
    assert deadlines.gave_up(late)
    assert not deadlines.gave_up(early)
    assert not late.cancelling()
    deadlines.end(late)
    deadlines.end(early)
    deadlines.sweep(1000.0)
    assert not early.cancelling()
    early.cancel()
    await asyncio.gather(early, late, return_exceptions=True)


async def test_heads_have_a_limit(world: World) -> None:
    async with limited(world) as serving:
        for more in (
            f"GET /{'x' * 9000} HTTP/1.1\r\nHost: x\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: x\r\nX-Long: {'x' * 9000}\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n" + "".join(f"X-{n}: 1\r\n" for n in range(100)) + "\r\n",
        ):
            head, _, body = (await talk(serving, more.encode())).partition(b"\r\n\r\n")
            assert b" 400 " in head.splitlines()[0]
            assert b"application/problem+json" in head
            assert b"X-Request-Id" in head
            assert b'"code":"invalid_request"' in body
            assert b"xxx" not in body


async def test_a_key_that_sends_too_much(open_world: OpenWorld) -> None:
    async with open_world(rate_per_s=2) as world:
        replies = [await world.get("/v1/pool", role="admin") for _ in range(6)]
        assert [reply.status for reply in replies] == [200] * 4 + [429] * 2
        assert (replies[-1].code, replies[-1].headers["Retry-After"]) == ("rate_limited", "1")
        assert (await world.get("/v1/merchants")).status == 200, "another key has a bucket of its own"
        text = (await world.get("/metrics", role=None)).body
        assert 'vnum_rate_limited_total{by="key"}' in text
        world.advance(seconds=1)
        assert (await world.get("/v1/pool", role="admin")).status == 200


async def test_a_key_with_a_rate_of_its_own(world: World) -> None:
    made = (await world.post("/v1/keys", {"role": "admin", "rate_per_s": 1}, role="admin")).body
    statuses = [(await world.get("/v1/pool", role=made["secret"])).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    await world.patch(f"/v1/keys/{made['key_id']}", {"rate_per_s": 0}, role="admin")
    assert (await world.get("/v1/pool", role=made["secret"])).status == 200


async def test_who_guesses_is_slowed_down_and_his_neighbours_are_not(open_world: OpenWorld) -> None:
    async with open_world(auth_failures_per_min=3) as world:
        assert (await world.get("/v1/pool", role="admin")).status == 200
        _, key_id, _ = world.keys["admin"].split("_")
        wrong = f"vk_{key_id}_{'0' * 40}"
        replies = [await world.get("/v1/pool", role=wrong) for _ in range(5)]
        assert [reply.code for reply in replies] == ["unauthorized"] * 3 + ["rate_limited"] * 2
        assert int(replies[-1].headers["Retry-After"]) >= 19
        assert (await world.get("/v1/pool", role="admin")).status == 200, "a key that was good a moment ago"
        fresh = await world.key_of("admin")
        assert (await world.get("/v1/pool", role=fresh)).code == "rate_limited", "none is looked up meanwhile"
        assert (await world.get("/v1/pool", role=None)).code == "unauthorized", "no key is no guess"
        headers = {"X-Vnum-Signature": "0" * 64, "X-Vnum-Nonce": "12345678", "X-Vnum-Timestamp": "2026-10-05T04:00:00Z"}
        assert (await world.get("/v1/pool", role=None, headers=headers)).code == "rate_limited"


async def test_behind_proxies_the_caller_counts(open_world: OpenWorld) -> None:
    async with open_world(auth_failures_per_min=1) as world, limited(world, proxy_hops=2):

        async def guess(*forwarded: str) -> str | None:
            headers = {"Authorization": "Bearer x", "X-Forwarded-For": ", ".join(forwarded)}
            return (await world.get("/v1/pool", role=None, headers=headers)).code

        assert await guess("8.8.8.8", "1.1.1.1", "10.0.0.1") == "unauthorized"
        assert await guess("9.9.9.9", "1.1.1.1", "10.0.0.2") == "rate_limited", (
            "what he says of himself is not looked at"
        )
        assert await guess("8.8.8.8", "1.1.1.2", "10.0.0.1") == "unauthorized"
        assert await guess("2001:db8:0:1::1", "10.0.0.1") == "unauthorized"
        assert await guess("2001:db8:0:1:ffff::2", "10.0.0.1") == "rate_limited", "one network"
        assert await guess("2001:db8:0:2::1", "10.0.0.1") == "unauthorized"
        assert await guess("::ffff:1.1.1.3", "10.0.0.1") == "unauthorized"
        assert await guess("::ffff:1.1.1.4", "10.0.0.1") == "unauthorized", "not one network of all IPv4 addresses"
        assert await guess("1.1.1.3", "10.0.0.1") == "rate_limited", "the same address"


async def test_batches_and_bodies_have_a_limit(world: World) -> None:
    await world.stock()
    reply = await world.post("/v1/bindings/batch", {"items": [order()] * 1001})
    assert (reply.status, reply.code) == (400, "invalid_request")
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {world.keys['platform']}", "Content-Type": "application/json"}
        async with session.post(f"{world.url}/v1/bindings", data=b" " * (2 * 1024 * 1024 + 1), headers=headers) as big:
            assert (big.status, (await big.json(content_type=None))["code"]) == (413, "body_too_large")
