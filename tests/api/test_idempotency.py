"""Idempotency-Key: the same answer again, and nothing done twice."""

import asyncio
from itertools import count
from typing import Any

import pytest

from vnum.api.idempotency import Repeats
from vnum.api.problems import STATUS
from vnum.model.refusals import Code, Refused
from vnum.store import bindings
from vnum.store.database import LOST

from .conftest import HOST, OTHER_PHONE, World, order, record


async def extended(world: World) -> str:
    expires_at = await world.owner.fetchval("SELECT expires_at FROM bindings WHERE order_id = 'o1'")
    return f"{expires_at:%Y-%m-%d}"


async def test_every_post_is_answered_alike_and_nothing_is_done_again(world: World) -> None:
    await world.stock()
    binding_id = (await world.bind()).body["binding_id"]
    by_order = {"items": [{"merchant_id": "m1", "order_id": "o1"}]}
    for path, body, role in (
        ("/v1/merchants", {"merchant_id": "m3", "name": "three"}, "platform"),
        ("/v1/hosts", {"host": "18400913999"}, "admin"),
        ("/v1/bindings", order("o2", recipient_phone=OTHER_PHONE), "platform"),
        ("/v1/bindings/batch", {"items": [order("o3")]}, "platform"),
        (f"/v1/bindings/{binding_id}/extend", {"days": 7}, "platform"),
        ("/v1/labels/current", by_order, "courier"),
        ("/v1/calls/records", {"items": [record("c1", "0000")]}, "switch"),
        (f"/v1/bindings/{binding_id}/release", {"reason": "x"}, "platform"),
        (f"/v1/bindings/{binding_id}/extend", {"days": 15}, "admin"),  # refused: released
        ("/v1/invoices/close", {"period": "2027-01"}, "finance"),  # refused: not over
    ):
        first = await world.post(path, body, role=role, key="k1")
        await world.post("/v1/bindings/batch", {"items": [order("unrelated")]})
        again = await world.post(path, body, role=role, key="k1")
        assert (again.status, again.raw) == (first.status, first.raw), path
        assert again.headers["Content-Type"] == first.headers["Content-Type"]
        assert again.headers["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first.headers
        other = await world.post(path, {"other": 1}, role=role, key="k1")
        assert (other.status, other.code) == (422, "idempotency_mismatch"), path
    assert await extended(world) == "2026-11-11"


async def test_without_a_key_each_extension_counts_with_one_it_counts_once(world: World) -> None:
    await world.stock()
    path = f"/v1/bindings/{(await world.bind()).body['binding_id']}/extend"
    for key in (None, None, "a", "a", "a", "b", "b"):
        assert (await world.post(path, {"days": 7}, key=key)).status == 200
    assert await extended(world) == "2026-12-02"  # 30 + 4 x 7 days


async def test_many_at_once_with_one_key_have_one_effect(world: World) -> None:
    await world.stock()
    path = f"/v1/bindings/{(await world.bind()).body['binding_id']}/extend"
    replies = await asyncio.gather(*(world.post(path, {"days": 7}, key="k") for _ in range(20)))
    assert {(reply.status, reply.raw) for reply in replies} == {(200, replies[0].raw)}
    assert await extended(world) == "2026-11-11"
    binds = await asyncio.gather(*(world.post("/v1/bindings", order("o2"), key="k") for _ in range(20)))
    assert {(reply.status, reply.raw) for reply in binds} == {(201, binds[0].raw)}
    new = {"merchant_id": "m9", "name": "nine"}
    made = await asyncio.gather(*(world.post("/v1/merchants", new, key="k") for _ in range(20)))
    assert {reply.status for reply in made} == {201}


async def test_two_processes_at_once_have_one_effect(world: World) -> None:
    """Beside the lock of one process: PostgreSQL takes one answer, and what else the loser wrote is undone."""
    await world.stock()
    path = f"/v1/bindings/{(await world.bind()).body['binding_id']}/extend"
    answers = world.engine.answers
    claim = answers.claim
    both_looked = asyncio.Barrier(2)
    looks = count()

    async def claim_together(scope: str, key: str, digest: bytes) -> Any:
        found = await claim(scope, key, digest)
        if next(looks) < 2:
            await both_looked.wait()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Repeats, "_lock_of", lambda self, once: asyncio.Lock())
        patch.setattr(type(answers), "claim", lambda self, *asked: claim_together(*asked))
        one, two = await asyncio.gather(*(world.post(path, {"days": 7}, key="k") for _ in range(2)))
    assert (one.status, one.raw) == (two.status, two.raw)
    assert one.status == 200
    assert await extended(world) == "2026-11-11"


