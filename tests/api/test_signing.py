"""Signed requests: what is signed, for how long, and once; and the worked example of the page."""

import hmac
import json
import re
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from vnum.service.signing import Signed

from .conftest import START, Reply, World, order

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text()
WINDOW = timedelta(minutes=5)
NONCES = (f"nonce-{n:08}" for n in range(10_000))


class Signer:
    """Signs as the page says; tests change one thing after the signature was made, or before."""

    def __init__(self, world: World, key_id: str, secret: str) -> None:
        self.world = world
        self.key_id = key_id
        self.secret = secret

    async def send(
        self,
        method: str = "POST",
        target: str = "/v1/labels/current",
        body: bytes = b'{"items":[{"merchant_id":"m1","order_id":"o1"}]}',
        *,
        sent: dict[str, Any] | None = None,
        **signed: str,
    ) -> Reply:
        """`signed` = what is signed otherwise than by the rules; `sent` = what is sent otherwise than it was signed."""
        path, _, query = target.partition("?")
        facts = {
            "key_id": self.key_id,
            "timestamp": f"{self.world.clock.instant:%FT%TZ}",
            "nonce": next(NONCES),
            "method": method,
            "path": path,
            "query": query,
            "digest": sha256(body).hexdigest(),
        } | signed
        text = Signed(signature="", **facts).text
        parts: dict[str, Any] = {
            "method": method,
            "target": target,
            "body": body,
            "key": facts["key_id"],
            "timestamp": facts["timestamp"],
            "nonce": facts["nonce"],
            "signature": hmac.digest(self.secret.encode(), text, "sha256").hex(),
        } | (sent or {})
        headers = {
            f"X-Vnum-{name.title()}": parts[name]
            for name in ("key", "timestamp", "nonce", "signature")
            if parts[name] is not None
        }
        data = parts["body"] if parts["method"] != "GET" else None
        return await self.world.call(
            parts["method"], parts["target"], data=data, role=None, headers=headers, encoded=True
        )


@pytest.fixture
async def signer(world: World) -> Signer:
    """A signed key of a courier; there is a binding of order o1."""
    await world.stock()
    await world.bind()
    made = (await world.post("/v1/keys", {"role": "courier", "signed": True}, role="admin")).body
    return Signer(world, made["key_id"], made["secret"])


async def test_a_signed_request_is_answered(signer: Signer) -> None:
    reply = await signer.send()
    assert (reply.status, reply.body["results"][0]["status"]) == (200, 200)


async def test_a_request_without_a_body(world: World) -> None:
    made = (await world.post("/v1/keys", {"role": "admin", "signed": True}, role="admin")).body
    admin = Signer(world, made["key_id"], made["secret"])
    assert (await admin.send("GET", "/v1/hosts", b"")).status == 200
    query = "/v1/audit?from=2026-10-05T00:00:00Z&to=2026-10-06T00%3A00%3A00%2B08:00&by=a%20b"
    assert (await admin.send("GET", query, b"")).status == 200
    assert (await admin.send("POST", f"/v1/keys/{made['key_id']}/rotate?a=b&&c", b"{}")).status == 200


CHANGED: list[dict[str, Any]] = [
    {"body": b'{"items":[{"merchant_id":"m1","order_id":"o2"}]}'},
    {"body": b'{"items":[{"merchant_id":"m1","order_id":"o1"}]} '},
    {"body": b""},
    {"target": "/v1/labels/current?x=1"},
    {"target": "/v1/labels/curren%74"},
    {"timestamp": "2026-10-05T04:00:01Z"},
    {"timestamp": "2026-10-05T12:00:00+08:00"},
    {"timestamp": "2026-10-05T04:00:00"},
    {"timestamp": "yesterday"},
    {"timestamp": ""},
    {"timestamp": None},
    {"nonce": "another-one"},
    {"nonce": "short"},
    {"nonce": "x" * 65},
    {"nonce": "a nonce of words"},
    {"nonce": None},
    {"key": "0" * 12},
    {"key": "x"},
    {"key": None},
    {"signature": "0" * 64},
    {"signature": "0" * 63},
    {"signature": "zz" * 32},
    {"signature": ""},
]


