"""A carrier's call file against our calls: every difference, and both sides' totals. Nothing is changed by it.

The file streams through: its rows are staged in temporary tables of PostgreSQL, callers as keyed hashes, and compared
there in one statement. Only calls that need a price of their own (our price for the carrier's seconds) are seen again.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec

from vnum.carrier import CallFile, CarrierCall, Row
from vnum.finance import Period
from vnum.model.cells import cell_of
from vnum.model.hosts import Host
from vnum.model.phones import PhoneError, parse_caller
from vnum.model.refusals import Code, Refused, UnusableFile
from vnum.service.differences import Difference, Kind, Ours, Report, Theirs, difference_of
from vnum.service.file_prices import price_file_calls
from vnum.service.imports import TURN, batches, record_of
from vnum.service.records import Reported
from vnum.service.registry import Registry
from vnum.store.database import Database
from vnum.store.reconcile import FileCall, Session, Window, session
from vnum.vault import Vault

AT_A_TIME = 1
BEYOND = timedelta(days=1)
"""How far beyond the window a call's other half is looked for."""

APART_S = 300
"""How far apart the two sides may date a call: clocks differ by seconds, wrong zones by hours."""

MOST_TOLERANCE_S = 3_600
_SECOND = timedelta(seconds=1)
_EXTENSION = re.compile(r"[0-9]{1,4}", re.ASCII)
_NOTHING = datetime(2000, 1, 1, tzinfo=UTC)
_CALENDAR = (datetime(1990, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC))
"""Between them lies every call that a file can have."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What to compare: calls dated into [from_at, to_at), by default what the file reaches over; on the hosts of one
    carrier, by default of the carriers whose hosts stand in the file. Seconds may differ by `tolerance_s`."""

    from_at: datetime | None = None
    to_at: datetime | None = None
    tolerance_s: int = 0
    carrier: str | None = None

    @classmethod
    def of(
        cls,
        *,
        period: str | None = None,
        from_at: datetime | None = None,
        to_at: datetime | None = None,
        tolerance_s: int = 0,
        carrier: str | None = None,
    ) -> "Terms":
        """By a month, by two instants, or by neither. Raises Refused (invalid_request), BillingRefusal."""
        if (from_at is None) != (to_at is None) or (period is not None and from_at is not None):
            raise Refused(Code.INVALID_REQUEST, "give a period, or from and to, or none of them")
        if period is not None:
            month = Period.parse(period)
            from_at, to_at = month.starts_at, month.ends_at
        if from_at is not None and to_at is not None and from_at >= to_at:
            raise Refused(Code.INVALID_REQUEST, "from must be before to")
        if any(one is not None and not _CALENDAR[0] <= one <= _CALENDAR[1] for one in (from_at, to_at)):
            raise Refused(Code.INVALID_REQUEST, "from and to must lie in the years 1990 to 2100")
        if not 0 <= tolerance_s <= MOST_TOLERANCE_S:
            raise Refused(Code.INVALID_REQUEST, f"tolerance_s must be 0 to {MOST_TOLERANCE_S}")
        return cls(from_at=from_at, to_at=to_at, tolerance_s=tolerance_s, carrier=carrier)


class Reconciliation:
    """One that is done, for as long as its session is open."""

    def __init__(self, report: Report, opened: Session) -> None:
        self.report = report
        self._session = opened

    async def differences(self) -> AsyncGenerator[Difference, None]:
        """Every call on which the two do not agree, and rows of the file that are none, by date."""
        after = 0
        while page := await self._session.differences(after):
            for record in page:
                yield difference_of(record)
            after = page[-1]["place"]


