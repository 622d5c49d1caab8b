"""Data keys: made once whoever asks, months ahead; the master key is proved on start and replaced while all goes on."""

import asyncio
import os
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from tests.engines import DAY, START, World, open_world, phone
from vnum.engine import open_engine
from vnum.servers import Endpoints
from vnum.service import data_keys
from vnum.service.clock import ManualClock
from vnum.service.data_keys import make_ahead, open_vault, rotate
from vnum.store import data_keys as stored
from vnum.vault import KeyFileError, KeyPlace, LocalMaster, MasterKey, open_master

KMS = """
import sys
verb, given = sys.argv[-1], bytes.fromhex(sys.stdin.readline().strip())
mark = bytes.fromhex("{mark}")
if verb == "wrap":
    print((mark + bytes(b ^ mark[0] for b in given)).hex())
elif given.startswith(mark):
    print(bytes(b ^ mark[0] for b in given[len(mark):]).hex())
else:
    print("not mine:", given.hex(), file=sys.stderr)
    sys.exit(3)
"""
"""A key management service as far as a test needs one."""


def kms(folder: Path, mark: str) -> str:
    script = folder / f"kms_{mark}.py"
    script.write_text(KMS.format(mark=mark))
    return f"{sys.executable} {script}"


def place(folder: Path, key_id: int) -> KeyPlace:
    """A master key out of a file."""
    file = folder / f"key-{key_id}"
    if not file.exists():
        file.touch(0o600)
        file.write_text(f"{key_id}:{os.urandom(32).hex()}\n")
    return KeyPlace(file=file)


def master(key_place: KeyPlace) -> Any:
    return open_master(key_place, may_make=False)


async def months(world: World) -> list[date]:
    return [row.month for row in await stored.all_of(world.engine.database) if row.month]


async def test_a_database_begins_with_its_keys_and_those_of_three_months_more(bare_world: World) -> None:
    rows = await stored.all_of(bare_world.engine.database)
    assert [(row.purpose, row.month) for row in rows] == [
        ("standing", None),
        ("index", None),
        ("month", date(2026, 10, 1)),
        ("month", date(2026, 11, 1)),
        ("month", date(2026, 12, 1)),
        ("month", date(2027, 1, 1)),
    ]
    assert len({row.wrapped for row in rows}) == len(rows)
    assert {len(row.wrapped or b"") for row in rows} == {12 + 32 + 16}


