"""Retention: what is kept until when, and the worker that sees to it.

A month's calls are emptied of who rang when the last of them is past its term; its bindings, of phones and names, when
the last of them is; with both, the month's key is destroyed first, which ends all that it sealed at once. Rows stay as
long as invoices rest on them, and go with their partitions.

Everything can be broken off and repeated: it goes on where something is left. Two workers do it side by side.
"""

import asyncio
from collections.abc import Callable
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec
import structlog
from asyncpg import LockNotAvailableError, Record

from vnum.model.cells import cell_of
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.model.retention import Keep, after
from vnum.service.clock import Clock, peek
from vnum.store import audit, data_keys
from vnum.store import marks as stored_marks
from vnum.store import retention as stored
from vnum.store import routes as stored_routes
from vnum.store.database import Database
from vnum.vault import Vault

log = structlog.get_logger()

SLICE = 2_000
WHY = "its term is over"
BY = "retention"


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month of bindings (by bound_at) and calls (by answer, or dial), UTC. `*_until` = the latest instant when its
    last caller, phone or row is due; a binding of 180 days is what makes it so late. null = not yet."""

    month: str
    calls_until: datetime
    phones_until: datetime
    rows_until: datetime
    calls_emptied_at: datetime | None
    key_destroyed_at: datetime | None
    phones_emptied_at: datetime | None
    rows_dropped_at: datetime | None


class Retained(msgspec.Struct, frozen=True, kw_only=True):
    """The terms in days, and every month."""

    keep: Keep
    months: list[Month]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What one run came to: months by name, and counts."""

    calls_emptied: list[str]
    keys_destroyed: list[str]
    phones_emptied: list[str]
    rows_dropped: list[str]
    audit_entries: int = 0
    prints: int = 0
    order_events: int = 0
    recipient_changes: int = 0
    attempts: int = 0


Progress = Callable[[int, int], None]


