"""What a hostile reviewer tried and got: each of these said too much, or harmed others, once."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from vnum.api.request_ids import known_as

from .conftest import PHONE, World, order

APART = f"{PHONE[:3]}-{PHONE[3:7]}-{PHONE[7:]}"


async def kept(world: World, table: str) -> str:
    """All rows of a table, as text."""
    rows = await world.owner.fetch(f"SELECT t::text AS row FROM {table} t")
    return "\n".join(row["row"] for row in rows)


async def test_an_idempotency_key_made_of_a_phone_is_not_kept(world: World) -> None:
    await world.stock()
    for key in (PHONE, f"bind {APART}"):
        first = await world.post("/v1/bindings", order(), key=key)
        again = await world.post("/v1/bindings", order(), key=key)
        assert (again.raw, again.headers["Idempotency-Replayed"]) == (first.raw, "true")
        assert (await world.post("/v1/bindings", order("o2"), key=key)).code == "idempotency_mismatch"
    await world.post(f"/v1/orders/m1/{PHONE}/extend", {"days": 7}, key="in the path")
    stored = await kept(world, "idempotency_keys")
    assert PHONE not in stored
    assert APART not in stored


async def test_a_phone_where_an_id_belongs_is_in_no_audit_entry(world: World) -> None:
    await world.stock()
    for n, path in enumerate((f"/v1/merchants/{PHONE}", f"/v1/merchants/m-{PHONE}", f"/v1/merchants/m.{APART}")):
        await world.patch(path, {"name": "x"})
        await world.post("/v1/merchants", {"merchant_id": path.rpartition("/")[2], "name": str(n)})
    stored = await kept(world, "audit_entries")
    assert "merchant_id=?" in stored
    assert PHONE not in stored
    assert APART not in stored


async def test_reasons_and_notes_hold_no_phone(world: World) -> None:
    await world.stock()
    binding_id = (await world.bind()).body["binding_id"]
    for path, body, role in (
        (f"/v1/bindings/{binding_id}/release", {"reason": f"asked by {APART}"}, "platform"),
        ("/v1/keys", {"role": "switch", "note": f"call {PHONE}"}, "admin"),
    ):
        assert (await world.post(path, body, role=role)).code == "invalid_request", path
    assert (await world.get(f"/v1/bindings/{binding_id}")).body["state"] == "live"


@pytest.mark.parametrize("given", [f"call-{APART}", f"c_{PHONE[:3]}_{PHONE[3:]}", "r.021-12345678", f"00-86-{APART}"])
def test_a_request_id_that_tells_a_phone_is_not_taken(given: str) -> None:
    assert known_as(given) != given


@pytest.mark.parametrize("given", ["0192f0c1-1381-7234-8678-1381234567ab", "a" * 64, "req-2026-11-22", "1759636800123"])
def test_a_request_id_that_tells_none_is(given: str) -> None:
    assert known_as(given) == given


BODY = json.dumps(order()).encode()
HEAD = "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
# What stands behind the head: each says in two ways where the request ends, or in a way that others read otherwise.
TWO_ENDS = {
    "length and chunked": b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "chunked and length": CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two lengths": b"Content-Length: %d\r\nContent-Length: 0\r\n\r\n" % len(BODY) + BODY + HIDDEN,
    "a length twice": b"Content-Length: %d\r\n" % len(BODY) * 2 + b"\r\n" + BODY + HIDDEN,
    "a signed length": b"Content-Length: +%d\r\n\r\n" % len(BODY) + BODY + HIDDEN,
    "chunked twice": CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + HIDDEN,
    "chunked, then something": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "nearly chunked": b"Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a blank before the colon": b"Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a folded header": b"X-A: b\r\n Content-Length: 3\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "bare line feeds": b"X-A: b\nContent-Length: 0\n\n" + HIDDEN,
    "a line feed in a chunk's head": CHUNKED + b"\r\n%x;a=\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n" + HIDDEN,
}


async def answered(world: World, sent: bytes) -> bytes:
    """All that comes until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(world.url).port)
    writer.write(sent)
    async with asyncio.timeout(10):
        got = await reader.read()
    writer.close()
    return got


async def test_a_request_with_two_ends_is_refused_and_none_is_hidden_behind_it(world: World) -> None:
    await world.stock()
    for path in ("/v1/bindings", "/v1/bindings?"):  # the short way, and aiohttp's
        head = HEAD.format(path=path, key=world.keys["platform"]).encode()
        for name, rest in TWO_ENDS.items():
            got = await answered(world, head + rest)
            assert got.count(b"HTTP/1.") == 1, (name, got)
            assert b" 400 " in got.partition(b"\r\n")[0], name
    assert await world.rows("bindings") == 0


async def test_requests_that_the_role_forbids_are_counted_as_well(world: World) -> None:
    """Else a stolen key of the least role could ask for ever."""
    await world.stock()
    key = await world.key_of("courier", rate_per_s=1)
    codes = [(await world.get("/v1/hosts", role=key)).code for _ in range(8)]
    assert codes[0] == "forbidden"
    assert codes[-1] == "rate_limited"
