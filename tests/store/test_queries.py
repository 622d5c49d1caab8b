"""Every named statement of vnum/store/sql is prepared against the migrated schema, as the restricted role."""

import re

import asyncpg
import pytest

from tests.engines import World
from vnum.store.queries import nouns, queries

ALL = [(noun, name) for noun in nouns() for name in queries(noun)]

TEMPORARY = {"reconcile": ("stage", "pair")}
"""What makes the tables of a session that the other statements of a file use."""


@pytest.mark.parametrize(("noun", "name"), ALL, ids=[f"{noun}.{name}" for noun, name in ALL])
async def test_the_statement_can_be_prepared(bare_world: World, noun: str, name: str) -> None:
    async with bare_world.engine.database.acquire() as connection, connection.transaction():
        for needed in TEMPORARY.get(noun, ()):
            await connection.execute(queries(noun)[needed])
        try:
            await connection.prepare(queries(noun)[name])
        except asyncpg.PostgresError as error:
            pytest.fail(str(error))


async def test_the_engine_is_the_restricted_role(bare_world: World) -> None:
    row = await bare_world.engine.database.fetchrow(
        """SELECT current_user::text, rolsuper, current_setting('timezone'), current_setting('search_path')
           FROM pg_roles WHERE rolname = current_user"""
    )
    assert tuple(row) == ("vnum_app", False, "UTC", bare_world.parts.schema)


@pytest.mark.parametrize("noun", ["bindings", "calls"])
def test_hot_statements_ask_no_clock_of_their_own_in_an_upsert(noun: str) -> None:
    """Citus allows only immutable functions there: instants come in as parameters."""
    for name, sql in queries(noun).items():
        upserts = re.findall(r"INSERT INTO.*?(?:RETURNING|\Z)", sql, re.DOTALL)
        for upsert in upserts:
            assert not re.search(r"\bnow\(\)|gen_random_uuid|clock_timestamp", upsert), name


def test_statements_have_no_text_before_the_first_name() -> None:
    assert {"bind", "extend", "release", "labels"} <= queries("bindings").keys()
