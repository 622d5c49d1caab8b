"""Every query in billing/sql is prepared against the migrated schema, as the application's role."""

from importlib import resources
from typing import Any

import asyncpg
import pytest

from billing.queries import load_queries

FILES = sorted(f.name.removesuffix(".sql") for f in resources.files("billing").joinpath("sql").iterdir())
SEVERAL_STATEMENTS = {
    "index_pending",
    "index_collected",
    "restore_limits",
    "index_windows",
}  # no parameters; the close runs them
ORDER = ["collect_pending", "collect_windows", "collect_lines", "collect_late"]


@pytest.mark.parametrize("file", FILES)
async def test_every_query_can_be_prepared(world: Any, file: str) -> None:
    queries = load_queries(file)
    async with world.pool.acquire() as connection:
        if file == "close":  # the later steps read what the first ones made
            for name, args in zip(ORDER, collected(world), strict=True):
                await connection.execute(queries[name], *args)
        for name, sql in queries.items():
            if name in SEVERAL_STATEMENTS:
                await connection.execute(sql)
            else:
                await prepare(connection, name, sql)


def collected(world: Any) -> list[tuple[object, ...]]:
    start, end = world.at("2026-10-01 00:00"), world.at("2026-11-01 00:00")
    return [(start.date(), end, None), (start, end), (start, end), (start, end)]


async def prepare(connection: Any, name: str, sql: str) -> None:
    try:
        await connection.prepare(sql)
    except asyncpg.PostgresError as error:
        pytest.fail(f"{name}: {error}")


@pytest.mark.parametrize("file", FILES)
def test_every_query_explains_itself(file: str) -> None:
    for name, sql in load_queries(file).items():
        assert sql.startswith("-- "), name


async def test_the_writers_test_of_the_mark_is_one_look_at_an_index(world: Any) -> None:
    await world.owner.execute(
        "INSERT INTO periods SELECT 'm' || n, d, d + interval '1 month', d FROM generate_series(1, 2000) n, "
        "generate_series(timestamptz '2026-01-01', '2026-06-01', '1 month') d"
        .replace("SELECT 'm' || n, d,", "SELECT 'm' || n, date_trunc('month', d)::date,")
    )  # fmt: skip
    await world.owner.execute("ANALYZE periods")
    plan = await world.owner.fetch(
        "EXPLAIN SELECT 1 WHERE NOT EXISTS "
        "(SELECT 1 FROM periods p WHERE p.merchant_id = 'm7' AND p.ends_at > '2026-05-05')"
    )
    text = "\n".join(row[0] for row in plan)
    assert "Index Only Scan using periods_end on periods" in text
    assert "ends_at >" in text.split("Index Cond")[1]
