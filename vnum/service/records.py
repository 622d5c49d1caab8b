"""Call records: what the switch reports of ended calls. Charged once, or kept aside with the reason; never lost."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.finance import DEFAULT_TARIFF, BillingRefusal, Rated, TariffBook, TariffId, load_book, rate_call
from vnum.model.bindings import MAX_LIFE
from vnum.model.cells import cell_of
from vnum.model.hosts import Host
from vnum.model.ids import RANDOM_BYTES, cell_in, new_id
from vnum.model.numbers import NumberError, parse_extension
from vnum.model.phones import PhoneError, parse_caller
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.service.keep import Keeper, NotTaken
from vnum.service.keep import Status as Status
from vnum.service.orders import Name
from vnum.service.registry import Registry
from vnum.service.route import CallId, Digits
from vnum.store import calls as stored
from vnum.store.calls import Asked, Filed
from vnum.store.database import Database, is_data_error
from vnum.vault import Vault

ATTEMPTS = 4
SKEW = timedelta(seconds=5)
"""How far the steps of one call may be out of order."""

FUTURE = timedelta(minutes=5)
"""How far a switch's clock may be ahead."""

OLDEST = timedelta(days=731)
"""A call longer ago than that is a mistake in the date."""

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Small = Annotated[int, msgspec.Meta(ge=0, le=32767)]


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ended call, times with offset; no answer_time = not connected. release_dir 0 platform, 1 caller, 2 callee."""

    call_id: CallId
    host: Name
    caller: Annotated[str, msgspec.Meta(max_length=64)]
    call_time: Instant
    release_time: Instant
    binding_id: UUID | None = None
    extension: Digits | None = None
    ring_time: Instant | None = None
    answer_time: Instant | None = None
    release_dir: Annotated[int, msgspec.Meta(ge=0, le=2)] | None = None
    release_cause: Annotated[int, msgspec.Meta(ge=0, le=127)] | None = None


class Reported(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one record. minutes and cost (CNY) of rated ones and of their duplicates."""

    call_id: str
    status: Status
    minutes: int | None = None
    cost: Decimal | None = None
    code: Code | None = None
    detail: str | None = None


class _Read(msgspec.Struct, frozen=True, gc=False):
    """A record in normal form: UTC, E.164."""

    record: CallRecord
    host: Host
    extension: str | None
    caller: str
    call_time: datetime
    ring_time: datetime | None
    answer_time: datetime | None
    release_time: datetime
    call_cell: int

    @property
    def biz_at(self) -> datetime:
        """Dates the call and chooses its tariff: the answer, or the dial when nobody answered."""
        return self.answer_time or self.call_time

    def content(self, extension: str | None) -> str:
        """Equal for records of equal content: times to the whole second, and the extension that the binding has where
        a record has none."""
        times = (self.call_time, self.answer_time, self.release_time)
        whole = ("" if instant is None else instant.replace(microsecond=0).isoformat() for instant in times)
        return "\0".join((self.host.host, self.extension or extension or "", self.caller, *whole))


class _Problem(Exception):
    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


_UNSTORABLE = _Problem(Code.INVALID_REQUEST, "PostgreSQL can not store a value of this record (a time, most likely)")


