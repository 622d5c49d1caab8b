"""Calls: those of a merchant, page by page; who rang is not among what is shown."""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.finance import DisputeState, dispute_states
from vnum.model.acting import untied
from vnum.model.cells import cell_of
from vnum.model.refusals import Code, Refused
from vnum.service.dials import Dials, OpenDial
from vnum.service.keys import Tie
from vnum.service.labels import EVERYONE, Labels, Reader
from vnum.service.marks import Mark
from vnum.store import calls as stored
from vnum.store import marks as stored_marks
from vnum.store.database import Database

PAGE = 1_000
LONGEST = timedelta(days=92)
"""As many days as one list may span."""


class RatedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call as its record tells it, and what it costs (CNY). Times in UTC."""

    call_time: datetime
    ring_time: datetime | None
    answer_time: datetime | None
    release_time: datetime
    release_dir: int | None
    release_cause: int | None
    seconds: int
    minutes: int
    cost: Decimal
    late: bool


class FiledCall(RatedCall, frozen=True, kw_only=True):
    """As those see it who pay for it. biz_at dates it: its answer, or the dial when unanswered. host and extension
    None = the reader has to wait for the number until the order is shipped. `dispute` = the state of its last dispute,
    `marks` = what its recipient keyed in after it."""

    call_id: str
    biz_at: datetime
    binding_id: UUID
    order_id: str
    host: str | None
    extension: str | None
    dispute: DisputeState | None
    marks: list[Mark]


class Calls:
    def __init__(self, database: Database, labels: Labels, dials: Dials, cells: int) -> None:
        self._database = database
        self._labels = labels
        self._dials = dials
        self._cells = cells

    async def page(
        self,
        merchant_id: str,
        since: datetime,
        until: datetime,
        *,
        reader: Reader = EVERYONE,
        order_id: str | None = None,
        after: tuple[datetime, str] | None = None,
    ) -> list[FiledCall]:
        """Up to 1,000 of the merchant's in [since, until), in order of (biz_at, call_id), behind `after`; of a merchant
        that the reader may not see, none. Raises Refused (invalid_request)."""
        if not timedelta(0) < until - since <= LONGEST:
            raise Refused(Code.INVALID_REQUEST, f"from must be before to, and at most {LONGEST.days} days before it")
        if reader.merchants is not None and merchant_id not in reader.merchants:
            return []
        rows = await stored.of_merchant(self._database, merchant_id, since, until, order_id, after or (since, ""), PAGE)
        async with self._database.acquire() as connection:
            disputes = await dispute_states(connection, merchant_id, [row["call_id"] for row in rows])
            marks: defaultdict[str, list[Mark]] = defaultdict(list)
            for row in await stored_marks.of_calls(
                connection, [(cell_of(self._cells, row["call_id"]), row["call_id"]) for row in rows]
            ):
                marks[row["call_id"]].append(Mark(row["mark"]))
        hidden = await self._labels.hidden(merchant_id, {row["order_id"] for row in rows}, reader)
        return [
            _call(row, disputes.get(row["call_id"]), marks[row["call_id"]], hidden=row["order_id"] in hidden)
            for row in rows
        ]

    async def open_dials(
        self,
        merchant_id: str,
        since: datetime,
        until: datetime,
        *,
        reader: Reader = EVERYONE,
        order_id: str | None = None,
        after: tuple[datetime, str] | None = None,
    ) -> list[OpenDial]:
        """The merchant's ordered calls that have no record yet (or never will), in order of (ordered_at, call_id)."""
        if reader.merchants is not None and merchant_id not in reader.merchants:
            return []
        found = await self._dials.open_page(merchant_id, since, until, order_id, after or (since, ""), PAGE)
        with untied():  # whether the record of one's own order is there
            filed = await stored.locate(
                self._database, [(cell_of(self._cells, one.call_id), one.call_id) for one in found]
            )
        recorded = {call_id for _, _, call_id in filed}
        hidden = await self._labels.hidden(merchant_id, {one.order_id for one in found}, reader)
        return [_masked(one, hidden) for one in found if one.call_id not in recorded]

    async def owner(self, call_id: str, tie: Tie = None) -> str:
        """The merchant who pays for a call. Raises Refused (call_not_found), also for what a tied key may not see."""
        with untied():  # where a call lies is nobody's secret; whose it is, is asked under the tie
            keys = await stored.locate(self._database, [(cell_of(self._cells, call_id), call_id)])
        merchant_id = await stored.payer(self._database, keys[0]) if keys else None
        if merchant_id is None or (tie is not None and merchant_id not in tie):
            raise Refused(Code.CALL_NOT_FOUND, "no call of yours has such an id")
        return merchant_id


def _masked(dial: OpenDial, hidden: frozenset[str]) -> OpenDial:
    return msgspec.structs.replace(dial, host=None, extension=None) if dial.order_id in hidden else dial


def _call(row: Record, dispute: DisputeState | None, marks: list[Mark], *, hidden: bool) -> FiledCall:
    fields = {name: row[name] for name in FiledCall.__struct_fields__ if name not in ("dispute", "marks")}
    number = dict.fromkeys(("host", "extension")) if hidden else {}
    return FiledCall(**fields | number, dispute=dispute, marks=marks)
