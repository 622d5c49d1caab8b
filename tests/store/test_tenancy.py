"""Row-level security: what PostgreSQL itself shows to a tied key's request, and that no table is without it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.engines import HOST, World, request, tied
from vnum.model.acting import acting, untied
from vnum.service.batch import Bound
from vnum.service.orders import Parcel

ROOT = Path(__file__).resolve().parents[2]

OF_MERCHANTS = """
SELECT c.oid, c.relname::text AS name, c.relkind::text AS kind, c.relrowsecurity AS secured,
       coalesce('security_invoker=true' = ANY (c.reloptions), false) AS invoker
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'merchant_id'
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
ORDER BY c.relname
"""

READABLE = """
SELECT c.relname::text AS name, c.relkind::text AS kind, c.relrowsecurity AS secured, c.relispartition AS part
FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (has_table_privilege($1, c.oid, 'SELECT') OR has_any_column_privilege($1, c.oid, 'SELECT'))
ORDER BY c.relname
"""

# What a tenant reads of tables that have no policies, and why nothing of a merchant stands there.
OF_NOBODY = {
    "clocks": "the highest instants committed",
    "clock_accepts": "the instants that an operator accepted",
    "migrations": "the names of migrations, for /readyz",
    "lifecycle_policy": "the platform's rules of a number's life",
    "message_templates": "the texts that a platform registered for all",
}

# Policies for vnum_tenant besides `tenant`, and whom they show what.
MORE = {
    ("waybills", "carrier"): "a carrier's own waybills",
    ("orders", "carrier"): "the orders of those",
    ("bindings", "carrier"): "and their bindings",
    ("labels_out", "carrier"): "and the labels of theirs that are out there",
    ("tariffs", "tenant"): "the price lists that his merchants pay",
    ("invoice_lines", "tenant"): "by its invoice",
    ("invoice_taxes", "tenant"): "by its invoice",
    ("note_lines", "tenant"): "by its note",
    ("note_carries", "tenant"): "by its note",
}


async def test_every_table_and_view_with_a_merchant_has_row_level_security(bare_world: World) -> None:
    found = await bare_world.owner.fetch(OF_MERCHANTS)
    tables = {row["name"]: row["secured"] for row in found if row["kind"] in "rp"}
    views = {row["name"]: row["invoker"] for row in found if row["kind"] == "v"}
    assert {"bindings", "orders", "calls", "invoices"} <= tables.keys()
    assert "usage_calls" in views
    for name, secured in tables.items():
        assert secured, f"{name} has a merchant_id and no row-level security: SELECT tenant_policies('{name}')"
    for name, invoker in views.items():
        assert invoker, f"{name} shows what its owner sees: CREATE VIEW {name} WITH (security_invoker = true)"
    assert not [row["name"] for row in found if row["kind"] == "m"], "a materialised view knows no policies"


async def test_every_policy_of_a_tenant_is_by_merchant_or_accounted_for(bare_world: World) -> None:
    policies = await bare_world.owner.fetch(
        "SELECT tablename::text AS name, policyname::text AS policy, roles::text[], qual, with_check, permissive, cmd "
        "FROM pg_policies WHERE schemaname = current_schema()"
    )
    secured = {row["name"] for row in policies}
    for row in policies:
        if row["roles"] == ["vnum_app"]:
            assert (row["qual"], row["permissive"]) == ("true", "PERMISSIVE"), row
            continue
        assert row["roles"] == ["vnum_tenant"], f"{row['name']}: nobody else reads by policies"
        if (row["name"], row["policy"]) in MORE:
            assert row["cmd"] == "SELECT"
            continue
        assert row["policy"] == "tenant", f"{row['name']}: say in MORE whom the policy {row['policy']} shows what"
        assert row["qual"].startswith("(merchant_id = ANY (( SELECT tied_merchants()"), row
        assert row["with_check"] == row["qual"], row
    roles = {(row["name"], *row["roles"]) for row in policies}
    assert roles == {(name, role) for name in secured for role in ("vnum_app", "vnum_tenant")}


async def test_what_a_tenant_reads_is_guarded_or_nobodys(bare_world: World) -> None:
    for row in await bare_world.owner.fetch(READABLE, "vnum_tenant"):
        assert not row["part"], f"{row['name']}: partitions are reached through their table only"
        if row["kind"] != "v" and not row["secured"]:
            assert row["name"] in OF_NOBODY, f"{row['name']}: a tenant reads it, and it has no row-level security"


@pytest.mark.parametrize("role", ["vnum_app", "vnum_tenant"])
async def test_no_role_gets_round_the_policies(bare_world: World, role: str) -> None:
    found = await bare_world.owner.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", role)
    assert not found["rolbypassrls"]
    assert not found["rolsuper"]
    assert not found["rolcreaterole"]
    owned = "pg_class WHERE relnamespace = current_schema()::regnamespace AND relowner = $1::regrole"
    assert await bare_world.count(owned, role) == 0
    parts = [row["name"] for row in await bare_world.owner.fetch(READABLE, role) if row["part"]]
    assert parts == []


@asynccontextmanager
async def as_tenant(world: World, setting: str | None = None, value: str = "") -> AsyncIterator[Any]:
    """A session in the role of tied keys, tied to nothing but what is said, its own way."""
    async with world.owner.transaction():
        await world.owner.execute("SET LOCAL ROLE vnum_tenant")
        if setting:
            await world.owner.execute("SELECT set_config($1, $2, true)", setting, value)
        yield world.owner


@pytest.fixture
async def two(world: World) -> World:
    """Merchants m and n, each with an order that SF carries a parcel of; n also has one with YTO."""
    await world.merchant("n")
    await world.bind("of-m", 1, parcels=[Parcel(carrier="SF", waybill_no="SF-m")])
    await world.bind("of-n", 2, merchant="n", parcels=[Parcel(carrier="SF", waybill_no="SF-n")])
    await world.bind("also-of-n", 3, merchant="n", parcels=[Parcel(carrier="YTO", waybill_no="YTO-n")])
    return world


BOUND = ("merchants", "orders", "bindings", "waybills", "usage_accounts", "usage_rentals")


@pytest.mark.parametrize("name", BOUND)
async def test_a_tenant_sees_the_tied_merchants_rows_only(two: World, name: str) -> None:
    query = f"SELECT DISTINCT merchant_id FROM {name}"
    seen = {}
    for tie in (None, "", "{}", "{m}", "{m,n}", "{x}", '{"m,n"}'):
        async with as_tenant(two, tie and "vnum.merchants", tie or "") as session:
            seen[tie] = {row["merchant_id"] for row in await session.fetch(query)}
    assert seen == {
        None: set(),
        "": set(),
        "{}": set(),
        "{m}": {"m"},
        "{m,n}": {"m", "n"},
        "{x}": set(),
        '{"m,n"}': set(),
    }


@pytest.mark.parametrize(
    ("carrier", "orders"),
    [("SF", {"of-m", "of-n"}), ("YTO", {"also-of-n"}), ("sf", set()), ("", set())],
)
async def test_a_carrier_sees_orders_and_bindings_by_his_waybills(two: World, carrier: str, orders: set[str]) -> None:
    async with as_tenant(two, "vnum.carrier", carrier) as session:
        for name in ("orders", "bindings", "waybills"):
            assert {row["order_id"] for row in await session.fetch(f"SELECT order_id FROM {name}")} == orders, name
        for name in ("merchants", "usage_accounts", "calls", "invoices", "disputes"):
            assert await session.fetchval(f"SELECT count(*) FROM {name}") == 0, name


FORBIDDEN = {
    "a foreign call is disputed": "INSERT INTO disputes (merchant_id, call_id, reason, author, opened_at) "
    "VALUES ('n', 'c', 'x', 'x', '2026-10-10+00')",
    "an answer is given": "INSERT INTO disputes (merchant_id, call_id, reason, author, opened_at, outcome) "
    "VALUES ('m', 'c', 'x', 'x', '2026-10-10+00', 'upheld')",
    "a dispute is changed": "UPDATE disputes SET merchant_id = 'm'",
    "a dispute is deleted": "DELETE FROM disputes",
    "a merchant is changed": "UPDATE merchants SET spend_cap = NULL",
    "a binding is made longer": "UPDATE bindings SET ended_at = 'infinity'",
    "an order is changed": "UPDATE orders SET order_status = 'shipped'",
    "a waybill is filed": "INSERT INTO waybills VALUES (0, 'SF', 'x', 'm', 'x')",
    "a price is chosen": "INSERT INTO tariff_assignments (merchant_id, effective_from, tariff_id, assigned_at, "
    "assigned_by) VALUES ('m', '2026-10-10+00', 'default', '2026-10-10+00', 'x')",
    "an invoice is written": "INSERT INTO invoices (invoice_number) VALUES ('x')",
    "a recipient is read": "SELECT recipient FROM bindings",
    "a recipient's name is read": "SELECT recipient_name FROM bindings",
    "recipients are told apart": "SELECT recipient_hash FROM orders",
    "who rang is read": "SELECT caller FROM calls",
    "callers are told apart": "SELECT caller_hash FROM calls",
    "a partition is read": "SELECT binding_id FROM bindings_2026_10",
    "slots are read": "SELECT * FROM slots",
    "hosts are read": "SELECT * FROM hosts",
    "keys are read": "SELECT * FROM api_keys",
    "kept answers are read": "SELECT * FROM idempotency_keys",
    "reviews are read": "SELECT * FROM call_reviews",
    "the audit is read": "SELECT * FROM audit_entries",
    "the audit is changed": "UPDATE audit_entries SET why = ''",
    "where calls lie is read": "SELECT * FROM call_keys",
    "a table is made": "CREATE TABLE mine (x int)",
    "months are made": "SELECT ensure_months('2031-01-01+00', '2031-03-31+00')",
}


@pytest.mark.parametrize("statement", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_a_tenant_is_refused_that(two: World, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with as_tenant(two, "vnum.merchants", "{m}") as session:
            await session.execute(statement)


async def test_a_tenant_disputes_his_own_calls(two: World) -> None:
    async with as_tenant(two, "vnum.merchants", "{m}") as session:
        await session.execute(FORBIDDEN["a foreign call is disputed"].replace("'n'", "'m'"))
        assert await session.fetchval("SELECT count(*) FROM disputes") == 1


WHO = "SELECT current_user::text || ' ' || (SELECT count(*) FROM merchants)"


async def test_every_way_through_the_pool_is_tied(two: World) -> None:
    database = two.engine.database
    seen = {}
    with tied({"m"}):
        seen["fetchval"] = await database.fetchval(WHO)
        seen["fetchrow"] = (await database.fetchrow(WHO))[0]
        seen["fetch"] = (await database.fetch(WHO))[0][0]
        async with database.acquire() as connection:
            seen["acquire"] = await connection.fetchval(WHO)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                (seen["cursor"],) = [row[0] async for row in connection.cursor(WHO)]
        seen["a task of its own"] = await asyncio.create_task(database.fetchval(WHO))
        with untied():
            assert acting().by == "k"
            assert await database.fetchval(WHO) == "vnum_app 2"
    assert set(seen.values()) == {"vnum_tenant 1"}, seen
    assert await database.fetchval(WHO) == "vnum_app 2"


@pytest.mark.parametrize(
    ("tie", "seen"),
    [
        ({"merchants": {"m", "n"}}, "vnum_tenant 2"),
        ({"merchants": set()}, "vnum_tenant 0"),
        ({"merchants": {"n'}", '"', ","}}, "vnum_tenant 0"),
        ({"carrier": "SF"}, "vnum_tenant 0"),
        ({"merchants": set(), "carrier": ""}, "vnum_tenant 0"),
    ],
)
async def test_what_a_tie_shows(two: World, tie: dict[str, Any], seen: str) -> None:
    with tied(**tie):
        assert await two.engine.database.fetchval(WHO) == seen


async def test_a_tied_connection_can_not_be_kept(two: World) -> None:
    with tied({"m"}), pytest.raises(TypeError):
        await two.engine.database.acquire()  # type: ignore[misc]


class TroubleError(Exception):
    pass


@pytest.mark.parametrize("trouble", ["none", "raised", "in SQL", "cancelled"])
async def test_after_its_use_a_connection_is_tied_to_nobody(two: World, trouble: str) -> None:
    """Every connection of the pool is used so, and then by everybody else."""
    database = two.engine.database

    async def use(ready: asyncio.Barrier) -> None:
        async with database.acquire() as connection:
            await ready.wait()
            if trouble == "raised":
                raise TroubleError
            if trouble == "in SQL":
                await connection.execute("SELECT 1 / 0")
            if trouble == "cancelled":
                await connection.execute("SELECT pg_sleep(60)")

    size = database.get_size()
    ready = asyncio.Barrier(size + 1)
    with tied({"m"}):
        uses = [asyncio.create_task(use(ready)) for _ in range(size)]
        await ready.wait()
        if trouble == "cancelled":
            for task in uses:
                task.cancel()
        await asyncio.gather(*uses, return_exceptions=True)
    assert all(task.done() for task in uses)

    async def look(ready: asyncio.Barrier) -> tuple[str, str]:
        async with database.acquire() as connection:
            await ready.wait()
            settings = "SELECT coalesce(current_setting('vnum.merchants', true), '')"
            return await connection.fetchval(WHO), await connection.fetchval(settings)

    ready = asyncio.Barrier(size)
    assert set(await asyncio.gather(*(look(ready) for _ in range(size)))) == {("vnum_app 2", "")}


async def test_a_batch_of_others_is_not_tied_with_who_submits(two: World) -> None:
    """A lane serves many: whoever began it lends it nothing of his tie."""
    with tied({"m"}):
        assert isinstance(await two.engine.binder.bind_one(request("of-n", 2, merchant="n")), Bound)


async def test_the_copy_of_hosts_is_everybodys(two: World) -> None:
    with tied({"m"}):
        await two.engine.registry.refresh(force=True)
        assert await two.engine.registry.get(HOST) is not None


def test_the_decision_lists_every_way_out_of_a_tie() -> None:
    decision = (ROOT / "docs/decisions/0024-two-guards-of-a-tie.md").read_text()
    out = {file for file in (ROOT / "vnum").rglob("*.py") if "with untied()" in file.read_text()}
    told = {file.relative_to(ROOT / "vnum").as_posix() for file in out}
    assert [name for name in sorted(told) if f"`{name}`" not in decision] == []
