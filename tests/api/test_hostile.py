"""What a hostile reviewer tried and got: each of these said too much, or harmed others, once."""

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
