"""What somebody without a key can send: it may cost little, harm nobody, and come to no fault of ours."""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest

from vnum.api import docs
from vnum.api.endpoint import Endpoint

from .conftest import World

SIGNED = {
    "X-Vnum-Key": b"0123456789ab",
    "X-Vnum-Timestamp": b"2026-10-05T04:00:00Z",
    "X-Vnum-Nonce": b"nonce-00000001",
    "X-Vnum-Signature": b"0" * 64,
}


async def status(world: World, head: bytes) -> bytes:
    """The status line that a GET with this head is answered."""
    parts = urlsplit(world.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"GET /v1/hosts HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
    try:
        async with asyncio.timeout(5):
            return (await reader.readline()).split()[1]
    finally:
        writer.close()


@pytest.mark.parametrize("value", [b"\xff", b"2026-10-05T04:00:00Z\xff", b"\xed\xa0\x80", "二".encode()])
@pytest.mark.parametrize("name", [*SIGNED, "Authorization"])
async def test_headers_that_are_no_text(world: World, name: str, value: bytes) -> None:
    headers = {name: value} if name == "Authorization" else SIGNED | {name: value}
    head = b"".join(b"%s: %s\r\n" % (each.encode(), sent) for each, sent in headers.items())
    assert await status(world, head) == b"401"


async def test_the_description_is_made_once_however_many_ask_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making it takes the processor, and msgspec fails where two threads do it at once."""
    made: list[int] = []
    describe = docs.describe

    def counted(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
        made.append(1)
        return describe(endpoints)

    monkeypatch.setattr(docs, "describe", counted)
    packed = [{"Accept-Encoding": kind} for kind in ("gzip", "identity")] * 8
    replies = await asyncio.gather(*(world.get("/openapi.json", role=None, headers=headers) for headers in packed))
    assert {reply.status for reply in replies} == {200}
    assert len(made) == 1
