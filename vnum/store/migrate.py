"""Brings a schema to the shape that this release needs."""

import asyncpg

from vnum.finance import Migration, apply_migrations, load_migrations
from vnum.store.database import Database, check_schema
from vnum.store.queries import queries

SQL = queries("migrations")


def needed() -> list[Migration]:
    """What this release needs, in the order in which it is applied."""
    return [*load_migrations("billing", "billing"), *load_migrations("vnum.store", "vnum")]


async def migrate(admin_dsn: str, schema: str) -> list[str]:
    """Applies what is missing, as the owner; the names applied now. Safe to run twice at once."""
    check_schema(schema)
    connection = await asyncpg.connect(admin_dsn, server_settings={"timezone": "UTC"})
    try:
        return await apply_migrations(connection, schema, needed())
    finally:
        await connection.close()


async def drop(admin_dsn: str, schema: str) -> None:
    """Removes a schema and all that is in it (a replay's, at its end)."""
    check_schema(schema)
    connection = await asyncpg.connect(admin_dsn)
    try:
        await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")  # checked above
    finally:
        await connection.close()


async def applied(database: Database) -> set[str]:
    """The names of the migrations that the schema has."""
    return {record["name"] for record in await database.fetch(SQL["applied"])}


async def missing(database: Database) -> list[str]:
    """The migrations of this release that the schema lacks."""
    try:
        there = await applied(database)
    except asyncpg.UndefinedTableError:
        there = set()
    return [migration.name for migration in needed() if migration.name not in there]