class Retention:
    def __init__(self, database: Database, vault: Vault, clock: Clock, cells: int, keep: Keep) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._cells = cells
        self._keep = keep

    async def shown(self) -> Retained:
        rows = await stored.months(self._database)
        return Retained(keep=self._keep, months=[self._month(row) for row in rows])

    def _month(self, row: Record) -> Month:
        month = row["month"]
        return Month(
            month=f"{month:%Y-%m}",
            calls_until=self._keep.calls_until(month),
            phones_until=self._keep.bindings_until(month),
            rows_until=self._keep.rows_until(month),
            calls_emptied_at=row["calls_emptied_at"],
            key_destroyed_at=row["destroyed_at"],
            phones_emptied_at=row["bindings_emptied_at"],
            rows_dropped_at=row["dropped_at"],
        )

    async def run(self, progress: Progress | None = None) -> Done:
        """Forgets whatever is due."""
        now = await peek(self._clock, self._database)
        done = Done(calls_emptied=[], keys_destroyed=[], phones_emptied=[], rows_dropped=[])
        rows = await stored.months(self._database)
        for n, row in enumerate(rows):
            await self._end(row, now, done)
            if progress:
                progress(n + 1, len(rows))
        before = now - timedelta(days=self._keep.logs_days)
        audited = [await stored.forget_audit(self._database, cell, before) for cell in range(self._cells)]
        prints, events, changes = [
            sum(counts)
            for counts in zip(*[await self._forget_logs(cell, before) for cell in range(self._cells)], strict=True)
        ]
        return msgspec.structs.replace(
            done,
            audit_entries=sum(audited),
            prints=prints,
            order_events=events,
            recipient_changes=changes,
            attempts=await self._forget_attempts(now),
        )

    async def _forget_logs(self, cell: int, before: datetime) -> tuple[int, int, int]:
        """How many prints, events of orders and changes of recipients."""
        prints, events, changes, more = 0, 0, 0, True
        while more:
            some = await stored.forget_logs(self._database, cell, before, SLICE)
            prints, events, changes = prints + some[0], events + some[1], changes + some[2]
            more = SLICE in some
        return prints, events, changes

    async def _forget_attempts(self, now: datetime) -> int:
        """Refused calls, how many; and who rang whom beside a mark."""
        before = now - timedelta(days=self._keep.calls_days)
        await stored_marks.forget_parties(self._database, before)
        first, forgotten = new_id(0, before, bytes(RANDOM_BYTES)), 0
        for cell in range(self._cells):
            some = SLICE
            while some == SLICE:
                some = await stored_routes.forget_attempts(self._database, cell, first, SLICE)
                forgotten += some
        return forgotten

    async def _end(self, row: Record, now: datetime, done: Done) -> None:
        month: date = row["month"]
        name = f"{month:%Y-%m}"
        if row["dropped_at"] is not None or self._keep.calls_until(month) > now:
            return
        if row["calls_emptied_at"] is None:
            await self._empty_calls(month, now)
            done.calls_emptied.append(name)
        if row["bindings_emptied_at"] is None and await self._is_over(month, now):
            if await self._destroy_key(month, now):
                done.keys_destroyed.append(name)
            await self._empty_bindings(month, now)
            done.phones_emptied.append(name)
        may_go = row["bindings_emptied_at"] is not None and self._keep.rows_until(month) <= now
        if may_go and await self._drop(month, now):
            done.rows_dropped.append(name)

    async def _is_over(self, month: date, now: datetime) -> bool:
        if after(month) + timedelta(days=self._keep.bindings_days) > now:
            return False
        ends, ids = now - timedelta(days=self._keep.bindings_days), ids_of(month)
        return not any([await stored.ends_after(self._database, cell, ids, ends) for cell in range(self._cells)])

    async def _destroy_key(self, month: date, now: datetime) -> bool:
        async with data_keys.alone(self._database) as connection:
            destroyed = await stored.destroy_key(connection, month, now, 0)
            if destroyed:
                await audit.add(connection, 0, now, "month.key_destroyed", [f"{month:%Y-%m}"], WHY)
        await self._vault.refresh()
        return destroyed

    async def _empty_bindings(self, month: date, now: datetime) -> None:
        _, last = ids_of(month)
        for cell in range(self._cells):
            place, _ = ids_of(month)
            while ids := await stored.empty_bindings(self._database, cell, place, last, SLICE):
                place = ids[-1]
                await asyncio.sleep(0)
        async with self._database.acquire() as connection, connection.transaction():
            await stored.forget_routed(connection, last)
            if await stored.bindings_emptied(connection, month, now):
                await audit.add(connection, 0, now, "month.phones_emptied", [f"{month:%Y-%m}"], WHY)

    async def _empty_calls(self, month: date, now: datetime) -> None:
        for cell in range(self._cells):
            await self._empty_calls_in(cell, month)
            await self._forget_records(cell, month, now)
        async with self._database.acquire() as connection, connection.transaction():
            if await stored.calls_emptied(connection, month, now):
                await audit.add(connection, 0, now, "month.calls_emptied", [f"{month:%Y-%m}"], WHY)

    async def _empty_calls_in(self, cell: int, month: date) -> None:
        end, place = after(month), (datetime(month.year, month.month, 1, tzinfo=after(month).tzinfo), "")
        while True:
            async with self._database.acquire() as connection, connection.transaction():
                calls = await stored.empty_calls(connection, cell, place, end, SLICE)
                keys = [(cell_of(self._cells, call_id), call_id) for _, call_id in calls]
                await stored.forget_contents(connection, keys)
            if not calls:
                return
            place = calls[-1]

    async def _forget_records(self, cell: int, month: date, now: datetime) -> None:
        place, last = ids_of(month)
        while rows := await stored.records_between(self._database, cell, place, last, SLICE):
            ids = [row["review_id"] for row in rows]
            await stored.forget_records(self._database, cell, ids, now, BY, WHY)
            place = ids[-1]

    async def _drop(self, month: date, now: datetime) -> bool:
        try:
            async with self._database.acquire() as connection, connection.transaction():
                dropped = await stored.drop_month(connection, month, now)
                if dropped:
                    await audit.add(connection, 0, now, "month.rows_dropped", [f"{month:%Y-%m}"], WHY)
                return dropped
        except LockNotAvailableError:
            log.warning("month_not_dropped", month=f"{month:%Y-%m}", why="busy; tried again tomorrow")
            return False


def ids_of(month: date) -> tuple[UUID, UUID]:
    """The ids of a month: the lowest there can be, and the lowest of the next."""
    first = datetime(month.year, month.month, 1, tzinfo=after(month).tzinfo)
    low, high = (new_id(0, at, bytes(RANDOM_BYTES)) for at in (first, after(month)))
    return UUID(int=low.int & ~((1 << 80) - 1)), UUID(int=high.int & ~((1 << 80) - 1))
