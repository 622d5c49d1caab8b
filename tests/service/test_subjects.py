"""One person's rights: all that is held is told, without a number; erased, it is gone from everywhere but the bill."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.engines import DAY, World, on_pool, phone, the
from vnum.model.bindings import Binding
from vnum.model.refusals import Code, Refused
from vnum.service import subjects as service
from vnum.service.call_record import CallRecord
from vnum.service.hosts import NewHost
from vnum.service.labels import LabelItem
from vnum.service.subjects import Held

CALLER = "13700000009"
WRITTEN = ["139 0000 0001", "+86 13900000001", "008613900000001", "139-0000-0001", "１３９０００００００１"]


def call(world: World, binding: Binding, call_id: str, caller: str = CALLER, **changed: Any) -> CallRecord:
    fields = {
        "call_id": call_id,
        "host": binding.host,
        "extension": binding.extension,
        "caller": caller,
        "call_time": world.now,
        "answer_time": world.now,
        "release_time": world.now + timedelta(seconds=61),
    }
    return CallRecord(**(fields | changed))


async def held(world: World, number: str) -> list[Held]:
    found: list[Held] = []
    place: str | None = None
    while True:
        page = await world.engine.subjects.export(number, place)
        found += page.held
        place = page.next
        if place is None:
            return found


async def kinds(world: World, number: str) -> list[tuple[str, str]]:
    return [(one.kind, one.order_id or one.call_id or "") for one in await held(world, number)]


async def a_life(world: World) -> Binding:
    """Person 1: an old and a live binding, a call taken, a call made, a record that was not taken, a wrong extension.
    Person 2 beside him."""
    await world.bind("old", 1, ttl_days=1)
    world.pass_time(2 * DAY)
    live = await world.bind("live", 1, recipient_name="张三")
    other = await world.bind("other", 2)
    bad = {"host": "18499999999"}
    records = [
        call(world, live, "taken"),
        call(world, other, "made", phone(1)),
        call(world, other, "others"),
        call(world, other, "bad", "+86" + phone(1), **bad),
        call(world, other, "bad-2", **bad),
    ]
    await world.engine.records.report(records)
    free = next(str(digit) for digit in range(10) if str(digit) not in (live.extension, other.extension))
    wrong = Binding(**{name: getattr(other, name) for name in Binding.__struct_fields__} | {"extension": free})
    await world.dial(wrong, caller=phone(1), call_id="wrong")
    return live


async def test_all_that_is_held_is_told(world: World) -> None:
    live = await a_life(world)
    found = await held(world, phone(1))
    assert [(one.kind, one.order_id or "") for one in found] == [
        ("binding", "old"),
        ("binding", "live"),
        ("call_to", "live"),
        ("call_from", "other"),
        ("record", ""),
        ("wrong_extensions", ""),
    ]
    assert (found[1].binding_id, found[1].named, found[0].named) == (live.binding_id, True, False)
    assert [one.call_id for one in found[2:4]] == ["taken", "made"]
    assert phone(1) not in repr(found)
    for written in WRITTEN:
        assert await held(world, written) == found, written
    assert [kind for kind, _ in await kinds(world, phone(2))] == ["binding", "call_to", "call_to"]
    assert await held(world, phone(3)) == []


async def test_page_by_page_it_is_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await a_life(world)
    whole = await held(world, phone(1))
    monkeypatch.setattr(service, "PAGE", 1)
    monkeypatch.setattr(service, "MOST_RECORDS", 1)
    assert await held(world, phone(1)) == whole


@pytest.mark.parametrize(
    "after",
    ["x", "bindings:x", "calls_to:a,b,c", "calls_to:1", "calls_from:2026,x", "records:9,x", "records:-1,x", ":"],
)
async def test_a_place_that_no_page_named(world: World, after: str) -> None:
    with pytest.raises(Refused) as refused:
        await world.engine.subjects.export(phone(1), after)
    assert the(refused).code is Code.INVALID_REQUEST


@pytest.mark.parametrize("number", ["", "anonymous", "x", "1390000000x", "10086", "110"])
async def test_what_is_nobodys_phone(world: World, number: str) -> None:
    """Who withholds his number is many, and a service is nobody."""
    with pytest.raises(Refused) as refused:
        await world.engine.subjects.export(number)
    assert the(refused).code is Code.INVALID_PHONE
    with pytest.raises(Refused) as refused:
        await world.engine.subjects.erase(number, "asked")
    assert the(refused).code is Code.INVALID_PHONE


async def test_erased_nothing_is_held_any_more_and_the_others_lose_nothing(world: World) -> None:
    await a_life(world)
    before = await kinds(world, phone(2))
    caller = await kinds(world, CALLER)
    await world.engine.subjects.erase(phone(1), "request 7")
    assert await held(world, phone(1)) == []
    fingerprint = world.engine.vault.fingerprint("+86" + phone(1))
    for column, table in (
        ("recipient_hash", "bindings"),
        ("recipient_hash", "orders"),
        ("caller_hash", "calls"),
        ("caller_hash", "wrong_extensions"),
        ("caller_hash", "lockouts"),
    ):
        assert await world.count(f"{table} WHERE {column} = $1", fingerprint) == 0, table
    gone = await world.owner.fetch("SELECT * FROM bindings WHERE order_id IN ('old', 'live')")
    assert {(row["recipient"], row["recipient_hash"], row["recipient_name"]) for row in gone} == {(None, None, None)}
    assert await kinds(world, phone(2)) == before
    assert await kinds(world, CALLER) == caller
    assert await world.owner.fetchval("SELECT state FROM call_reviews WHERE record IS NULL") == "discarded"


async def test_the_next_call_is_refused_and_the_slot_waits_for_its_quarantine(world: World) -> None:
    live = await a_life(world)
    await world.engine.subjects.erase(phone(1), "asked")
    assert (await world.dial(live)).code is Code.RECIPIENT_ERASED
    slot = await world.owner.fetchrow("SELECT * FROM slots WHERE binding_id = $1", live.binding_id)
    assert (slot["ended_at"], slot["held_until"]) == (world.now, world.now + DAY)
    assert slot["holder_recipient"] is not None, "the memory that names nobody"
    row = await world.owner.fetchrow("SELECT * FROM bindings WHERE binding_id = $1", live.binding_id)
    assert (row["ended_at"], row["release_reason"]) == (world.now, "erased")


@pytest.mark.parametrize("order", ["old", "live"])
async def test_a_reissue_says_that_the_recipient_is_erased(world: World, order: str) -> None:
    await a_life(world)
    await world.engine.subjects.erase(phone(1), "asked")
    item = LabelItem(merchant_id="m", order_id=order)
    (label,) = await world.engine.labels.current([item], reissue=True)
    assert getattr(label, "code", None) is Code.RECIPIENT_ERASED
    again = await world.bind(order, 1)
    assert (await world.dial(again, call_id="again")).callee == "+86" + phone(1), "who orders again is reached again"


async def test_the_bill_stays_without_the_person(world: World) -> None:
    await a_life(world)
    await world.engine.subjects.erase(phone(1), "asked")
    row = await world.owner.fetchrow("SELECT * FROM calls WHERE call_id = 'made'")
    assert (row["minutes"], row["caller"], row["caller_hash"]) == (2, None, None)
    world.pass_time(30 * DAY)
    await world.engine.invoices.close("2026-10")
    days = 1 + 1 + 20  # of `old`; of `live`, which ended on its first; of `other`, from the 12th on
    (invoice,) = await world.engine.invoices.page(period="2026-10")
    assert invoice.total_exact == days * Decimal("0.00018") + 3 * Decimal("0.04")


async def test_erasing_again_changes_nothing(world: World) -> None:
    await a_life(world)
    await world.engine.subjects.erase(phone(1), "asked")
    rows = await world.owner.fetch("SELECT * FROM bindings ORDER BY binding_id")
    await world.engine.subjects.erase(phone(1), "asked")
    await world.engine.subjects.erase(phone(77), "asked")
    assert await world.owner.fetch("SELECT * FROM bindings ORDER BY binding_id") == rows


async def test_who_asked_and_why_is_written_with_ids_only(world: World) -> None:
    live = await a_life(world)
    await world.engine.subjects.export(phone(1))
    await world.engine.subjects.erase(phone(1), "request 7")
    rows = await world.owner.fetch("SELECT did, subjects, why, e::text AS row FROM audit_entries e ORDER BY entry_id")
    entries = {row["did"]: row for row in rows}
    assert str(live.binding_id) in entries["recipient.exported"]["subjects"]
    assert str(live.binding_id) in entries["recipient.erased"]["subjects"]
    assert (entries["caller.erased"]["subjects"], entries["caller.erased"]["why"]) == (["made"], "request 7")
    assert entries["recipient.erasure_done"]["subjects"] == ["bindings=2", "calls=1", "records=1"]
    assert not [row for row in rows if phone(1) in row["row"]]


async def test_no_phone_goes_into_the_reason(world: World) -> None:
    binding = await world.bind("a")
    with pytest.raises(Refused) as refused:
        await world.engine.subjects.erase(phone(1), f"mine is {phone(1)}")
    assert the(refused).code is Code.INVALID_REQUEST
    assert (await world.dial(binding)).callee == "+86" + phone(1)


async def test_an_erasure_that_broke_off_is_finished_by_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await a_life(world)

    async def dies(*_: object) -> None:
        raise ConnectionError

    for name in ("erase_bindings", "erase_calls", "erase_traces"):
        with monkeypatch.context() as patch:
            patch.setattr(service.stored, name, dies)
            with pytest.raises(ConnectionError):
                await world.engine.subjects.erase(phone(1), "asked")
    await world.engine.subjects.erase(phone(1), "asked")
    assert await held(world, phone(1)) == []


async def test_it_is_found_in_every_cell(world: World) -> None:
    many = on_pool(world, world.engine.pool, cells=4)
    for n in range(4):
        await many.engine.hosts.add(NewHost(host=f"1840000010{n}"))
    for n in range(8):
        await many.bind(f"o{n}", 1)
    assert len(await held(many, phone(1))) == 8
    await many.engine.subjects.erase(phone(1), "asked")
    assert await held(many, phone(1)) == []
