"""Keys over HTTP: made, listed, rotated, changed, revoked; two secrets at once, never three; a secret is told once."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from tests.faults import FaultyStatement
from vnum.service import keys as keys_service
from vnum.service.key_ring import ApiKeys
from vnum.service.keys import Role

from .conftest import START, Reply, World

DAY_S = 86_400


async def make(world: World, **order: Any) -> Reply:
    reply = await world.post("/v1/keys", {"role": "admin"} | order, role="admin")
    assert reply.status == 201, reply.body
    return reply


async def rotate(world: World, key_id: str, **body: Any) -> str:
    reply = await world.post(f"/v1/keys/{key_id}/rotate", body, role="admin")
    assert reply.status == 200, reply.body
    return str(reply.body["secret"])


async def admitted(world: World, *texts: str) -> list[bool]:
    return [(await world.get("/v1/pool", role=text)).status == 200 for text in texts]


async def shown(world: World, key_id: str) -> Any:
    return (await world.get(f"/v1/keys/{key_id}", role="admin")).body


async def test_a_key_is_made_and_its_secret_told_once(world: World) -> None:
    made = (await make(world, role="finance", merchants=["m1"], note="books", rate_per_s=7)).body
    assert made["secret"].startswith(f"vk_{made['key_id']}_")
    key = await shown(world, made["key_id"])
    assert key == {
        "key_id": made["key_id"],
        "role": "finance",
        "merchants": ["m1"],
        "carrier": None,
        "note": "books",
        "signed": False,
        "rate_per_s": 7,
        "created_at": "2026-10-05T04:00:00Z",
        "expires_at": None,
        "revoked_at": None,
        "used_on": None,
        "secrets": [{"begins_at": "2026-10-05T04:00:00Z", "ends_at": None}],
    }
    listed = await world.get("/v1/keys", role="admin")
    assert key in listed.body["keys"]
    assert made["secret"].split("_")[2] not in listed.raw.decode()


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/keys/{}/rotate"])
async def test_a_repeat_makes_nothing_and_has_no_secret(world: World, path: str) -> None:
    key_id = (await make(world)).body["key_id"]
    body: dict[str, Any] = {"role": "admin"} if path == "/v1/keys" else {}
    first = await world.post(path.format(key_id), body, role="admin", key="once")
    before = await world.rows("api_keys")
    second = await world.post(path.format(key_id), body, role="admin", key="once")
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.body == {"key_id": first.body["key_id"], "secret": None}
    assert second.status == first.status
    assert await world.rows("api_keys") == before
    assert await admitted(world, first.body["secret"]) == [True]
    kept = await world.owner.fetch("SELECT k::text AS row FROM idempotency_keys k")
    secret = first.body["secret"].split("_")[2]
    assert not [row for row in kept if secret in row["row"] or secret.encode().hex() in row["row"]]


async def test_both_secrets_are_good_until_the_overlap_ends(world: World) -> None:
    made = (await make(world)).body
    world.advance(hours=1)
    second = await rotate(world, made["key_id"])
    assert await admitted(world, made["secret"], second) == [True, True]
    assert (await shown(world, made["key_id"]))["secrets"] == [
        {"begins_at": "2026-10-05T05:00:00Z", "ends_at": None},
        {"begins_at": "2026-10-05T04:00:00Z", "ends_at": "2026-10-12T05:00:00Z"},
    ]
    world.clock.instant = START + timedelta(hours=1, days=7, microseconds=-1)
    assert await admitted(world, made["secret"], second) == [True, True]
    world.clock.instant += timedelta(microseconds=1)
    assert await admitted(world, made["secret"], second) == [False, True]
    assert len((await shown(world, made["key_id"]))["secrets"]) == 1


async def test_there_are_never_three(world: World) -> None:
    made = (await make(world)).body
    second = await rotate(world, made["key_id"])
    third = await rotate(world, made["key_id"], overlap_s=DAY_S)
    assert await admitted(world, made["secret"], second, third) == [False, True, True]


async def test_without_an_overlap_the_former_secret_ends_now(world: World) -> None:
    made = (await make(world)).body
    assert await admitted(world, made["secret"]) == [True]
    second = await rotate(world, made["key_id"], overlap_s=0)
    assert await admitted(world, made["secret"], second) == [False, True]


async def test_revoking_ends_both(world: World) -> None:
    made = (await make(world)).body
    second = await rotate(world, made["key_id"])
    path = f"/v1/keys/{made['key_id']}/revoke"
    first = await world.post(path, role="admin")
    assert (first.status, first.body["revoked_at"], first.body["secrets"]) == (200, "2026-10-05T04:00:00Z", [])
    assert await admitted(world, made["secret"], second) == [False, False]
    world.advance(days=1)
    assert (await world.post(path, {}, role="admin")).body == first.body
    assert (await world.post(f"/v1/keys/{made['key_id']}/rotate", {}, role="admin")).code == "key_not_found"


async def test_a_key_expires_by_the_clock(world: World) -> None:
    made = (await make(world, expires_at="2026-10-06T12:00:00+08:00")).body
    second = await rotate(world, made["key_id"])
    world.clock.instant = START + timedelta(days=1, microseconds=-1)
    assert await admitted(world, made["secret"], second) == [True, True]
    world.clock.instant = START + timedelta(days=1)
    assert await admitted(world, made["secret"], second) == [False, False]
    assert (await shown(world, made["key_id"]))["secrets"] == []
    reply = await world.patch(f"/v1/keys/{made['key_id']}", {"note": "x"}, role="admin")
    assert (reply.status, reply.code) == (404, "key_not_found")


async def test_what_can_be_changed(world: World) -> None:
    made = (await make(world, note="a")).body
    change = {"note": "b", "expires_at": "2026-10-07T04:00:00Z", "rate_per_s": 3}
    changed = await world.patch(f"/v1/keys/{made['key_id']}", change, role="admin")
    assert changed.status == 200
    assert {name: changed.body[name] for name in change} == change
    await world.patch(f"/v1/keys/{made['key_id']}", {"expires_at": None}, role="admin")
    after = await shown(world, made["key_id"])
    assert (after["note"], after["expires_at"], after["rate_per_s"]) == ("b", None, 3)
    assert await admitted(world, made["secret"]) == [True]


async def test_the_last_day_of_use(world: World) -> None:
    made = (await make(world)).body
    await admitted(world, made["secret"], made["secret"])
    assert (await shown(world, made["key_id"]))["used_on"] == "2026-10-05"
    world.engine.keys.forget(made["key_id"])  # as after FRESH_S
    world.advance(days=2)
    await admitted(world, made["secret"])
    assert (await shown(world, made["key_id"]))["used_on"] == "2026-10-07"


REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/v1/keys", {}, 400, "invalid_request"),
    ("POST", "/v1/keys", {"role": "king"}, 400, "invalid_request"),
    ("POST", "/v1/keys", {"role": "platform", "merchants": ["m1"]}, 400, "invalid_request"),
    ("POST", "/v1/keys", {"role": "merchant", "carrier": "SF"}, 400, "invalid_request"),
    ("POST", "/v1/keys", {"role": "admin", "note": ""}, 400, "invalid_request"),
    ("POST", "/v1/keys", {"role": "admin", "note": "a\nb"}, 400, "invalid_request"),
    ("POST", "/v1/keys", {"role": "admin", "note": "a\0b"}, 400, "invalid_request"),
    ("POST", "/v1/keys", {"role": "admin", "note": "x" * 201}, 400, "invalid_request"),
    ("POST", "/v1/keys", {"role": "admin", "rate_per_s": -1}, 400, "invalid_request"),
    ("POST", "/v1/keys", {"role": "admin", "rate_per_s": 1_000_001}, 400, "invalid_request"),
    ("POST", "/v1/keys", {"role": "admin", "expires_at": "2026-10-05T04:00:00Z"}, 400, "invalid_request"),
    ("POST", "/v1/keys", {"role": "admin", "expires_at": "2026-10-06T04:00:00"}, 400, "invalid_request"),
    ("POST", "/v1/keys", {"role": "admin", "signed": "yes"}, 400, "invalid_request"),
    ("POST", "/v1/keys/000000000000/rotate", {}, 404, "key_not_found"),
    ("POST", "/v1/keys/x/rotate", {"overlap_s": -1}, 400, "invalid_request"),
    ("POST", "/v1/keys/x/rotate", {"overlap_s": 90 * DAY_S + 1}, 400, "invalid_request"),
    ("POST", "/v1/keys/%00/rotate", {}, 404, "key_not_found"),
    ("POST", "/v1/keys/000000000000/revoke", None, 404, "key_not_found"),
    ("PATCH", "/v1/keys/000000000000", {"note": "x"}, 404, "key_not_found"),
    ("GET", "/v1/keys/000000000000", None, 404, "key_not_found"),
    ("GET", "/v1/keys?before=x", None, 400, "invalid_request"),
]


async def test_what_is_refused(world: World) -> None:
    before = await world.rows("api_keys")
    for method, path, body, status, code in REFUSED:
        reply = await world.call(method, path, body, role="admin")
        assert (reply.status, reply.code) == (status, code), (method, path, body, reply.body)
    assert await world.rows("api_keys") == before


async def test_every_change_of_a_key_is_in_the_audit(world: World) -> None:
    made = (await make(world)).body
    await rotate(world, made["key_id"])
    await world.patch(f"/v1/keys/{made['key_id']}", {"rate_per_s": 5}, role="admin")
    await world.post(f"/v1/keys/{made['key_id']}/revoke", role="admin", headers={"X-Request-Id": "r-1"})
    path = f"/v1/audit?from=2026-10-05T00:00:00Z&to=2026-10-06T00:00:00Z&id={made['key_id']}"
    entries = (await world.get(path, role="admin")).body["entries"]
    admin = world.keys["admin"].split("_")[1]
    assert {(entry["did"], entry["by"][0], entry["why"]) for entry in entries} == {
        ("key.made", admin, "role admin"),
        ("key.rotated", admin, "former secret until 2026-10-12T04:00:00Z"),
        ("key.changed", admin, "rate_per_s"),
        ("key.revoked", admin, "request r-1"),
    }


async def test_another_process_follows_within_seconds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was told of the key is believed until it is old; then the rotation shows."""
    made = (await make(world)).body
    assert await admitted(world, made["secret"]) == [True]
    await world.owner.execute("UPDATE api_keys SET secret_hash = '\\x00' WHERE key_id = $1", made["key_id"])
    assert await admitted(world, made["secret"]) == [True]
    monkeypatch.setattr(keys_service, "FRESH_S", -1.0)
    assert await admitted(world, made["secret"]) == [False]


