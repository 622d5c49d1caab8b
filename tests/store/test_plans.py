"""The statements of the hot path, explained on tables of some thousand rows: nothing is read from end to end.

`plan_cache_mode` is force_generic_plan in service, and so it is here: what is explained is what runs.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from billing.queries import load_queries
from tests.engines import START, World, open_world
from vnum.model.ids import new_id
from vnum.servers import Endpoints
from vnum.service.clock import ManualClock
from vnum.store.queries import queries

ROWS = 6_000
BIG = {"slots", "orders", "bindings", "call_keys", "waybills", "lockouts", "wrong_extensions", "calls"} | {
    "opt_outs",
    "callers",
    "blacklist",
    "call_policies",
    "contacts",
    "reached",
    "call_attempts",
    "call_marks",
    "dials",
    "call_states",
}

FILL = f"""
INSERT INTO merchants (merchant_id, name, created_at) SELECT 'm' || n, 'm', '2026-01-01' FROM generate_series(0, 999) n;
INSERT INTO hosts (host, cell, plan, ext_digits, ext_check, quarantine_days, state, created_at)
SELECT '184' || lpad(n::text, 8, '0'), 0, 'host_ext', 4, 'none', 90, 'active', '2026-01-01'
FROM generate_series(0, 9) n;
CREATE TEMPORARY TABLE filling AS
SELECT n, ('0192' || lpad(to_hex(n), 8, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid AS id,
       'm' || n % 1000 AS merchant, 'order-' || n AS order_id, '184' || lpad((n % 10)::text, 8, '0') AS host,
       lpad((n / 10)::text, 4, '0') AS extension, decode(lpad(to_hex(n), 32, '0'), 'hex') AS hash
FROM generate_series(1, {ROWS}) n;
UPDATE filling SET id = ($1 || substr(id::text, 14))::uuid;
INSERT INTO slots (cell, host, extension, binding_id, ended_at, held_until)
SELECT 0, host, extension, id, '2026-11-01', '2027-01-01' FROM filling;
INSERT INTO orders (cell, merchant_id, order_id, binding_id, host, extension, mode, order_status, bound_at, ended_at)
SELECT 0, merchant, order_id, id, host, extension, 'axe', 'shipped', '2026-10-01', '2026-11-01' FROM filling;
INSERT INTO bindings (cell, binding_id, merchant_id, order_id, host, extension, mode, city_strict, ttl_days, bound_at,
                      expires_at, ended_at, key_id)
SELECT 0, id, merchant, order_id, host, extension, 'axe', false, 30, '2026-10-01', '2026-11-01', '2026-11-01', 1
FROM filling;
INSERT INTO waybills SELECT 0, 'sf', 'SF' || n, merchant, order_id FROM filling;
INSERT INTO call_keys (cell, call_id, binding_id) SELECT 0, 'call-' || n, id FROM filling;
INSERT INTO lockouts SELECT 0, host, hash, '2026-11-01' FROM filling;
INSERT INTO wrong_extensions SELECT 0, host, hash, 'call-' || n, '1234', '2026-10-10' FROM filling;
INSERT INTO calls (cell, call_id, biz_at, host, extension, binding_id, merchant_id, order_id, key_id, call_time,
                   release_time, seconds, minutes, units, unit_s, rate, setup_fee, cost, tariff_id, tariff_version,
                   late)
SELECT 0, 'call-' || n, '2026-10-10', host, extension, id, merchant, order_id, 1, '2026-10-10', '2026-10-10',
       60, 1, 1, 60, 0.02, 0, 0.02, 'default', 1, false FROM filling;
INSERT INTO opt_outs (opt_out_id, recipient_hash, scope, merchant_id, said_at, said_by)
SELECT id, hash, 'merchant', merchant, '2026-10-01', 'x' FROM filling;
INSERT INTO callers (caller_id, phone_hash, class, merchant_id, verified, phone, created_at, created_by)
SELECT id, hash, 'robot', merchant, true, '', '2026-10-01', 'x' FROM filling;
INSERT INTO blacklist (blacklist_id, phone_hash, direction, merchant_id, phone, created_at, created_by)
SELECT id, hash, 'caller', merchant, '', '2026-10-01', 'x' FROM filling;
INSERT INTO call_policies SELECT 'm' || n, '{{}}', '2026-10-01', 'x' FROM generate_series(0, 999) n;
INSERT INTO contacts SELECT 0, hash, '{{}}', '{{}}', '2026-10-01', '2026-10-01', '{{}}' FROM filling;
INSERT INTO reached SELECT 0, id, hash FROM filling;
INSERT INTO call_attempts SELECT 0, id, '2026-10-10', 'call-' || n, id, merchant, order_id, 'x', 'unknown' FROM filling;
INSERT INTO dials (cell, call_id, merchant_id, order_id, binding_id, host, extension, key_id, state, ordered_by,
                   ordered_at, take_by, changed_at, recorded)
SELECT 0, 'dial-' || n, merchant, order_id, id, host, extension, 1, 'ended', 'x', '2026-10-10', '2026-10-10',
       '2026-10-10', true FROM filling;
INSERT INTO call_states SELECT 0, 'call-' || n, 'ended', '2026-10-10' FROM filling;
INSERT INTO call_marks SELECT 0, 'call-' || n, 'complaint', '2026-10-10', id, merchant, hash, hash FROM filling;
DROP TABLE filling;
ANALYZE merchants, hosts, slots, orders, bindings_2026_10, waybills, call_keys, lockouts, wrong_extensions,
    calls_2026_10, opt_outs, callers, blacklist, call_policies, contacts, reached, call_attempts, call_marks,
    dials, call_states
"""

HOT = [
    ("bindings", "before_bind"),
    ("bindings", "bind"),
    ("bindings", "held_slots"),
    ("bindings", "bound_ids"),
    ("bindings", "advance_status"),
    ("bindings", "file_waybills"),
    ("bindings", "binding"),
    ("bindings", "extend"),
    ("bindings", "release"),
    ("bindings", "labels"),
    ("bindings", "waybills"),
    ("bindings", "last_recipient"),
    ("routes", "look_up"),
    ("routes", "connect"),
    ("routes", "file"),
    ("routes", "call_back"),
    ("routes", "connect_back"),
    ("routes", "contacts"),
    ("dials", "take"),
    ("dials", "give_up"),
    ("dials", "settle"),
    ("dials", "tell"),
    ("dials", "page"),
    ("lives", "key"),
    ("lives", "tries"),
    ("lives", "record"),
    ("lives", "not_taken"),
    ("lives", "unrecorded"),
    ("lives", "count_unrecorded"),
    ("routes", "attempts"),
    ("marks", "complaints"),
    ("marks", "of_calls"),
    ("callers", "known_of"),
    ("calls", "resolve_records"),
    ("calls", "file_records"),
    ("calls", "call_keys"),
    ("calls", "calls_at"),
    ("calls", "calls_of_merchant"),
    ("reviews", "lock_call"),
    ("reviews", "replace_call"),
]

# What is billed of merchants, one by one; nobody's history is read from end to end for one date of it.
DATE = "'2026-10-09 16:00+00', '2026-10-10 16:00+00'"
BILLED = {
    ("usage", "amounts"): f"'{{m1,m2}}', {DATE}, '2026-10-10 12:00+00', '180 days'",
    ("usage", "numbers"): f"'{{m1,m2}}', {DATE}, '2026-10-10 12:00+00', '180 days', '2026-10-10'",
    ("daily", "page"): f"'{{m1,m2}}', '2026-09-30 16:00+00', {DATE}, '2026-10-10 12:00+00', '180 days', 100, 0",
}

Plans = dict[tuple[str, str], list[dict[str, Any]]]
SHAPE = ("Node Type", "Relation Name", "Index Name", "Index Cond", "Filter", "Subplans Removed", "Hash Cond")


@pytest.fixture(scope="module")
def plans(endpoints: Endpoints, schema: str, key_folder: Path) -> Plans:
    """The nodes of every hot statement's plan, made once, with some thousand bindings of this month analysed."""

    async def make() -> Plans:
        month = str(new_id(0, START, bytes(8)))[:13]
        async with open_world(endpoints, schema, key_folder, clock=ManualClock(START)) as world:
            await world.owner.execute(FILL.replace("$1", f"'{month}'"))
            await world.engine.database.fetch("SELECT ensure_months($1, $2)", START - timedelta(days=200), START)
            hot = {(noun, name): await explained(world, queries(noun)[name]) for noun, name in HOT}
            await world.owner.execute("SET plan_cache_mode = force_generic_plan")
            for noun, name in HOT:
                hot[f"{noun}, by the owner", name] = await explained_on(world.owner, queries(noun)[name])
            return hot | {
                (noun, name): await explained(world, load_queries(noun)[name], given)
                for (noun, name), given in BILLED.items()
            }

    return asyncio.run(make())


async def explained(world: World, sql: str, given: str = "") -> list[dict[str, Any]]:
    """The nodes of the generic plan, by a session like the engine's."""
    async with world.engine.database.acquire() as connection:
        return await explained_on(connection, sql, given)


async def explained_on(connection: Any, sql: str, given: str = "") -> list[dict[str, Any]]:
    blanks = ", ".join(["NULL"] * len((await connection.prepare(sql)).get_parameters()))
    await connection.execute(f"PREPARE hot AS {sql}")
    answer = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE hot ({given or blanks})")
    await connection.execute("DEALLOCATE hot")
    return list(nodes(json.loads(answer)[0]["Plan"]))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@pytest.mark.parametrize(("noun", "name"), [*HOT, *BILLED], ids=[f"{noun}.{name}" for noun, name in [*HOT, *BILLED]])
def test_big_tables_are_reached_by_index_only(plans: Plans, noun: str, name: str) -> None:
    whole = {
        node["Relation Name"]
        for node in plans[noun, name]
        if node["Node Type"] == "Seq Scan" and re.sub(r"_\d{4}_\d{2}$", "", node["Relation Name"]) in BIG
    }
    assert whole == set()


@pytest.mark.parametrize(
    ("noun", "name", "index"),
    [
        ("bindings", "labels", "orders_pkey"),
        ("bindings", "before_bind", "orders_pkey"),
        ("routes", "look_up", "slots_pkey"),
        ("routes", "look_up", "lockouts_pkey"),
        ("routes", "look_up", "orders_pkey"),
        ("routes", "look_up", "call_policies_pkey"),
        ("routes", "look_up", "callers_once"),
        ("routes", "look_up", "opt_outs_in_force"),
        ("routes", "look_up", "blacklist_once"),
        ("routes", "look_up", "reached_pkey"),
        ("routes", "file", "wrong_extensions_pkey"),
        ("routes", "attempts", "call_attempts_by_merchant"),
        ("routes", "call_back", "bindings_2026_10_recipient_hash_host_idx"),
        ("routes", "call_back", "reached_pkey"),
        ("routes", "call_back", "call_keys_pkey"),
        ("lives", "unrecorded", "call_keys_unrecorded"),
        ("lives", "count_unrecorded", "call_keys_unrecorded"),
        ("lives", "tries", "call_attempts_by_call"),
        ("bindings", "before_bind", "opt_outs_in_force"),
        ("bindings", "waybills", "waybills_pkey"),
        ("calls", "resolve_records", "call_keys_pkey"),
        ("bindings", "extend", "slots_pkey"),
        ("bindings", "release", "slots_pkey"),
    ],
)
def test_the_look_up_is_by_the_primary_key(plans: Plans, noun: str, name: str, index: str) -> None:
    assert index in {node.get("Index Name") for node in plans[noun, name]}


@pytest.mark.parametrize(
    ("noun", "name", "index"),
    [
        ("usage", "amounts", "bindings_2026_10_merchant_id_bound_at_idx"),
        ("usage", "amounts", "calls_2026_10_merchant_id_biz_at_idx"),
        ("usage", "numbers", "bindings_2026_10_merchant_id_bound_at_idx"),
        ("daily", "page", "bindings_2026_10_merchant_id_bound_at_idx"),
        ("daily", "page", "calls_2026_10_merchant_id_biz_at_idx"),
    ],
)
def test_usage_is_looked_up_by_merchant_and_time(plans: Plans, noun: str, name: str, index: str) -> None:
    conditions = [node["Index Cond"] for node in plans[noun, name] if node.get("Index Name") == index]
    assert conditions
    time = "bound_at" if "bound_at" in index else "biz_at"
    assert all("merchant_id =" in cond and f"{time} >=" in cond and f"{time} <" in cond for cond in conditions)


@pytest.mark.parametrize(("noun", "name"), HOT, ids=[f"{noun}.{name}" for noun, name in HOT])
def test_row_level_security_costs_the_application_nothing(plans: Plans, noun: str, name: str) -> None:
    """The same plan as that of the owner, whom no policy concerns."""
    bare = plans[f"{noun}, by the owner", name]
    assert [[node.get(part) for part in SHAPE] for node in plans[noun, name]] == [
        [node.get(part) for part in SHAPE] for node in bare
    ]


@pytest.mark.parametrize("name", ["binding", "last_recipient", "extend", "release"])
def test_a_look_up_by_id_goes_to_one_month(plans: Plans, name: str) -> None:
    """The id carries its month: the partitions of the others are left out as soon as the id is known."""
    pruned = [node for node in plans["bindings", name] if "Subplans Removed" in node or node["Node Type"] == "Append"]
    assert pruned
    assert all(node.get("Subplans Removed", 0) > 0 for node in pruned if node["Node Type"] == "Append")


@pytest.mark.parametrize("name", ["tell_ends", "tell_short_ends"])
async def test_ends_are_found_by_blocks(
    plans: Plans, endpoints: Endpoints, schema: str, key_folder: Path, name: str
) -> None:
    """The sweep reads the blocks in which something may end; a bind keeps no order of ends for it."""
    async with open_world(endpoints, schema, key_folder, clock=ManualClock(START), wipe=False) as world:
        database = world.engine.database
        async with database.acquire() as connection, connection.transaction():
            await connection.execute(queries("events")["by_index"])
            found = await explained_on(connection, queries("events")[name])
        ours = [node for node in found if "bindings_2026_10" in (node.get("Relation Name"), node.get("Alias"), "")]
        assert "bindings_2026_10_ended_at_idx" in {node.get("Index Name") for node in found}
        assert {node["Node Type"] for node in ours} <= {"Bitmap Heap Scan"}
