"""A small migration runner: plain SQL files, each applied once, in order, in a transaction of its own."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from importlib import resources
from typing import Final

import msgspec

from billing.errors import MigrationChanged, MigrationUnknown, SchemaInvalid
from billing.queries import Connection, load_queries

_SQL: Final = load_queries("migrate")
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """A script named "<package>/<number>_<noun>", with the SHA-256 of its text in hexadecimal."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Tells whether a script was changed after it was applied."""
        return sha256(self.sql.encode()).hexdigest()


def load(package: str, prefix: str) -> list[Migration]:
    """The scripts in `<package>/migrations` load("billing", "billing")[0] is billing/0001_ledger."""
    folder = resources.files(package).joinpath("migrations")
    scripts = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [
        Migration(name=f"{prefix}/{f.name.removesuffix('.sql')}", sql=f.read_text(encoding="utf-8")) for f in scripts
    ]


async def apply(connection: Connection, schema: str, migrations: Sequence[Migration]) -> list[str]:
    """Bring a schema up to date, making it if missing; the names applied now, in order.

    Needs the rights of the schema's owner. Several processes may start at once: one works, the others wait
    and then find nothing to do. The connection is left with its search_path on the schema.

    Raises:
        SchemaInvalid: not a lower-case identifier.
        MigrationChanged: an applied script was edited since.
        MigrationUnknown: the schema has a script of one of these packages that this release does not know.
    """
    if not _SCHEMA.fullmatch(schema):
        raise SchemaInvalid(f"a schema's name is a lower-case identifier, not {schema!r}")
    async with _alone(connection, schema):
        await connection.execute(await connection.fetchval(_SQL["create_schema"], schema))
        await connection.fetchval(_SQL["use_schema"], schema)
        await connection.execute(_SQL["create_migrations"])
        rows = await connection.fetch(_SQL["applied"])
        applied: dict[str, str] = {row["name"]: row["checksum"] for row in rows}
        _check(applied, migrations)
        missing = [migration for migration in migrations if migration.name not in applied]
        for migration in missing:
            await _apply_one(connection, migration)
    return [migration.name for migration in missing]


async def _apply_one(connection: Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(_SQL["record"], migration.name, migration.checksum)


def _check(applied: dict[str, str], migrations: Sequence[Migration]) -> None:
    known = {migration.name: migration.checksum for migration in migrations}
    packages = {_package(name) for name in known}
    unknown = [name for name in applied if name not in known and _package(name) in packages]
    if unknown:
        raise MigrationUnknown(f"applied by a newer release: {', '.join(sorted(unknown))}; update this program")
    changed = [name for name, checksum in applied.items() if known.get(name, checksum) != checksum]
    if changed:
        raise MigrationChanged(f"edited after it was applied: {', '.join(sorted(changed))}")


def _package(name: str) -> str:
    return name.partition("/")[0]


@asynccontextmanager
async def _alone(connection: Connection, schema: str) -> AsyncIterator[None]:
    await connection.execute(_SQL["lock"], schema)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(_SQL["unlock"], schema)
