"""Waiting until every transaction that began before now has ended.

Decision (why a close never races with a commit, at no cost to the writers)

Context. A close marks a month as closed and then sums its usage. A writer's statement tests the mark itself
(`NOT EXISTS (SELECT 1 FROM periods ...)`), but under READ COMMITTED it sees the rows that were committed when
its snapshot was taken: one that began just before the mark may commit into the month just after the sums were
read. Its usage would never be billed.

Choices. A lock that all writers share and the close takes alone would be right, but is a cost on every bind
and every call record. Waiting until `pg_snapshot_xmin(pg_current_snapshot())` has passed the mark is not
right: a transaction has no transaction id before its first write, so a statement that already holds an old
snapshot, and still waits for a lock or a page, is not counted. But every transaction holds the lock on its
*virtual* transaction id from its start, before any snapshot, until its end.

Decision. After the mark is committed, list the virtual transactions of all sessions of this database, and
wait until none of those listed is left. Whoever is not listed began later and sees the mark. A transaction
that is prepared for two-phase commit gives its virtual id up; so afterwards wait for the prepared ones as
well. Sessions that only read, a long pg_dump for example, cannot be told from writers and are waited for.

Consequences. The wait is as long as the longest transaction in progress; writers have a statement time-out.
After `patience` the close is refused as `close_blocked`, naming the sessions; the mark stays, nothing is
lost, and the close can be repeated. Nothing of this applies to writers on other servers that are not
PostgreSQL's own.
"""

import asyncio
from datetime import timedelta
from typing import Final

from billing.errors import CloseBlocked
from billing.queries import Connection, load_queries

PATIENCE: Final = timedelta(seconds=120)

_SQL: Final = load_queries("drain")
_FIRST_PAUSE_MS: Final = 2
_LONGEST_PAUSE_MS: Final = 200


async def drain(connection: Connection, *, patience: timedelta = PATIENCE) -> None:
    """Return when every transaction of other sessions that is in progress now has ended.

    The connection must not be in a transaction: each look has to be a fresh one.

    Raises:
        CloseBlocked: some were still in progress after `patience`.
    """
    if connection.is_in_transaction():
        raise RuntimeError("a transaction would see the activity of its beginning, again and again")
    deadline = asyncio.get_running_loop().time() + patience.total_seconds()
    await _outlast(connection, "running", deadline)
    await _outlast(connection, "prepared", deadline)


async def _outlast(connection: Connection, kind: str, deadline: float) -> None:
    waiting_for = await _listed(connection, kind)
    pause_ms = _FIRST_PAUSE_MS
    while waiting_for:
        if asyncio.get_running_loop().time() >= deadline:
            names = ", ".join(sorted(waiting_for)[:10])
            raise CloseBlocked(f"{len(waiting_for)} older transactions did not end in time: {names}")
        await asyncio.sleep(pause_ms / 1000)
        pause_ms = min(2 * pause_ms, _LONGEST_PAUSE_MS)
        waiting_for &= await _listed(connection, kind)


async def _listed(connection: Connection, kind: str) -> set[str]:
    return {row["name"] for row in await connection.fetch(_SQL[kind])}
