"""What the migrations come to: fit for cells, free of triggers, and the same as the committed snapshot."""

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import asyncpg
import pytest

from tests.engines import World, connect_owner
from vnum.finance import apply_migrations
from vnum.servers import Endpoints
from vnum.store.migrate import drop, migrate, missing, needed

ROOT = Path(__file__).resolve().parents[2]
GROWING = [
    "slots",
    "orders",
    "bindings",
    "waybills",
    "call_keys",
    "calls",
    "call_reviews",
    "wrong_extensions",
    "lockouts",
    "clocks",
    "orphans",
    "labels_out",
    "prints",
    "order_events",
    "recipient_changes",
    "webhook_deliveries",
    "webhook_sweeps",
    "messages",
    "contacts",
    "texted",
    "reached",
    "call_attempts",
    "call_marks",
]
MIGRATE = """
import asyncio, sys
from vnum.store.migrate import migrate
print(asyncio.run(migrate(sys.argv[1], sys.argv[2])))
"""


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("table", GROWING)
async def test_what_grows_has_its_cell_first_in_every_unique_key(bare_world: World, table: str) -> None:
    keys = await bare_world.owner.fetch(
        """SELECT i.indisprimary, a.attname FROM pg_index i
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
           WHERE i.indrelid = $1::regclass AND i.indisunique""",
        table,
    )
    assert any(row["indisprimary"] for row in keys)
    assert {row["attname"] for row in keys} == {"cell"}
    types = await bare_world.owner.fetchval(
        """SELECT format_type(atttypid, atttypmod) FROM pg_attribute
           WHERE attrelid = $1::regclass AND attname = 'cell'""",
        table,
    )
    assert types == "smallint"


@pytest.mark.parametrize("table", GROWING)
async def test_what_grows_has_no_trigger_and_no_foreign_key(bare_world: World, table: str) -> None:
    assert await bare_world.count("pg_trigger WHERE tgrelid = $1::regclass", table) == 0
    bound = "pg_constraint WHERE contype = 'f' AND $1::regclass IN (conrelid, confrelid)"
    assert await bare_world.count(bound, table) == 0


async def test_keys_compare_as_bytes(bare_world: World) -> None:
    """Codes, never words: and the order is the same on every server."""
    rows = await bare_world.owner.fetch(
        """SELECT DISTINCT c.relname, a.attname, l.collname
           FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
           JOIN pg_collation l ON l.oid = a.attcollation
           WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY ($1) AND i.indisunique""",
        GROWING,
    )
    assert rows
    assert {row["collname"] for row in rows} == {"C"}


async def test_the_schema_is_the_one_committed(endpoints: Endpoints) -> None:
    """After a change: python scripts/schema_snapshot.py."""
    snapshot = script("schema_snapshot")
    await migrate(endpoints.postgres_admin_dsn, "as_committed")
    owner = await connect_owner(endpoints, "as_committed")
    try:
        assert await snapshot.snapshot(owner, "as_committed") == snapshot.SNAPSHOT.read_text(encoding="utf-8")
    finally:
        await owner.close()
        await drop(endpoints.postgres_admin_dsn, "as_committed")


async def test_migrating_twice_changes_nothing(endpoints: Endpoints) -> None:
    first = await migrate(endpoints.postgres_admin_dsn, "twice")
    assert first[0] == "billing/0001_ledger"
    assert "vnum/0001_core" in first
    assert await migrate(endpoints.postgres_admin_dsn, "twice") == []
    await drop(endpoints.postgres_admin_dsn, "twice")


async def test_calls_that_were_filed_before_are_found_by_their_id(endpoints: Endpoints) -> None:
    """And what was kept aside before is open."""
    connection = await asyncpg.connect(endpoints.postgres_admin_dsn)
    try:
        scripts = needed()
        last = next(n for n, script in enumerate(scripts) if script.name == "vnum/0004_reviews")
        await apply_migrations(connection, "older", scripts[:last])
        await connection.execute(
            """SELECT ensure_months('2026-10-01+00', '2026-10-31+00');
               INSERT INTO call_keys (cell, call_id, binding_id, content) VALUES
                   (3, 'filed', gen_random_uuid(), 'x'), (3, 'routed', gen_random_uuid(), NULL);
               INSERT INTO calls (cell, call_id, biz_at, host, binding_id, merchant_id, order_id, key_id, call_time,
                                  release_time, seconds, minutes, units, unit_s, rate, setup_fee, cost, tariff_id,
                                  tariff_version, late)
               VALUES (1, 'filed', '2026-10-05 04:00:10+00', 'h', gen_random_uuid(), 'm', 'o', 1,
                       '2026-10-05 04:00:00+00', '2026-10-05 04:01:10+00', 60, 1, 1, 60, 0.02, 0, 0.02, 'default', 1,
                       false);
               INSERT INTO call_reviews (cell, review_id, call_id, received_at, status, code, content, key_id, record)
               VALUES (0, gen_random_uuid(), 'c', '2026-10-05+00', 'rejected', 'no_binding', 'x', 1, 'x')"""
        )
        await apply_migrations(connection, "older", scripts)
        rows = await connection.fetch("SELECT call_id, biz_at = '2026-10-05 04:00:10+00' FROM call_keys ORDER BY 1")
        assert [tuple(row) for row in rows] == [("filed", True), ("routed", None)]
        assert tuple(await connection.fetchrow("SELECT state, detail FROM call_reviews")) == ("open", "")
    finally:
        await connection.close()
        await drop(endpoints.postgres_admin_dsn, "older")


async def test_two_processes_may_migrate_at_once(endpoints: Endpoints) -> None:
    command = [sys.executable, "-c", MIGRATE, endpoints.postgres_admin_dsn, "at_once"]
    processes = [
        await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    told = [(await process.communicate())[0].decode().strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(text == "[]" for text in told) == [False, True], "one does the work, the other finds it done"
    await drop(endpoints.postgres_admin_dsn, "at_once")


@pytest.mark.parametrize("name", ["Upper", "with space", "x;drop", "", "9lives", "x" * 64])
async def test_a_schema_has_a_plain_name(endpoints: Endpoints, name: str) -> None:
    with pytest.raises(ValueError, match="schema"):
        await migrate(endpoints.postgres_admin_dsn, name)


async def test_a_worker_can_tell_that_migrations_are_missing(bare_world: World) -> None:
    assert await missing(bare_world.engine.database) == []
    taken = await bare_world.owner.fetchrow("DELETE FROM migrations WHERE name = 'vnum/0001_core' RETURNING *")
    try:
        assert await missing(bare_world.engine.database) == ["vnum/0001_core"]
    finally:
        await bare_world.owner.execute("INSERT INTO migrations VALUES ($1, $2, $3)", *taken)
