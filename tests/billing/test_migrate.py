"""The migration runner: once, in order, whole, by one process; and it refuses what it cannot know."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from billing.errors import MigrationChanged, MigrationUnknown, SchemaInvalid
from billing.migrate import Migration, apply, load

ONE = Migration(name="demo/0001_one", sql="CREATE TABLE one (x int); INSERT INTO one VALUES (1)")
TWO = Migration(name="demo/0002_two", sql="CREATE TABLE two (x int)")
OTHER = Migration(name="other/0001_one", sql="CREATE TABLE other (x int)")


async def test_each_script_is_applied_once(connect: Callable[..., Any], schema: str) -> None:
    owner = await connect(owner=True)
    assert await apply(owner, schema, [ONE]) == ["demo/0001_one"]
    assert await apply(owner, schema, [ONE, TWO]) == ["demo/0002_two"]
    assert await apply(owner, schema, [ONE, TWO]) == []
    assert await owner.fetchval("SELECT count(*) FROM one") == 1
    assert await owner.fetchval("SELECT current_schema()") == schema
    rows = await owner.fetch("SELECT name, checksum FROM migrations ORDER BY name")
    assert [tuple(row) for row in rows] == [(m.name, m.checksum) for m in (ONE, TWO)]


async def test_processes_that_start_at_once(connect: Callable[..., Any], schema: str) -> None:
    sessions = [await connect(owner=True) for _ in range(6)]
    ledger = load("billing", "billing")
    applied = await asyncio.gather(*(apply(session, schema, [*ledger, ONE]) for session in sessions))
    assert sorted(map(len, applied)) == [0, 0, 0, 0, 0, len(ledger) + 1]


async def test_a_script_that_fails_leaves_nothing(connect: Callable[..., Any], schema: str) -> None:
    owner = await connect(owner=True)
    broken = Migration(name="demo/0002_two", sql=f"{TWO.sql}; SELECT 1/0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await apply(owner, schema, [ONE, broken])
    assert await apply(await connect(owner=True), schema, [ONE, TWO]) == ["demo/0002_two"]


async def test_a_script_that_was_edited_is_refused(connect: Callable[..., Any], schema: str) -> None:
    owner = await connect(owner=True)
    await apply(owner, schema, [ONE])
    with pytest.raises(MigrationChanged, match="demo/0001_one") as refused:
        await apply(owner, schema, [Migration(name=ONE.name, sql=ONE.sql + " "), TWO])
    assert refused.value.code == "migration_changed"
    assert await owner.fetchval("SELECT to_regclass('two')") is None


async def test_a_newer_release_is_not_undone(connect: Callable[..., Any], schema: str) -> None:
    owner = await connect(owner=True)
    await apply(owner, schema, [ONE, TWO])
    with pytest.raises(MigrationUnknown, match="demo/0002_two"):
        await apply(owner, schema, [ONE])
    assert await apply(owner, schema, [OTHER]) == ["other/0001_one"]  # another package's scripts are no matter of its


@pytest.mark.parametrize("name", ["", "Public", "a-b", 'a"; DROP SCHEMA public; --', "1a", "a" * 64, "ä"])
async def test_names_of_schemas(connect: Callable[..., Any], name: str) -> None:
    with pytest.raises(SchemaInvalid):
        await apply(await connect(owner=True), name, [])


def test_the_ledgers_own_scripts() -> None:
    names = [migration.name for migration in load("billing", "billing")]
    assert names[0] == "billing/0001_ledger"
    assert names == sorted(names)