async def test_a_look_up_that_a_change_overtook_is_not_believed(world: World) -> None:
    """It was read before the key was revoked, and comes back after."""
    keys = world.engine.keys
    key_id = (await make(world)).body["key_id"]
    keys.forget(key_id)
    async with keys._look_ups, keys._look_ups:  # nobody looks up meanwhile
        pass
    read = keys_service.stored.key

    async def slow(*of: Any) -> Any:
        record = await read(*of)
        await keys.revoke(key_id)
        return record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys_service.stored, "key", slow)
        await keys._look_up(key_id, 0, keys._look_ups)
    assert key_id not in keys._good


async def test_a_refusal_costs_the_same_whether_there_is_such_a_key_or_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look-up, each time; and none while its address is slowed down. So its time tells no id that is one."""
    made = (await make(world)).body
    signed = (await make(world, signed=True)).body
    gone = (await make(world)).body
    await world.post(f"/v1/keys/{gone['key_id']}/revoke", {}, role="admin")
    assert await admitted(world, made["secret"], gone["secret"]) == [True, False]
    keys, read = world.engine.keys, FaultyStatement(keys_service.stored.key)
    monkeypatch.setattr(keys_service.stored, "key", read)
    for key_id in ("0" * 12, made["key_id"], signed["key_id"], gone["key_id"]):
        for only_known in (False, False, True):
            read.calls = 0
            assert await keys.check(f"vk_{key_id}_{'0' * 40}", only_known=only_known) is None
            assert await keys.check_signed(key_id, b"text", bytes(32), only_known=only_known) is None
            assert read.calls == (0 if only_known else 2), key_id


async def test_a_secret_that_another_process_made_is_good_at_once(world: World) -> None:
    made = (await make(world)).body
    assert await admitted(world, made["secret"]) == [True]
    there = ApiKeys(world.engine.database, world.engine.vault, world.clock)
    second = await there.rotate(made["key_id"])
    assert await admitted(world, second.text) == [True]


async def test_guesses_hold_up_nobody_whose_key_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = (await make(world)).body
    assert await admitted(world, made["secret"]) == [True]
    monkeypatch.setattr(keys_service, "FRESH_S", -1.0)
    keys = world.engine.keys
    async with keys._look_ups, keys._look_ups:  # as if guesses were looked up all the time
        async with asyncio.timeout(5):
            assert await keys.check(made["secret"]) is not None


async def test_no_secret_is_kept_as_it_is(world: World) -> None:
    texts = [(await make(world, signed=signed)).body for signed in (False, True)]
    texts += [{"key_id": made["key_id"], "secret": await rotate(world, made["key_id"])} for made in texts]
    secrets = [made["secret"].rpartition("_")[2] for made in texts]
    assert len(secrets[1]) == 64
    for (table,) in await world.owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"):
        rows = await world.owner.fetch(f"SELECT to_jsonb(t)::text AS row FROM {table} t")
        for row in rows:
            assert not [s for s in secrets if s in row["row"] or s.encode().hex() in row["row"]], table
    listed = json.dumps((await world.get("/v1/keys", role="admin")).body)
    assert not [secret for secret in secrets if secret in listed]
    assert {info.role for info in await world.engine.keys.list()} == set(Role)
