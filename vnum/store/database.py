"""Connections to PostgreSQL as the restricted role, in one schema; for a tied key as the role that sees what is his."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

import asyncpg
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random

from vnum.model.acting import Acting, acting
from vnum.model.instants import FOREVER
from vnum.model.refusals import Code, Refused
from vnum.store.queries import queries

APP_ROLE = "vnum_app"
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")

Proxy = asyncpg.pool.PoolConnectionProxy
Connection = Proxy | asyncpg.Connection

SQL = queries("tenancy")


class Database(asyncpg.Pool):
    """A pool whose connections know for whom they are taken (`vnum.model.acting`).

    What a process remembers of a key may be seconds old. So a tied connection asks again, in the statement that ties
    it: a key revoked, or a grant withdrawn, in any other process counts from the next request on.

    What a tied key's request sends, by any method of the pool, runs as the role vnum_tenant in a transaction that ends
    with the use of the connection: row-level security shows it what the key is tied to. Its snapshot is taken once: an
    export asks for that, and a transaction within another can not. For everybody else nothing is sent on top.
    """

    def acquire(self, *, timeout: float | None = None) -> AbstractAsyncContextManager[Proxy]:  # type: ignore[override]
        """For `async with` only."""
        who, acquired = acting(), super().acquire(timeout=timeout)
        return _tied(acquired, who) if who.tied else acquired


@asynccontextmanager
async def _tied(acquired: AbstractAsyncContextManager[Proxy], who: Acting) -> AsyncIterator[Proxy]:
    merchants = None if who.merchants is None else sorted(who.merchants)
    async with acquired as connection, connection.transaction(isolation="repeatable_read"):
        said = await connection.fetchrow(SQL["tie"], merchants, who.carrier, who.by)
        if said is None or said["revoked"]:
            raise Refused(Code.UNAUTHORIZED, "this key was revoked")
        yield connection


LOST = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    ConnectionError,
    OSError,
)
"""What asyncpg raises when a connection is gone and nobody knows what became of the statement (InternalClientError:
the server ended the session while it was idle, and that was not heard yet)."""

ENDED = (asyncpg.AdminShutdownError, asyncpg.CrashShutdownError)
"""57P01 and 57P02: the session was ended, by its own word. What it had not committed by then, it never will."""

TRY_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""40P01 and 40001: nothing was written, the whole again."""

WRITERS = 64
"""Rows of `clocks` a cell: writers share one when there are more connections than that."""


def is_data_error(trouble: BaseException) -> bool:
    """SQLSTATE class 22 or 23, or a value that asyncpg can not encode: a row is bad, and nothing was written."""
    if isinstance(trouble, asyncpg.PostgresError):
        return (trouble.sqlstate or "")[:2] in {"22", "23"}
    return isinstance(trouble, asyncpg.InterfaceError) and isinstance(trouble, ValueError)


def is_away(trouble: BaseException) -> bool:
    """PostgreSQL does not answer, or not now: connections (08), a rollback to be repeated (40), resources (53), locks
    (55), an operator or a time limit (57), the system around it (58), a standby (25006)."""
    if isinstance(trouble, asyncpg.PostgresError):
        return (trouble.sqlstate or "")[:2] in {"08", "40", "53", "55", "57", "58"} or trouble.sqlstate == "25006"
    return isinstance(trouble, (*LOST, TimeoutError)) and not isinstance(trouble, ValueError)


def writer_of(connection: "Connection") -> int:
    """The number under which a connection files the instants it commits."""
    return int(connection.get_server_pid()) % WRITERS


async def open_database(
    dsn: str,
    schema: str,
    *,
    connections: int,
    statement_timeout_s: int = 30,
) -> Database:
    """A pool of prepared, fixed connections. Sessions change no setting of their own, so none is reset between uses."""
    check_schema(schema)
    return await Database(
        dsn,
        min_size=connections,
        max_size=connections,
        max_queries=50_000,
        max_inactive_connection_lifetime=0,
        loop=None,
        setup=None,
        init=None,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        reset=_keep,
        command_timeout=statement_timeout_s + 5,
        server_settings={
            "role": APP_ROLE,
            "search_path": schema,
            "timezone": "UTC",
            "jit": "off",
            "statement_timeout": f"{statement_timeout_s}s",
            "idle_in_transaction_session_timeout": f"{statement_timeout_s * 2}s",
            "plan_cache_mode": "force_generic_plan",
            "synchronous_commit": "on",
            "application_name": "vnum",
        },
    )


def check_schema(schema: str) -> None:
    """A schema's name stands in statements where no parameter can: so it is plain or refused."""
    if not _SCHEMA.fullmatch(schema):
        raise ValueError(f"schema {schema!r}: lower-case letters, digits and _ only, at most 63")


def aware(instant: datetime) -> datetime:
    """asyncpg gives infinity without a zone."""
    return instant if instant.tzinfo else FOREVER


def trying_again() -> AsyncRetrying:
    """Attempts at one statement: up to three, while PostgreSQL says that it wrote nothing and would take it again."""
    return AsyncRetrying(
        retry=retry_if_exception_type(TRY_AGAIN),
        stop=stop_after_attempt(3),
        wait=wait_random(0, 0.02),
        reraise=True,
    )


async def _keep(connection: object) -> None:
    """No round trip to reset a session that never changes."""