@pytest.mark.parametrize("sent", CHANGED, ids=str)
async def test_what_was_changed_on_the_way_is_refused_alike(signer: Signer, sent: dict[str, Any]) -> None:
    reply = await signer.send(sent=sent)
    assert (reply.status, reply.code) == (401, "signature_invalid"), reply.body
    assert reply.body["detail"] == (await signer.send(sent={"signature": "0" * 64})).body["detail"]
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("off", "good"),
    [
        (timedelta(), True),
        (WINDOW, True),
        (-WINDOW, True),
        (WINDOW + timedelta(seconds=1), False),
        (-WINDOW - timedelta(seconds=1), False),
        (timedelta(hours=8), False),
    ],
)
@pytest.mark.parametrize("form", ["rfc", "shanghai", "ms"])
async def test_the_window(signer: Signer, off: timedelta, good: bool, form: str) -> None:
    at = START + off
    timestamp = {
        "rfc": f"{at:%FT%TZ}",
        "shanghai": f"{at + timedelta(hours=8):%FT%T}+08:00",
        "ms": str(int(at.timestamp() * 1000)),
    }[form]
    reply = await signer.send(timestamp=timestamp)
    expected = (200, None) if good else (401, "timestamp_out_of_range")
    assert (reply.status, reply.code) == expected


async def test_a_nonce_is_good_once(signer: Signer) -> None:
    assert (await signer.send(nonce="the-same-one")).status == 200
    reply = await signer.send(nonce="the-same-one")
    assert (reply.status, reply.code) == (401, "nonce_reused")
    signer.world.advance(minutes=9)  # signed anew, it is a new request, and its nonce is remembered still
    assert (await signer.send(nonce="the-same-one")).code == "nonce_reused"
    await signer.send(sent={"nonce": "not-signed"})
    assert (await signer.send(nonce="not-signed")).status == 200  # a forger uses up nothing


async def test_a_replay_is_refused_by_whatever_is_left(signer: Signer) -> None:
    """Redis emptied, another process, the memory of this one gone: PostgreSQL remembers."""
    early = f"{START + WINDOW:%FT%TZ}"
    assert (await signer.send(nonce="of-the-future", timestamp=early)).status == 200
    await signer.world.engine.pool._redis.flushdb()
    signer.world.engine.keys.forget(signer.key_id)
    for minutes in (0, 5, 5):
        signer.world.advance(minutes=minutes)
        await signer.world.engine.care.tend()
        assert (await signer.send(nonce="of-the-future", timestamp=early)).code == "nonce_reused"
    signer.world.advance(seconds=1)
    assert (await signer.send(nonce="of-the-future", timestamp=early)).code == "timestamp_out_of_range"
    signer.world.advance(minutes=2)
    await signer.world.engine.care.tend()
    assert await signer.world.rows("nonces") == 0


async def test_many_at_once_with_one_nonce(signer: Signer) -> None:
    import asyncio

    replies = await asyncio.gather(*(signer.send(nonce="all-the-same") for _ in range(20)))
    assert sorted(reply.code or "" for reply in replies) == ["", *["nonce_reused"] * 19]


async def test_the_secret_itself_opens_nothing(signer: Signer) -> None:
    for text in (signer.secret, f"vk_{signer.key_id}_{signer.secret}", f"vk_{signer.key_id}_{signer.secret[:40]}"):
        assert (await signer.world.get("/v1/pool", role=text)).code == "unauthorized"


async def test_a_bearer_key_signs_nothing(world: World) -> None:
    _, key_id, secret = world.keys["admin"].split("_")
    for signs in (secret, world.keys["admin"], sha256(secret.encode()).hexdigest()):
        assert (await Signer(world, key_id, signs).send("GET", "/v1/hosts", b"")).code == "signature_invalid"
    signs_raw = Signer(world, key_id, "")
    assert (await signs_raw.send("GET", "/v1/hosts", b"")).code == "signature_invalid"


