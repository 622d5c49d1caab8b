"""Months of history: made by a function that the application may call, and that gives it nothing else."""

import asyncpg

from tests.engines import DAY, START, World


async def test_months_are_made_while_somebody_reads_for_long_and_nobody_waits(bare_world: World) -> None:
    later = START + 400 * DAY
    async with bare_world.engine.database.acquire() as reader, reader.transaction(isolation="repeatable_read"):
        await reader.fetch("SELECT * FROM bindings")
        await reader.fetch("SELECT * FROM calls")
        async with bare_world.engine.database.acquire() as maker:
            await maker.execute("SET lock_timeout = '2s'")
            made = await maker.fetchval("SELECT ensure_months($1, $1)", later)
            await maker.execute("RESET lock_timeout")
    assert made == 1
    assert await bare_world.count("pg_inherits WHERE inhparent = 'bindings'::regclass") >= 5


INDEXES_OF_BINDINGS = (
    "cell, binding_id)",
    "host, extension, bound_at)",
    "merchant_id, bound_at)",
    "ended_at ",
    "recipient_hash, host)",
)


async def test_a_new_month_has_the_indexes_of_the_whole(bare_world: World) -> None:
    later = START + 800 * DAY
    async with bare_world.engine.database.acquire() as connection:
        await connection.fetchval("SELECT ensure_months($1, $1)", later)
    name = f"bindings_{later:%Y_%m}"
    rows = await bare_world.owner.fetch("SELECT indexdef FROM pg_indexes WHERE tablename = $1", name)
    assert len(rows) == len(INDEXES_OF_BINDINGS)
    for columns in INDEXES_OF_BINDINGS:
        assert any(f"({columns}" in row["indexdef"] for row in rows), columns


async def test_types_and_functions_of_the_caller_are_not_run_with_the_owners_rights(bare_world: World) -> None:
    """A function that runs as its owner looks for names in pg_temp first unless its search path ends with it."""
    async with bare_world.engine.database.acquire() as connection:
        await connection.execute("CREATE TEMP TABLE seen (who text)")
        await connection.execute(
            "CREATE FUNCTION pg_temp.evil(text) RETURNS boolean LANGUAGE plpgsql AS "
            "$$ BEGIN INSERT INTO pg_temp.seen VALUES (current_user); RETURN true; END $$"
        )
        await connection.execute("CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.evil(VALUE))")
        await connection.fetchval("SELECT ensure_months($1, $1)", START + 1200 * DAY)
        assert await connection.fetchval("SELECT count(*) FROM pg_temp.seen") == 0
        await connection.execute("DROP DOMAIN pg_temp.text; DROP TABLE pg_temp.seen")
    config = await bare_world.owner.fetchval("SELECT proconfig FROM pg_proc WHERE oid = 'ensure_months'::regproc")
    assert config[0].endswith("pg_temp")


async def test_no_function_of_the_owner_searches_the_callers_names_first(bare_world: World) -> None:
    rows: list[asyncpg.Record] = await bare_world.owner.fetch(
        "SELECT proname, proconfig FROM pg_proc WHERE prosecdef AND pronamespace = current_schema()::regnamespace"
    )
    assert [row["proname"] for row in rows if not any("pg_temp" in part for part in row["proconfig"] or [])] == []