class Records:
    def __init__(
        self, database: Database, vault: Vault, registry: Registry, keeper: Keeper, clock: Clock, cells: int
    ) -> None:
        self._database = database
        self._vault = vault
        self._registry = registry
        self._keeper = keeper
        self._clock = clock
        self._cells = cells
        self._book = TariffBook(())

    async def report(self, records: Sequence[CallRecord]) -> list[Reported]:
        """One result a record, in order; what is not taken is kept for review. All is committed when this returns."""
        results = await self.take(records)
        await self._keeper.keep(
            [
                NotTaken(
                    call_id=record.call_id,
                    status=result.status,
                    code=result.code or Code.INVALID_REQUEST,
                    detail=result.detail or "",
                    text=msgspec.json.encode(record).decode(),
                )
                for record, result in zip(records, results, strict=True)
                if result.status in (Status.CONFLICT, Status.REJECTED)
            ]
        )
        return results

    async def take(self, records: Sequence[CallRecord]) -> list[Reported]:
        """As `report`, but what is not taken is left to the caller."""
        now = await peek(self._clock, self._database)
        self._book = await load_book(self._database)
        hosts = {written: await self._registry.get(written) for written in {record.host for record in records}}
        batch = _Batch(records)
        for n, record in enumerate(records):
            try:
                batch.read[n] = self._read(record, hosts[record.host], now)
            except _Problem as problem:
                batch.reject(n, problem)
        await self._rate_and_file(batch)
        return batch.results()

    async def price(self, record: CallRecord) -> Filed:
        """What the record would be charged as now, were it the first of its call. Raises Refused."""
        now = await peek(self._clock, self._database)
        self._book = await load_book(self._database)
        host = await self._registry.get(record.host)
        try:
            read = self._read(record, host, now)
            (known,) = await stored.resolve(self._database, [self._asked(read)])
            return self._rate(read, known)
        except _Problem as problem:
            raise Refused(problem.code, problem.detail) from None

    def _read(self, record: CallRecord, host: Host | None, now: datetime) -> _Read:
        """Normal form. Raises _Problem."""
        if host is None:
            raise _Problem(Code.HOST_NOT_FOUND, "the host is not registered")
        try:
            caller = parse_caller(record.caller)
            extension = record.extension and parse_extension(record.extension, host.ext_digits)
        except PhoneError as error:
            raise _Problem(Code.INVALID_CALLER, str(error)) from error
        except NumberError as error:
            raise _Problem(Code.INVALID_NUMBER, f"extension: {error}") from error
        times = (record.call_time, record.ring_time, record.answer_time, record.release_time)
        try:
            call, ring, answer, release = (instant and instant.astimezone(UTC) for instant in times)
        except OverflowError:
            raise _Problem(Code.INVALID_REQUEST, "a time lies outside of the calendar") from None
        assert call is not None
        assert release is not None
        _check_times(call, answer, release, now)
        ring = _ring(call, ring, release)
        call_cell = cell_of(self._cells, record.call_id)
        return _Read(record, host, extension or None, caller, call, ring, answer, release, call_cell)

    async def _rate_and_file(self, batch: "_Batch") -> None:
        """A record that another request filed meanwhile is looked at again: it is a duplicate or a conflict now."""
        open_ = list(batch.read)
        for _ in range(ATTEMPTS):
            if not open_:
                return
            found = await stored.resolve(self._database, [self._asked(batch.read[n]) for n in open_])
            rows: dict[int, Filed] = {}
            claimed: set[str] = set()
            again: list[int] = []
            for n, known in zip(open_, found, strict=True):
                if batch.read[n].record.call_id in claimed:
                    again.append(n)  # the second of its id in this batch: after the first is filed
                elif (row := self._judge(batch, n, known)) is not None:
                    rows[n] = row
                    claimed.add(row.call_id)
            taken, unstorable = await self._file(list(rows.values()))
            for n, row in rows.items():
                if row.call_id in unstorable:
                    batch.reject(n, _UNSTORABLE)
                elif row.call_id in taken:
                    batch.done[n] = Reported(
                        call_id=row.call_id, status=Status.RATED, minutes=row.minutes, cost=row.cost
                    )
                else:
                    again.append(n)
            open_ = again
        for n in open_:
            batch.reject(n, _Problem(Code.STORE_UNAVAILABLE, "others report this call at the moment; send it again"))

    async def _file(self, rows: list[Filed]) -> tuple[set[str], set[str]]:
        """(taken, unstorable) call ids: halved until a row that can not be stored stands alone, and only that fails."""
        if not rows:
            return set(), set()
        try:
            return await stored.file(self._database, rows, self._vault.key_id), set()
        except Exception as trouble:
            if not is_data_error(trouble):
                raise
        if len(rows) == 1:
            return set(), {rows[0].call_id}
        middle = len(rows) // 2
        first = await self._file(rows[:middle])
        second = await self._file(rows[middle:])
        return first[0] | second[0], first[1] | second[1]

    def _judge(self, batch: "_Batch", n: int, known: Record) -> Filed | None:
        """The row to file; None = answered already (duplicate, conflict, rejected)."""
        read = batch.read[n]
        if known["known_content"] is not None:
            same = known["known_content"] == self._vault.fingerprint(read.content(known["extension"]))
            batch.done[n] = Reported(
                call_id=read.record.call_id,
                status=Status.DUPLICATE if same else Status.CONFLICT,
                minutes=known["known_minutes"] if same else None,
                cost=known["known_cost"] if same else None,
                code=None if same else Code.RECORD_CONFLICT,
                detail=None if same else "another record of this call was charged; both are kept for review",
            )
            return None
        try:
            return self._rate(read, known)
        except _Problem as problem:
            batch.reject(n, problem)
            return None

    def _rate(self, read: _Read, known: Record) -> Filed:
        """Raises _Problem."""
        record = read.record
        if known["binding_id"] is None:
            raise _Problem(Code.NO_BINDING, "no binding held this number when the caller dialled")
        if known["host"] != read.host.host or read.extension not in (None, known["extension"]):
            raise _Problem(Code.BINDING_MISMATCH, "the binding has another host or extension than the record")
        try:
            tariff = self._book.at(TariffId(known["tariff_id"] or DEFAULT_TARIFF), read.biz_at)
        except BillingRefusal as refusal:
            raise _Problem(Code.TARIFF_NOT_FOUND, refusal.message) from refusal
        rated: Rated = rate_call(read.answer_time, read.release_time, tariff)
        return Filed(
            read.call_cell,
            record.call_id,
            self._vault.fingerprint(read.content(known["extension"])),
            read.host.cell,
            read.biz_at,
            read.host.host,
            read.extension or known["extension"],
            known["binding_id"],
            known["merchant_id"],
            known["order_id"],
            self._vault.seal(read.caller, record.call_id, b"caller"),
            self._vault.fingerprint(read.caller),
            read.call_time,
            read.ring_time,
            read.answer_time,
            read.release_time,
            record.release_dir,
            record.release_cause,
            rated.seconds,
            rated.minutes,
            rated.units,
            rated.unit_s,
            rated.rate,
            rated.setup_fee,
            rated.cost,
            rated.tariff_id,
            rated.tariff_version,
        )

    def _asked(self, read: _Read) -> Asked:
        record = read.record
        cell = read.host.cell if record.binding_id is None else cell_in(record.binding_id)
        return Asked(
            read.call_cell,
            record.call_id,
            cell,
            read.host.host,
            read.extension,
            record.binding_id,
            read.call_time,
            new_id(0, read.call_time - MAX_LIFE - timedelta(seconds=1), bytes(RANDOM_BYTES)),
            new_id(0, read.call_time + timedelta(seconds=1), bytes(RANDOM_BYTES)),
            read.biz_at,
        )