async def test_a_key_is_its_callers_own_and_holds_at_one_path(world: World) -> None:
    await world.stock()
    assert (await world.post("/v1/bindings", order(), key="k")).status == 201
    assert (await world.post("/v1/bindings", order(), key="k", role="admin")).status == 200
    assert (await world.post("/v1/bindings/batch", {"items": [order()]}, key="k")).status == 200
    assert (await world.post("/v1/bindings", order(), key="k")).status == 201


@pytest.mark.parametrize("key", ["", "k" * 201, "ключ", "a\tb"])
async def test_a_key_that_is_none(world: World, key: str) -> None:
    reply = await world.post("/v1/bindings", order(), key=key)
    assert (reply.status, reply.code) == (400, "invalid_request")


async def test_a_key_may_be_200_printable_characters(world: World) -> None:
    await world.stock()
    key = "k ~!" * 50
    assert (await world.post("/v1/bindings", order(), key=key)).status == 201
    assert (await world.post("/v1/bindings", order(), key=key)).headers["Idempotency-Replayed"]


async def test_what_a_repeat_may_better_is_not_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.stock(hosts=0)
    assert (await world.post("/v1/bindings", order(), key="k")).code == "no_number_available"
    batch = {"items": [order("b")]}

    async def away(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(bindings, "before_bind", away)
        assert (await world.post("/v1/bindings", order("o9"), key="k9")).code == "store_unavailable"
        reply = await world.post("/v1/bindings/batch", batch, key="k")
        assert reply.body["results"][0]["status"] == 503
        tied = await world.key_of("finance", merchants=["m1"])
        assert (await world.post("/v1/invoices/close", {"period": "2026-09"}, role=tied, key="k")).status == 403
    kept = await world.owner.fetchval("SELECT count(*) FROM idempotency_keys WHERE status <> 0")
    assert kept == 0
    await world.post("/v1/hosts", {"host": HOST}, role="admin")
    assert (await world.post("/v1/bindings", order(), key="k")).status == 201
    assert (await world.post("/v1/bindings", order("o9"), key="k9")).status == 201
    assert (await world.post("/v1/bindings/batch", batch, key="k")).body["results"][0]["status"] == 201


async def test_an_extension_and_its_answer_are_kept_together_or_not_at_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.stock()
    path = f"/v1/bindings/{(await world.bind()).body['binding_id']}/extend"
    answers = type(world.engine.answers)

    async def broken(*_: object) -> bool:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(answers, "keep", broken)
        reply = await world.post(path, {"days": 7}, key="k")
    assert (reply.status, reply.code) == (503, "outcome_unknown")
    assert await extended(world) == "2026-11-04"
    assert (await world.post(path, {"days": 7}, key="k")).status == 200
    assert await extended(world) == "2026-11-11"


async def test_route_is_decided_anew_each_time_and_its_answer_not_stored(world: World) -> None:
    await world.stock()
    made = (await world.bind()).body
    ask = {"call_id": "c1", "caller": "13712345678", "host": HOST, "digits": made["extension"]}
    for _ in range(2):
        reply = await world.post("/v1/calls/route", ask, role="switch", key="k")
        assert reply.body["action"] == "connect"
    await world.post(f"/v1/bindings/{made['binding_id']}/release", {"reason": "x"})
    reply = await world.post("/v1/calls/route", ask, role="switch", key="k")
    assert reply.body["action"] == "reject"
    mismatch = await world.post("/v1/calls/route", ask | {"call_id": "c2"}, role="switch", key="k")
    assert mismatch.code == "idempotency_mismatch"
    assert await world.owner.fetchval("SELECT body FROM idempotency_keys") == b""


async def test_an_answer_is_not_given_again_to_a_key_that_lost_its_merchant(world: World) -> None:
    """It is asked anew, as under no Idempotency-Key; and what was done once is not done again."""
    await world.stock()
    binding = (await world.bind()).body
    made = (await world.post("/v1/keys", {"role": "isv"}, role="admin")).body
    isv = made["secret"]

    async def grant(method: str, merchant: str) -> None:
        reply = await world.call(method, f"/v1/merchants/{merchant}/grants/{made['key_id']}")
        assert reply.status == 200, reply.body

    async def asked(key: str | None) -> list[Any]:
        item = {"merchant_id": "m1", "order_id": "o1"}
        replies = [
            await world.post("/v1/labels/current", {"items": [item]}, role=isv, key=key),
            await world.post("/v1/orders/m1/o1/extend", {"days": 7}, role=isv, key=key),
        ]
        return [(reply.status, reply.body.get("results", reply.code)) for reply in replies]

    async def told() -> bool:
        return "18400913965" in str(await asked("k"))

    await grant("PUT", "m1")
    assert await told()
    assert await extended(world) == "2026-11-11"
    await grant("DELETE", "m1")
    assert await asked("k") == await asked(None)
    assert not await told()
    await grant("PUT", "m2")
    assert not await told()
    await grant("PUT", "m1")
    assert await told(), "asked anew, since it is tied to two now"
    assert await extended(world) == "2026-11-11", "the extension that was asked anew is undone"
    replay = await world.post("/v1/orders/m1/o1/extend", {"days": 7}, role=isv, key="k")
    assert (replay.body["expires_at"], replay.headers["Idempotency-Replayed"]) == ("2026-11-11T04:00:00Z", "true")
    await grant("DELETE", "m2")
    again = await world.post("/v1/orders/m1/o1/extend", {"days": 7}, role=isv, key="k")
    assert (again.raw, binding["expires_at"]) == (replay.raw, "2026-11-04T04:00:00Z")


async def test_after_24_hours_a_key_is_free(world: World) -> None:
    await world.stock()
    path = f"/v1/bindings/{(await world.bind()).body['binding_id']}/extend"
    for day in ("2026-11-11", "2026-11-18"):
        for _ in range(2):
            assert (await world.post(path, {"days": 7}, key="k")).status == 200
            assert await extended(world) == day
        await world.owner.execute("UPDATE idempotency_keys SET created_at = created_at - interval '24 hours'")


def test_what_no_answer_may_be_kept_for() -> None:
    """The codes that mean `try again` are all 5xx, or fleeting."""
    again = {Code.STORE_UNAVAILABLE, Code.OUTCOME_UNKNOWN, Code.OVERLOADED, Code.CLOCK_JUMP, Code.CLOSE_BLOCKED}
    assert {STATUS[code] for code in again} == {503}
    assert issubclass(ConnectionResetError, LOST)
    assert Refused(Code.OVERLOADED, "").refusal.code in again


async def test_another_request_under_a_claimed_key_is_refused_before_it_does_anything(world: World) -> None:
    """Two processes, one key, two orders: one of them is refused, and then not bound either."""
    await world.stock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Repeats, "_lock_of", lambda self, once: asyncio.Lock())
        replies = await asyncio.gather(*(world.post("/v1/bindings", order(f"o{n}"), key="k") for n in range(5)))
    assert sorted(reply.status for reply in replies) == [201, 422, 422, 422, 422]
    assert await world.rows("orders") == 1
