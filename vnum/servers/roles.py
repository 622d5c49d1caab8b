"""The roles and the database inside the embedded PostgreSQL, reached over its socket."""

import contextlib
from pathlib import Path
from urllib.parse import quote

import asyncpg

DATABASE = "vnum"
APP_ROLE = "vnum_app"
OWNER_ROLE = "postgres"
_CONNECT_LIMIT_S = 10.0

_CREATE_ROLE = f"CREATE ROLE {APP_ROLE} LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION"
_CREATE_DATABASE = f"CREATE DATABASE {DATABASE}"
_GRANTS = (
    f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
    f"GRANT CONNECT, TEMPORARY ON DATABASE {DATABASE} TO {APP_ROLE}",
)
_NOT_YET = (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError)
_MISSING = (asyncpg.InvalidCatalogNameError, asyncpg.InvalidAuthorizationSpecificationError)


def dsn(socket_folder: Path, role: str, database: str = DATABASE) -> str:
    return f"postgresql://{role}@/{database}?host={quote(str(socket_folder), safe='/')}&port=5432"


async def can_connect(socket_folder: Path) -> bool:
    """Whether our role can enter our database."""
    try:
        connection = await asyncpg.connect(dsn(socket_folder, APP_ROLE), timeout=_CONNECT_LIMIT_S)
    except (*_NOT_YET, *_MISSING, asyncpg.InsufficientPrivilegeError):
        return False
    except asyncpg.TooManyConnectionsError:
        return True  # ready, and busy with others
    await connection.close()
    return True


async def create_missing(socket_folder: Path) -> bool:
    """Creates the role and the database where they are missing; False while the server is not ready."""
    try:
        connection = await asyncpg.connect(dsn(socket_folder, OWNER_ROLE, "postgres"), timeout=_CONNECT_LIMIT_S)
    except _NOT_YET:
        return False
    try:
        with contextlib.suppress(asyncpg.DuplicateObjectError):
            await connection.execute(_CREATE_ROLE)
        with contextlib.suppress(asyncpg.DuplicateDatabaseError):
            await connection.execute(_CREATE_DATABASE)
        for grant in _GRANTS:
            await connection.execute(grant)
    finally:
        await connection.close()
    return True
