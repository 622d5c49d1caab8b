"""The check of a PostgreSQL that the user named."""

import asyncpg

from vnum.servers import external
from vnum.servers.binaries import POSTGRES_MAJORS
from vnum.servers.external import Found, refused
from vnum.servers.folders import POSTGRES_SOCKET
from vnum.servers.trouble import ServerTrouble

_ASK_FOR_TLS = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # any PostgreSQL answers it with S or N
_SET_SINCE = 16  # membership and the right to become a role are two things from then on
_ANY_LINE = b"PING\r\n\r\n"  # others wait for the end of a line, and may never see one in the above
_EXAMPLE = "postgresql://user:password@host:5432/database"

# vnum's roles, as far as migrations or an operator made them. $1 = what PostgreSQL calls the right to become one.
_ROLES = """
SELECT rolname::text, pg_has_role(session_user, oid, $1) AS open, rolsuper OR rolbypassrls AS unbound
FROM pg_roles WHERE rolname IN ('vnum_app', 'vnum_tenant') ORDER BY rolname
"""

# What a server's refusal means: our code, why, advice.
_LOGIN = (
    "postgres_login",
    "the server does not accept this user or password",
    "Correct them, or add a line for this user to the server's pg_hba.conf.",
)
_OTHER_REFUSAL = ("postgres_refused", "the server refused the connection", "Its own log says why.")
_REFUSALS: dict[type[asyncpg.PostgresError], tuple[str, str, str]] = {
    asyncpg.InvalidPasswordError: _LOGIN,
    asyncpg.InvalidAuthorizationSpecificationError: _LOGIN,
    asyncpg.InvalidCatalogNameError: (
        "postgres_database",
        "the server has no database of that name",
        "Create it.",
    ),
    asyncpg.CannotConnectNowError: (
        "postgres_not_ready",
        "the server is starting or stopping",
        "Try again soon.",
    ),
    asyncpg.TooManyConnectionsError: (
        "postgres_full",
        "the server has no connection free",
        "Raise its max_connections, or run fewer workers.",
    ),
}


async def examine_postgres(dsn: str, setting: str) -> Found:
    """`setting` is the name that the user knows the DSN by. Raises ServerTrouble."""
    try:
        connection = await asyncpg.connect(dsn, timeout=external.CONNECT_LIMIT_S)
    except Exception as trouble:
        raise await _trouble(trouble, dsn, setting) from None
    try:
        return await _found(connection, setting)
    finally:
        await connection.close()


async def _found(connection: "asyncpg.Connection[asyncpg.Record]", setting: str) -> Found:
    version = connection.get_server_version()
    if version.major not in POSTGRES_MAJORS:
        raise ServerTrouble(
            "postgres_version",
            f"{setting} leads to PostgreSQL {version.major}.",
            f"vnum needs PostgreSQL {POSTGRES_MAJORS[0]} to {POSTGRES_MAJORS[-1]}.",
        )
    superuser = connection.get_settings().is_superuser == "on"
    roles = await connection.fetch(_ROLES, "SET" if version.major >= _SET_SINCE else "MEMBER")
    return Found(
        product="PostgreSQL",
        version=f"{version.major}.{version.minor}",
        superuser=superuser,
        closed=tuple(role["rolname"] for role in roles if not role["open"]),
        unbound=tuple(role["rolname"] for role in roles if role["unbound"]),
    )


async def _trouble(trouble: Exception, dsn: str, setting: str) -> ServerTrouble:
    match trouble:
        case asyncpg.PostgresError() if not isinstance(trouble, asyncpg.PostgresConnectionError):
            return _said_no(trouble, setting, external.place(dsn) or "")
        case asyncpg.InterfaceError() | ValueError():
            return external.malformed(setting, _EXAMPLE)
        case _:
            return await _no_connection(trouble, dsn, setting)


def _said_no(trouble: asyncpg.PostgresError, setting: str, where: str) -> ServerTrouble:
    code, why, advice = _REFUSALS.get(type(trouble), _OTHER_REFUSAL)
    return refused(code, setting, where, f"{why} (SQLSTATE {trouble.sqlstate})", advice)


async def _no_connection(trouble: Exception, dsn: str, setting: str) -> ServerTrouble:
    where = external.place(dsn)
    if where is None:
        return external.malformed(setting, _EXAMPLE)
    heard = await external.knock(external.address(where, 5432, POSTGRES_SOCKET), _ASK_FOR_TLS, _ANY_LINE)
    if heard.reply is not None and heard.reply[:1] not in (b"S", b"N"):
        return external.stranger("not_postgres", "PostgreSQL", setting, where)
    why = heard.failure or external.reason(trouble)
    if heard.reply == b"N" and "ssl" in dsn:
        why += " (it speaks no TLS, so leave sslmode out)"
    return external.unreachable("postgres_unreachable", setting, where, why)
