"""The audit: what is written of every change and of every number read, and what its chain shows when it is touched."""

import asyncio
from datetime import timedelta

import pytest
from asyncpg import InsufficientPrivilegeError, PostgresError

from tests.engines import DAY, START, World, request
from vnum.model.acting import Acting, act
from vnum.service.audit import Entry, Verdict

HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=1)  # ids are in order of milliseconds


async def entries(world: World) -> list[Entry]:
    """Oldest first."""
    found = await world.engine.audit.entries(0, START - HOUR, world.now + HOUR)
    return found[::-1]


async def verdict(world: World, **kept: str) -> Verdict:
    return await world.engine.audit.verify(0, {int(number.removeprefix("n")): text for number, text in kept.items()})


async def some_life(world: World) -> str:
    """A binding made by a key, extended and called, then released by another; its id."""
    act(Acting("aa11"))
    binding = await world.bind("o1")
    world.pass_time(MOMENT)
    await world.engine.lifetime.extend(binding.binding_id, 7)
    world.pass_time(MOMENT)
    act(Acting("switch1"))
    await world.dial(binding)
    world.pass_time(MOMENT)
    act(Acting("bb22"))
    await world.engine.lifetime.release(binding.binding_id, "not wanted")
    return str(binding.binding_id)


async def test_every_step_of_a_binding_says_who_and_why(world: World) -> None:
    binding_id = await some_life(world)
    found = await entries(world)
    assert [(entry.did, entry.by, entry.ids) for entry in found] == [
        ("binding.bound", ["aa11"], [binding_id]),
        ("binding.extended", ["aa11"], [binding_id]),
        ("number.read", ["switch1"], [binding_id]),
        ("binding.released", ["bb22"], [binding_id]),
    ]
    assert [entry.why for entry in found] == [None, "until 2026-11-16T09:30:00Z", None, "not wanted"]


async def test_a_batch_is_one_entry_that_names_who_asked_for_each(world: World) -> None:
    async def bind(by: str, order: str, number: int) -> None:
        act(Acting(by))
        await world.engine.binder.bind_one(request(order, number))

    await asyncio.gather(*(bind(f"key{n % 2}", f"o{n}", n) for n in range(6)))
    found = [entry for entry in await entries(world) if entry.did == "binding.bound"]
    assert len(found) < 6  # concurrent requests shared statements
    told = {binding_id: by for entry in found for by, binding_id in zip(entry.by, entry.ids, strict=True)}
    orders = await world.owner.fetch("SELECT binding_id::text, order_id FROM bindings")
    assert told == {row["binding_id"]: f"key{int(row['order_id'][1:]) % 2}" for row in orders}


async def test_what_was_refused_or_undone_leaves_no_entry(world: World) -> None:
    await world.fill(9)
    before = len(await entries(world))
    await world.refusal("one-too-many", 77)
    await world.refusal("no-merchant", 78, merchant="nobody")
    assert len(await entries(world)) == before


async def test_a_call_that_is_refused_reads_no_number(world: World) -> None:
    binding = await world.bind("o1")
    world.pass_time(31 * DAY)
    await world.dial(binding)
    assert "number.read" not in {entry.did for entry in await entries(world)}


async def test_the_chain_of_a_life_is_whole_and_its_head_is_found_again(world: World) -> None:
    await some_life(world)
    first = await verdict(world)
    assert (first.entries, first.last, first.waiting, first.broken_at) == (4, 4, 0, None)
    await world.bind("o2", 2)
    later = await verdict(world, n4=first.head)
    assert (later.entries, later.broken_at) == (5, None)
    assert later.head != first.head


TOUCHED = {
    "who": "UPDATE audit_entries SET actors = '{zz}' WHERE seq = 2",
    "what": "UPDATE audit_entries SET subjects = '{zz}' WHERE seq = 2",
    "why": "UPDATE audit_entries SET why = 'zz' WHERE seq = 2",
    "when": "UPDATE audit_entries SET at = at - interval '1 microsecond' WHERE seq = 2",
    "taken away": "DELETE FROM audit_entries WHERE seq = 2",
    "two in each other's place": "UPDATE audit_entries SET seq = -seq; UPDATE audit_entries SET seq = CASE seq "
    "WHEN -2 THEN 3 WHEN -3 THEN 2 ELSE -seq END",
}