class Reconciler:
    def __init__(self, database: Database, vault: Vault, registry: Registry, cells: int) -> None:
        self._database = database
        self._vault = vault
        self._registry = registry
        self._cells = cells
        self._running = asyncio.Semaphore(AT_A_TIME)

    @asynccontextmanager
    async def run(self, file: CallFile, pieces: AsyncIterator[bytes], terms: Terms) -> AsyncIterator[Reconciliation]:
        """Raises UnusableFile, Refused (overloaded, invalid_request)."""
        if self._running.locked():
            raise Refused(Code.OVERLOADED, "a reconciliation runs already; try again when it is done")
        async with self._running, session(self._database) as opened:
            await self._registry.refresh(force=True)
            uncompared = await self._stage(opened, file, pieces)
            window = await self._window(opened, terms, file.rows)
            await opened.compare(window)
            await price_file_calls(opened, self._database)
            yield Reconciliation(await self._report(opened, file, window, uncompared), opened)

    async def _stage(self, opened: Session, file: CallFile, pieces: AsyncIterator[bytes]) -> int:
        """How many callers can not be compared."""
        uncompared = 0
        async for rows in batches(file, pieces):
            read = []
            for row in rows:
                read.append(self._read(row))
                if len(read) % TURN == 0:
                    await asyncio.sleep(0)
            calls = [one for one in read if isinstance(one, FileCall)]
            unread = [one for one in read if not isinstance(one, FileCall)]
            if calls:
                await opened.stage(calls)
            if unread:
                await opened.unreadable(unread)
            uncompared += sum(call.caller_hash is None for call in calls)
        return uncompared

    def _read(self, row: Row) -> FileCall | tuple[int, str]:
        """A row to stage, or (line, why it is none)."""
        record = record_of(row)
        if isinstance(record, Reported) or row.call is None:
            return row.line, row.reason or "a value is too long or holds control characters"
        call, seconds = row.call, _seconds(row.call)
        if seconds is None:
            return row.line, "the release is before the answer or the dial"
        host = self._registry.find(call.host)
        return FileCall(
            row.line,
            call.call_id,
            cell_of(self._cells, call.call_id),
            host.cell if host else None,
            host.host if host else None,
            _extension(call.extension),
            self._caller(call.caller),
            call.answer_time or call.call_time,
            call.call_time,
            call.answer_time,
            call.release_time,
            seconds,
            call.minutes,
            call.cost,
        )

    def _caller(self, written: str) -> bytes | None:
        """None = not to be compared: masked, or left empty, which says nothing (a withheld one is named so)."""
        if not written:
            return None
        try:
            return self._vault.fingerprint(parse_caller(written))
        except PhoneError:
            return None

    async def _window(self, opened: Session, terms: Terms, rows: int) -> Window:
        """Raises UnusableFile, Refused (invalid_request)."""
        span = await opened.span()
        hosts = self._hosts(terms.carrier, span["hosts"] or [])
        if not rows and terms.from_at is None:  # it would agree with whatever was charged here
            raise UnusableFile("the file has names only: say by period, or from and to, what it is about")
        from_at = terms.from_at or span["first"] or _NOTHING
        to_at = terms.to_at or (span["last"] or _NOTHING) + _SECOND
        return Window(
            from_at=from_at,
            to_at=to_at,
            search_from=from_at - BEYOND,
            search_to=to_at + BEYOND,
            cells=sorted({host.cell for host in self._registry.all}),
            hosts=[host.host for host in hosts],
            tolerance_s=terms.tolerance_s,
            apart_s=APART_S,
        )

    def _hosts(self, carrier: str | None, in_file: Sequence[str]) -> list[Host]:
        """Those whose calls the file should have. Raises Refused (invalid_request)."""
        if carrier is not None:
            found = [host for host in self._registry.all if host.carrier == carrier]
            if not found:
                raise Refused(Code.INVALID_REQUEST, "no host is registered with that carrier")
            return found
        carriers = {self._registry.known(host).carrier for host in in_file}
        return [host for host in self._registry.all if host.carrier in carriers or not carriers]

    async def _report(self, opened: Session, file: CallFile, window: Window, uncompared: int) -> Report:
        totals, kinds = await opened.totals(), await opened.kinds()
        assert file.form is not None
        return Report(
            form=str(file.form),
            from_at=window.from_at,
            to_at=window.to_at,
            rows=file.rows,
            outside=file.rows - totals["their_calls"] - kinds.get(Kind.UNREADABLE, 0),
            callers_not_compared=uncompared,
            matched=totals["matched"],
            counts={str(kind): kinds.get(kind, 0) for kind in Kind},
            ours=Ours(
                calls=totals["our_calls"],
                answered=totals["our_answered"],
                seconds=totals["our_seconds"],
                minutes=totals["our_minutes"],
                charged=totals["cost"],
            ),
            theirs=Theirs(
                calls=totals["their_calls"],
                answered=totals["their_answered"],
                seconds=totals["their_seconds"],
                minutes=totals["their_minutes"],
                at_our_rates=totals["priced"],
                fee=totals["fee"] if totals["fees"] else None,
                fees=totals["fees"],
            ),
        )


def _seconds(call: CarrierCall) -> int | None:
    """What the carrier counts: as it says, else from answer to release, cut to whole ones. None = it can not be."""
    if call.release_time < (call.answer_time or call.call_time.replace(microsecond=0)):
        return None
    if call.seconds is not None or call.answer_time is None:
        return call.seconds or 0
    return (call.release_time - call.answer_time) // _SECOND


def _extension(written: str | None) -> str | None:
    """People key in phones by mistake: what is no extension is not kept."""
    return written if written is None or _EXTENSION.fullmatch(written) else "?"