@pytest.mark.parametrize("start", [datetime(2026, 1, 31, 23, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)], ids=str)
async def test_no_month_ahead_is_left_out(bare_world: World, start: datetime) -> None:
    await make_ahead(bare_world.engine.vault, start)
    first = start.year * 12 + start.month - 1
    ahead = {date(n // 12, n % 12 + 1, 1) for n in range(first, first + 4)}
    assert ahead <= set(await months(bare_world))


async def test_what_is_bound_and_called_is_sealed_by_its_month(world: World) -> None:
    october = await world.bind("a")
    world.pass_time(25 * DAY)
    november = await world.bind("b", 2)
    rows = await world.owner.fetch("SELECT binding_id, key_id FROM bindings ORDER BY bound_at")
    by_month = {row.month: row.key_id for row in await stored.all_of(world.engine.database)}
    assert [row["key_id"] for row in rows] == [by_month[date(2026, 10, 1)], by_month[date(2026, 11, 1)]]
    assert (await world.dial(october)).callee == "+86" + phone(1)
    assert (await world.dial(november, call_id="c2")).callee == "+86" + phone(2)


async def test_many_processes_at_once_make_one_key_each(bare_world: World) -> None:
    """At the first start, and when a month comes that nobody made a key for."""
    database, keys = bare_world.engine.database, bare_world.parts.key_place
    await bare_world.owner.execute("TRUNCATE data_keys")
    vaults = await asyncio.gather(*(open_vault(database, keys, may_make=False) for _ in range(6)))
    assert len({vault.fingerprint("x") for vault in vaults}) == 1
    late = datetime(2031, 5, 5, tzinfo=UTC)
    assert len({*await asyncio.gather(*(vault.month(late) for vault in vaults))}) == 1
    assert len(await stored.all_of(database)) == 3


async def test_a_worker_reads_a_key_that_another_made(world: World) -> None:
    """Both of a month that neither had made ahead."""
    async with open_engine(world.parts, clock=world.clock) as other:
        world.pass_time(400 * DAY)
        await make_ahead(other.vault, world.now)
        await world.owner.execute("SELECT ensure_months($1, $1)", world.now)
        elsewhere = World(other, world.owner, world.clock, world.parts)
        binding = await elsewhere.bind("a")
        assert (await world.dial(binding)).callee == "+86" + phone(1)


# The master key


async def test_another_master_key_is_told_and_nothing_is_changed(world: World, tmp_path: Path) -> None:
    before = await stored.all_of(world.engine.database)
    same_id = KeyPlace(file=tmp_path / "x", text="1:" + "ab" * 32)
    with pytest.raises(KeyFileError, match="not the master key that this database was sealed with; put that one back"):
        await open_vault(world.engine.database, same_id, may_make=True)
    with pytest.raises(KeyFileError, match="wrapped by key id 1, this is key id 2") as told:
        await open_vault(world.engine.database, place(tmp_path, 2), may_make=True)
    assert "vnum keys master rotate" in str(told.value)
    assert await stored.all_of(world.engine.database) == before


async def test_a_wrapped_key_opens_in_its_own_row_only(world: World) -> None:
    await world.owner.execute(
        """UPDATE data_keys k SET wrapped = o.wrapped FROM data_keys o
           WHERE k.month = '2026-10-01' AND o.month = '2026-11-01'"""
    )
    with pytest.raises(KeyFileError, match="not the master key"):
        await open_vault(world.engine.database, world.parts.key_place, may_make=False)


async def test_the_master_key_is_replaced_while_workers_serve(world: World, tmp_path: Path) -> None:
    engine, old, new = world.engine, world.parts.key_place, place(tmp_path, 2)
    before = await world.bind("before")
    stop = asyncio.Event()

    async def serve() -> int:
        done = 0
        while not stop.is_set() or not done:
            assert (await world.dial(before, call_id=f"c{done}")).callee == "+86" + phone(1)
            done += 1
        return done

    serving = asyncio.create_task(serve())
    count = await rotate(engine.database, old, master(new))
    meanwhile = await world.bind("meanwhile", 2)
    stop.set()
    assert await serving > 0
    rows = await stored.all_of(engine.database)
    assert count == len(rows)
    assert {row.master_id for row in rows} == {2}
    with pytest.raises(KeyFileError, match="wrapped by key id 2, this is key id 1"):
        await open_vault(engine.database, old, may_make=False)
    parts = msgspec.structs.replace(world.parts, key_file=new.file)
    async with open_engine(parts, clock=world.clock) as fresh:
        elsewhere = World(fresh, world.owner, world.clock, parts)
        assert (await elsewhere.dial(before, call_id="d1")).callee == "+86" + phone(1)
        assert (await elsewhere.dial(meanwhile, call_id="d2")).callee == "+86" + phone(2)
        after = await elsewhere.bind("after", 3)
        assert fresh.vault.fingerprint("x") == engine.vault.fingerprint("x")
    assert (await world.dial(after, call_id="d3")).callee == "+86" + phone(3)


async def test_a_worker_with_the_old_key_goes_on_and_makes_none_that_others_could_not_read(
    world: World, tmp_path: Path
) -> None:
    engine = world.engine
    await rotate(engine.database, world.parts.key_place, master(place(tmp_path, 2)))
    with structlog.testing.capture_logs() as logs:
        await engine.vault.refresh()
    assert [line["event"] for line in logs] == ["master_key_replaced"]
    assert "key id 2" in logs[0]["do"]
    assert (await world.dial(await world.bind("a"))).callee == "+86" + phone(1)
    before = await stored.all_of(engine.database)
    with pytest.raises(KeyFileError, match="wrapped by key id 2"):
        await engine.vault.month(START + 400 * DAY)
    assert await stored.all_of(engine.database) == before


async def test_rotating_again_changes_nothing(world: World, tmp_path: Path) -> None:
    database, old, new = world.engine.database, world.parts.key_place, place(tmp_path, 2)
    assert await rotate(database, old, master(new)) == 6
    rows = await stored.all_of(database)
    for settings in (old, new):  # before the settings name the new one, and after
        assert await rotate(database, settings, master(new)) == 0
    assert await stored.all_of(database) == rows
    assert await rotate(database, new, master(old)) == 6, "and back"


async def test_a_rotation_that_dies_leaves_the_old_key_in_force(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, old, new = world.engine.database, world.parts.key_place, place(tmp_path, 2)
    rewrap = stored.rewrap

    async def dies(*args: Any) -> None:
        await rewrap(*args)
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(stored, "rewrap", dies)
        with pytest.raises(ConnectionError):
            await rotate(database, old, master(new))
    await open_vault(database, old, may_make=False)
    assert await rotate(database, old, master(new)) == 6


async def test_a_key_that_comes_while_all_are_rewrapped_is_rewrapped_as_well(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, old, new = world.engine, world.parts.key_place, place(tmp_path, 2)
    late = START + 400 * DAY
    wrapping = LocalMaster.wrap
    made: list[int] = []

    async def slow(self: LocalMaster, key: bytes, context: bytes) -> bytes:
        if self.master_id == 2 and not made:
            made.append(0)
            made[0] = await engine.vault.month(late)
        return await wrapping(self, key, context)

    monkeypatch.setattr(data_keys, "try_out", lambda _: asyncio.sleep(0))
    monkeypatch.setattr(LocalMaster, "wrap", slow)
    assert await rotate(engine.database, old, master(new)) == 7
    assert {row.master_id for row in await stored.all_of(engine.database)} == {2}
    assert (await open_vault(engine.database, new, may_make=False)).opens(made[0])


async def test_a_new_key_needs_an_id_of_its_own(world: World) -> None:
    same = LocalMaster(MasterKey(1, bytes(32)), "new")
    with pytest.raises(KeyFileError, match="has the id of the master key in use, 1"):
        await rotate(world.engine.database, world.parts.key_place, same)


async def test_the_key_may_come_from_the_environment_or_from_a_kms(
    endpoints: Endpoints, schema: str, tmp_path: Path
) -> None:
    clock = ManualClock(START)
    text = "7:" + os.urandom(32).hex()
    async with open_world(endpoints, schema, tmp_path, clock=clock, key_text=text) as world:
        await world.merchant()
        await world.host()
        binding = await world.bind("a")
        assert not (tmp_path / "master.key").exists()
        mine = KeyPlace(file=tmp_path, command=kms(tmp_path, "5a5b"))
        assert await rotate(world.engine.database, world.parts.key_place, master(mine)) == 6
        assert await rotate(world.engine.database, mine, master(mine)) == 0
        parts = msgspec.structs.replace(world.parts, key_text=None, key_command=mine.command)
        async with open_engine(parts, clock=clock) as fresh:
            elsewhere = World(fresh, world.owner, clock, parts)
            assert (await elsewhere.dial(binding)).callee == "+86" + phone(1)
        other = KeyPlace(file=tmp_path, command=kms(tmp_path, "1112"))
        with pytest.raises(KeyFileError, match=r"`unwrap` failed with exit code 3: not mine: \.\.\."):
            await open_vault(world.engine.database, other, may_make=False)
        assert await rotate(world.engine.database, mine, master(other)) == 6, "from one KMS to another"