@pytest.mark.parametrize("change", TOUCHED.values(), ids=TOUCHED)
async def test_an_entry_touched_behind_the_engine_is_found(world: World, change: str) -> None:
    await some_life(world)
    assert (await verdict(world)).broken_at is None
    await world.owner.execute(change)
    assert (await verdict(world)).broken_at == 2


async def test_an_end_that_was_cut_off_is_found(world: World) -> None:
    await some_life(world)
    kept = await verdict(world)
    await world.owner.execute("DELETE FROM audit_entries WHERE seq = 4")
    assert (await verdict(world)).broken_at == 4
    # even when the head was set back too, by who kept what was printed
    await world.owner.execute(
        "UPDATE audit_heads SET (seq, hash) = (SELECT seq, hash FROM audit_entries WHERE seq = 3)"
    )
    assert (await verdict(world)).broken_at is None
    assert (await verdict(world, n4=kept.head)).broken_at == 4


async def test_a_chain_written_anew_is_found_by_a_head_kept_elsewhere(world: World) -> None:
    await some_life(world)
    kept = await verdict(world)
    await world.owner.execute("UPDATE audit_entries SET actors = '{zz}' WHERE seq = 2")
    await world.owner.execute("UPDATE audit_entries SET seq = NULL, hash = NULL")
    await world.owner.execute("DELETE FROM audit_heads")
    assert (await verdict(world)).broken_at is None
    assert (await verdict(world, n4=kept.head)).broken_at == 4


@pytest.mark.parametrize("why", ['quo"ted', "back\\slash", "中文 和 emoji 😀", "tab\tnew\nline \x01 \x7f", "</script>"])
async def test_any_text_is_hashed_alike_here_and_in_the_database(world: World, why: str) -> None:
    await world.engine.audit.note("POST /v1/x", [why], why)
    found = await verdict(world)
    assert (found.entries, found.broken_at) == (1, None)


async def test_entries_linked_by_several_workers_at_once_make_one_chain(world: World) -> None:
    for n in range(40):
        await world.engine.audit.note("x", [str(n)])
    counts = await asyncio.gather(*(world.engine.audit.link() for _ in range(6)))
    assert sum(counts) == 40
    found = await verdict(world)
    assert (found.entries, found.last, found.broken_at) == (40, 40, None)


FORBIDDEN = {
    "an entry is changed": "UPDATE audit_entries SET why = ''",
    "an entry is taken away": "DELETE FROM audit_entries",
    "all are": "TRUNCATE audit_entries",
    "the head is moved": "UPDATE audit_heads SET seq = 0",
    "a head is made": "INSERT INTO audit_heads (cell, seq, hash) VALUES (9, 0, '')",
}


@pytest.mark.parametrize("statement", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_the_application_may_not_see_to_it_that(world: World, statement: str) -> None:
    with pytest.raises(InsufficientPrivilegeError):
        await world.engine.database.execute(statement)


async def test_old_entries_are_forgotten_and_the_rest_is_a_chain_still(world: World) -> None:
    await some_life(world)
    await verdict(world)
    await world.owner.execute("UPDATE audit_entries SET at = at - interval '3 years' WHERE seq <= 2")
    await world.owner.execute("UPDATE audit_entries SET seq = NULL, hash = NULL")
    await world.owner.execute("DELETE FROM audit_heads")
    await verdict(world)
    dropped = await world.engine.database.fetchval("SELECT forget_audit(0::smallint, $1)", START - 800 * DAY)
    found = await verdict(world)
    assert (dropped, found.entries, found.last, found.broken_at) == (2, 2, 4, None)


async def test_young_entries_can_not_be_forgotten(world: World) -> None:
    await some_life(world)
    with pytest.raises(PostgresError, match="half a year"):
        await world.engine.database.fetchval("SELECT forget_audit(0::smallint, clock_timestamp())")
