"""Call records rated and filed: what the switch reports is charged once, or kept aside with the reason; never lost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

import msgspec
from asyncpg import Record

from vnum.finance import DEFAULT_TARIFF, BillingRefusal, CallRater, TariffId, load_book
from vnum.meters import CALLS, POST_DIAL_S, RECORDS
from vnum.model.bindings import MAX_LIFE
from vnum.model.ids import RANDOM_BYTES, cell_in, new_id
from vnum.model.refusals import Code, Refused
from vnum.model.retention import Keep
from vnum.service.call_record import CallRecord as CallRecord
from vnum.service.call_record import NormalRecord, RecordProblem, normal
from vnum.service.clock import Clock, peek
from vnum.service.keep import Keeper, NotTaken
from vnum.service.keep import Status as Status
from vnum.service.registry import Registry
from vnum.store import calls as stored
from vnum.store.calls import FORGOTTEN, Asked, Filed
from vnum.store.database import Database, is_data_error
from vnum.vault import Vault, month_of

ATTEMPTS = 4
_SECOND = timedelta(seconds=1)
KEEP = Keep()


class Reported(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one record. minutes and cost (CNY) of rated ones and of their duplicates."""

    call_id: str
    status: Status
    minutes: int | None = None
    cost: Decimal | None = None
    code: Code | None = None
    detail: str | None = None


_UNSTORABLE = RecordProblem(
    Code.INVALID_REQUEST, "PostgreSQL can not store a value of this record (a time, most likely)"
)


class Records:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        registry: Registry,
        keeper: Keeper,
        clock: Clock,
        cells: int,
        keep: Keep = KEEP,
    ) -> None:
        self._database = database
        self._vault = vault
        self._registry = registry
        self._keeper = keeper
        self._clock = clock
        self._cells = cells
        self._keep = keep

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
        rater = CallRater(await load_book(self._database))
        hosts = {written: await self._registry.get(written) for written in {record.host for record in records}}
        batch = _Batch(records, rater, now)
        for n, record in enumerate(records):
            try:
                batch.read[n] = normal(record, hosts[record.host], self._cells, now)
            except RecordProblem as problem:
                batch.reject(n, problem)
        batch.sealing = await self._sealing(list(batch.read.values()), now)
        await self._rate_and_file(batch)
        batch.count()
        return batch.results()

    async def price(self, record: CallRecord) -> Filed:
        """What the record would be charged as now, were it the first of its call. Raises Refused."""
        now = await peek(self._clock, self._database)
        rater = CallRater(await load_book(self._database))
        host = await self._registry.get(record.host)
        try:
            read = normal(record, host, self._cells, now)
            (known,) = await stored.resolve(self._database, [self._asked(read)])
            return self._rate(read, known, rater, await self._sealing([read], now))
        except RecordProblem as problem:
            raise Refused(problem.code, problem.detail) from None

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
            taken, unstorable = await self._file(list(rows.values()), batch.now)
            for n, row in rows.items():
                if row.call_id in unstorable:
                    batch.reject(n, _UNSTORABLE)
                elif row.call_id in taken:
                    batch.done[n] = Reported(
                        call_id=row.call_id, status=Status.RATED, minutes=row.rated.minutes, cost=row.rated.cost
                    )
                else:
                    again.append(n)
            open_ = again
        for n in open_:
            batch.reject(
                n, RecordProblem(Code.STORE_UNAVAILABLE, "others report this call at the moment; send it again")
            )

    async def _file(self, rows: list[Filed], now: datetime) -> tuple[set[str], set[str]]:
        """(taken, unstorable) call ids: halved until a row that can not be stored stands alone, and only that fails."""
        if not rows:
            return set(), set()
        by_key = groupby(sorted(rows, key=attrgetter("key_id")), key=attrgetter("key_id"))
        if len(groups := [list(group) for _, group in by_key]) > 1:  # around the end of a month
            done = [await self._file(group, now) for group in groups]
            return set().union(*(taken for taken, _ in done)), set().union(*(bad for _, bad in done))
        try:
            return await stored.file(self._database, rows, now), set()
        except Exception as trouble:
            if not is_data_error(trouble):
                raise
        if len(rows) == 1:
            return set(), {rows[0].call_id}
        middle = len(rows) // 2
        first = await self._file(rows[:middle], now)
        second = await self._file(rows[middle:], now)
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
            return self._rate(read, known, batch.rater, batch.sealing)
        except RecordProblem as problem:
            batch.reject(n, problem)
            return None

    async def _sealing(self, read: Sequence[NormalRecord], now: datetime) -> "_Sealing":
        """What seals the callers of these records: of each month its key, of calls past their term nothing."""
        kept = [one.biz_at for one in read if self._keep.keeps_caller(one.biz_at, now)]
        return _Sealing(await self._vault.months(kept), now)

    def _rate(self, read: NormalRecord, known: Record, rater: CallRater, sealing: "_Sealing") -> Filed:
        """Raises RecordProblem."""
        record = read.record
        if known["binding_id"] is None:
            raise RecordProblem(Code.NO_BINDING, "no binding held this number when the caller dialled")
        if known["host"] != read.host.host or read.extension not in (None, known["extension"]):
            raise RecordProblem(Code.BINDING_MISMATCH, "the binding has another host or extension than the record")
        try:
            tariff_id = TariffId(known["tariff_id"] or DEFAULT_TARIFF)
            rated = rater.rate(tariff_id, read.biz_at, read.answer_time, read.release_time)
        except BillingRefusal as refusal:
            raise RecordProblem(Code.TARIFF_NOT_FOUND, refusal.message) from refusal
        key_id = sealing.keys.get(month_of(read.biz_at)) if self._keep.keeps_caller(read.biz_at, sealing.now) else None
        return Filed(
            read.call_cell,
            record.call_id,
            FORGOTTEN if key_id is None else self._vault.fingerprint(read.content(known["extension"])),
            read.host.cell,
            read.host.host,
            read.extension or known["extension"],
            known["binding_id"],
            known["merchant_id"],
            known["order_id"],
            None if key_id is None else self._vault.seal(read.caller, record.call_id, b"caller", key_id),
            None if key_id is None else self._vault.fingerprint(read.caller),
            read.call_time,
            read.ring_time,
            read.answer_time,
            read.release_time,
            record.release_dir,
            record.release_cause,
            rated,
            self._vault.key_id if key_id is None else key_id,
        )

    def _asked(self, read: NormalRecord) -> Asked:
        record = read.record
        named, host = record.binding_id, read.host
        key = (read.call_cell, record.call_id)
        if named is not None:  # found by its id alone
            return Asked(*key, cell_in(named), host.host, read.extension, named, None, None, None, read.biz_at)
        from_id = new_id(0, read.call_time - MAX_LIFE - _SECOND, bytes(RANDOM_BYTES))
        to_id = new_id(0, read.call_time + _SECOND, bytes(RANDOM_BYTES))
        at = read.call_time
        return Asked(*key, host.cell, host.host, read.extension, None, at, from_id, to_id, read.biz_at)