class _Batch:
    def __init__(self, records: Sequence[CallRecord]) -> None:
        self.records = records
        self.read: dict[int, _Read] = {}
        self.done: dict[int, Reported] = {}

    def reject(self, n: int, problem: _Problem) -> None:
        self.done[n] = Reported(
            call_id=self.records[n].call_id,
            status=Status.REJECTED,
            code=problem.code,
            detail=problem.detail,
        )

    def results(self) -> list[Reported]:
        return [self.done[n] for n in range(len(self.records))]


def _check_times(call: datetime, answer: datetime | None, release: datetime, now: datetime) -> None:
    """Raises _Problem. To the whole second: switches mix finer and coarser times in one record."""
    call_s, answer_s, release_s = (instant and instant.replace(microsecond=0) for instant in (call, answer, release))
    assert call_s is not None
    assert release_s is not None
    if answer is not None and release < answer:
        raise _Problem(Code.RELEASE_BEFORE_ANSWER, "release_time is before answer_time")
    if release_s < call_s:
        raise _Problem(Code.RELEASE_BEFORE_ANSWER, "release_time is before call_time")
    if max(call, release) > now + FUTURE:
        raise _Problem(Code.TIME_IN_FUTURE, f"a time is more than 5 minutes ahead of {now:%FT%TZ}; is it local time?")
    if answer_s is not None and answer_s < call_s - SKEW:
        raise _Problem(Code.INVALID_REQUEST, "answer_time is before call_time; is one of them local time?")
    if call < now - OLDEST:
        raise _Problem(Code.INVALID_REQUEST, "call_time is more than two years ago")


def _ring(call: datetime, ring: datetime | None, release: datetime) -> datetime | None:
    """The ring as far as it can be true: nothing is charged by it, so a wrong one is left out and spoils nothing."""
    return ring if ring is not None and call - SKEW <= ring <= release + SKEW else None