async def test_both_secrets_sign_until_the_overlap_ends(signer: Signer) -> None:
    path = f"/v1/keys/{signer.key_id}/rotate"
    new = (await signer.world.post(path, {"overlap_s": 60}, role="admin")).body["secret"]
    second = Signer(signer.world, signer.key_id, new)
    assert [(await each.send()).status for each in (signer, second)] == [200, 200]
    signer.world.advance(seconds=60)
    assert [(await each.send()).code for each in (signer, second)] == ["signature_invalid", None]
    await signer.world.post(f"/v1/keys/{signer.key_id}/revoke", role="admin")
    assert (await second.send()).code == "signature_invalid"


async def test_what_the_role_may_not_do(signer: Signer) -> None:
    reply = await signer.send("GET", "/v1/hosts", b"")
    assert (reply.status, reply.code) == (403, "forbidden")


async def test_a_file_is_held_against_its_signed_digest(world: World) -> None:
    made = (await world.post("/v1/keys", {"role": "finance", "signed": True}, role="admin")).body
    finance = Signer(world, made["key_id"], made["secret"])
    times = b"2026-10-05T12:01:00+08:00,2026-10-05T12:01:10+08:00,2026-10-05T12:02:11+08:00"
    line = b"c%d,18400913965,7576,13712345678," + times + b",0.04\n"
    file = b"call_id,host,extension,caller,call_time,answer_time,release_time,cost\n" + line % 1
    target = "/v1/reconciliations"

    async def send(came: bytes, digest: str | None) -> Reply:
        path, _, query = target.partition("?")
        nonce = next(NONCES)
        signed = Signed(
            key_id=finance.key_id,
            timestamp="2026-10-05T04:00:00Z",
            nonce=nonce,
            signature="",
            method="POST",
            path=path,
            query=query,
            digest=sha256(file).hexdigest(),
        )
        headers = {
            "X-Vnum-Key": finance.key_id,
            "X-Vnum-Timestamp": signed.timestamp,
            "X-Vnum-Nonce": nonce,
            "X-Vnum-Signature": hmac.digest(finance.secret.encode(), signed.text, "sha256").hex(),
            "Content-Type": "text/csv",
        }
        if digest is not None:
            headers["X-Vnum-Content-SHA256"] = digest
        return await world.call("POST", target, data=came, role=None, headers=headers)

    good = sha256(file).hexdigest()
    read = await send(file, good)
    assert read.status == 200, read.body
    other = file + line % 2
    assert (await send(other, good)).code == "signature_invalid"
    assert (await send(other, sha256(other).hexdigest())).code == "signature_invalid"
    assert (await send(file, None)).code == "signature_invalid"


async def test_an_idempotency_key_goes_with_it(world: World) -> None:
    await world.stock()
    made = (await world.post("/v1/keys", {"role": "platform", "signed": True}, role="admin")).body
    platform = Signer(world, made["key_id"], made["secret"])
    body = json.dumps(order()).encode()
    assert (await platform.send("POST", "/v1/bindings", body)).status == 201
    assert (await platform.send("POST", "/v1/bindings", body)).status == 200


def blocks(kind: str) -> list[str]:
    section = PAGE.split("## Signing")[1].split("\n## ")[0]
    return re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL)


def test_the_worked_example_in_a_shell_and_in_python() -> None:
    signature = re.search(r"the signature is `([0-9a-f]{64})`", PAGE)
    assert signature is not None
    (text,), (shell,), (python,) = blocks("text"), blocks("sh"), blocks("python")
    secret = re.search(r"With the secret `(\w+)`", PAGE)
    assert secret is not None
    assert hmac.digest(secret[1].encode(), text.strip().encode(), "sha256").hex() == signature[1]
    for command in (["sh", "-c", shell], [sys.executable, "-c", python]):
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        assert signature[1] in ran.stdout, ran.stdout
        assert "5f0c2b7a91de" in ran.stdout