CAUSES = frozenset({1, 16, 17, 18, 19, 21, 27, 28, 31, 34, 38, 41, 42, 102})
"""Q.850 causes that are told apart in the figures."""


def cause_of(read: NormalRecord) -> str:
    cause = read.record.release_cause
    return "none" if cause is None else str(cause) if cause in CAUSES else "other"


class _Sealing(msgspec.Struct, frozen=True, gc=False):
    """Month -> its key; None = destroyed."""

    keys: Mapping[date, int | None]
    now: datetime


class _Batch:
    sealing: _Sealing

    def __init__(self, records: Sequence[CallRecord], rater: CallRater, now: datetime) -> None:
        self.records = records
        self.rater = rater
        self.now = now
        self.read: dict[int, NormalRecord] = {}
        self.done: dict[int, Reported] = {}

    def reject(self, n: int, problem: RecordProblem) -> None:
        self.done[n] = Reported(
            call_id=self.records[n].call_id,
            status=Status.REJECTED,
            code=problem.code,
            detail=problem.detail,
        )

    def count(self) -> None:
        for (status, code), n in Counter((one.status, one.code) for one in self.done.values()).items():
            RECORDS.labels(status, code or "").inc(n)
        rated = [self.read[n] for n, one in self.done.items() if one.status is Status.RATED]
        for (answered, cause), n in Counter((one.answer_time is not None, cause_of(one)) for one in rated).items():
            CALLS.labels("yes" if answered else "no", cause).inc(n)
        for one in rated:
            if one.ring_time is not None:
                POST_DIAL_S.observe(max((one.ring_time - one.call_time).total_seconds(), 0))

    def results(self) -> list[Reported]:
        return [self.done[n] for n in range(len(self.records))]
