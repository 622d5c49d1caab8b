"""One call's whole life: what was asked, tried, connected, told, recorded, disputed and billed. Never who rang."""

from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.finance import Dispute, disputes_of_call, invoice_of_call
from vnum.model.acting import acting, untied
from vnum.model.call_policy import CallerClass
from vnum.model.call_rules import told
from vnum.model.cells import cell_of
from vnum.model.dials import CallState, DialFailure, DialState
from vnum.model.ids import cell_in
from vnum.model.refusals import Code, Refused
from vnum.service.calls import RatedCall
from vnum.service.clock import Clock, peek
from vnum.service.keep import Status
from vnum.service.labels import EVERYONE, Labels, Reader
from vnum.service.marks import Mark
from vnum.store import dials as stored_dials
from vnum.store import lives as stored
from vnum.store import marks as stored_marks
from vnum.store.database import Database


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """That it was dialled for an agent. Where there is a record the state is what the record says."""

    at: datetime
    state: DialState
    code: str | None
    taken_at: datetime | None
    changed_at: datetime


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """Digits that led nowhere; the code is what the switch was told."""

    at: datetime
    code: Code
    caller_class: CallerClass = msgspec.field(name="class")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the switch told while the call ran."""

    state: CallState
    at: datetime


class NotTaken(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the call that charges nothing; `state` = open until somebody decides."""

    at: datetime
    status: Status
    code: str
    state: str


class CallLife(msgspec.Struct, frozen=True, kw_only=True):
    """connected_at = when route let it through; overdue = its record should be there, and is not. A tied key sees what
    is of its merchants; host and extension None = the reader has to wait for the number until the order is shipped."""

    call_id: str
    merchant_id: str | None = None
    order_id: str | None = None
    binding_id: UUID | None = None
    host: str | None = None
    extension: str | None = None
    call_back: bool
    ordered: Ordered | None
    tries: list[Try]
    connected_at: datetime | None
    told: list[Told]
    record: RatedCall | None = None
    overdue: bool
    not_taken: list[NotTaken]
    marks: list[Mark] = []
    disputes: list[Dispute] = []
    invoice_number: str | None = None


class CallLives:
    def __init__(self, database: Database, labels: Labels, clock: Clock, cells: int) -> None:
        self._database = database
        self._labels = labels
        self._clock = clock
        self._cells = cells

    async def get(self, call_id: str, reader: Reader = EVERYONE) -> CallLife:
        """Raises Refused (call_not_found), also for what a tied key may not see."""
        cell = cell_of(self._cells, call_id)
        with untied():  # what route decided of an id is nobody's secret; whose it is, is asked under the tie
            key = await stored.key(self._database, cell, call_id)
        dial = await stored_dials.one(self._database, cell, call_id)
        if dial is not None and not _sees(reader, dial["merchant_id"]):
            dial = None
        tries = [row for row in await stored.tries(self._database, call_id) if _sees(reader, row["merchant_id"])]
        owner = await self._owner(key, dial, reader)
        whole = owner is not None or not acting().tied
        with untied():  # names nobody, and is told to the call's own merchant, and to who is not tied
            not_taken = await stored.not_taken(self._database, cell, call_id) if whole else []
            states = await stored_dials.states(self._database, cell, call_id) if whole else []
        if not (owner or tries or not_taken or states or (whole and key)):
            raise Refused(Code.CALL_NOT_FOUND, "no call of yours has such an id")
        life = CallLife(
            call_id=call_id,
            call_back=whole and key is not None and key["back"],
            ordered=None if dial is None else _ordered(dial),
            tries=[_try(row) for row in tries],
            connected_at=key["routed_at"] if whole and key is not None else None,
            told=[Told(state=CallState(row["state"]), at=row["at"]) for row in states],
            overdue=whole and await self._overdue(key),
            not_taken=[_not_taken(row) for row in not_taken],
        )
        return life if owner is None else await self._with_record(life, cell, key, owner, reader)

    async def _owner(self, key: Record | None, dial: Record | None, reader: Reader) -> Record | None:
        """merchant_id, order_id, binding_id, host, extension, of a call that the reader may see."""
        binding_id = key["binding_id"] if key is not None else None
        if binding_id is None:
            return dial
        found = (await stored.bindings(self._database, [binding_id])).get(binding_id)
        return found if found is not None and _sees(reader, found["merchant_id"]) else None

    async def _overdue(self, key: Record | None) -> bool:
        if key is None or key["recorded"] or key["overdue_at"] is None:
            return False
        return bool(key["overdue_at"] <= await peek(self._clock, self._database))

    async def _with_record(
        self, life: CallLife, cell: int, key: Record | None, owner: Record, reader: Reader
    ) -> CallLife:
        merchant_id, order_id = owner["merchant_id"], owner["order_id"]
        hidden = await self._labels.hidden(merchant_id, {order_id}, reader)
        record = None
        if key is not None and key["recorded"] and key["biz_at"] is not None:
            record = await stored.record(self._database, cell_in(key["binding_id"]), key["biz_at"], life.call_id)
        async with self._database.acquire() as connection:
            marks = await stored_marks.of_calls(connection, [(cell, life.call_id)])
            disputes = await disputes_of_call(connection, merchant_id, life.call_id)
            invoice = None
            if record is not None and record["seconds"]:
                late = record["late"]
                invoice = await invoice_of_call(connection, merchant_id, life.call_id, record["biz_at"], late=late)
        return msgspec.structs.replace(
            life,
            merchant_id=merchant_id,
            order_id=order_id,
            binding_id=owner["binding_id"],
            host=None if hidden else owner["host"],
            extension=None if hidden else owner["extension"],
            ordered=life.ordered if record is None else _as_recorded(life.ordered, record),
            record=None if record is None else _rated(record),
            marks=[Mark(row["mark"]) for row in marks],
            disputes=disputes,
            invoice_number=invoice,
        )


def _sees(reader: Reader, merchant_id: str) -> bool:
    return reader.merchants is None or merchant_id in reader.merchants


def _ordered(row: Record) -> Ordered:
    return Ordered(
        at=row["ordered_at"],
        state=DialState(row["state"]),
        code=None if row["code"] is None else told(row["code"], tied=acting().tied),
        taken_at=row["taken_at"],
        changed_at=row["changed_at"],
    )


def _as_recorded(ordered: Ordered | None, record: Record) -> Ordered | None:
    """Switches tell states at best, in any order, or not at all; the record is what counts."""
    if ordered is None:
        return None
    if record["answer_time"] is not None:
        return msgspec.structs.replace(ordered, state=DialState.ENDED, code=None)
    return msgspec.structs.replace(ordered, state=DialState.FAILED, code=ordered.code or DialFailure.FAILED.value)


def _try(row: Record) -> Try:
    return Try(at=row["at"], code=Code(told(row["code"], tied=acting().tied)), caller_class=CallerClass(row["class"]))


def _rated(row: Record) -> RatedCall:
    return RatedCall(**{name: row[name] for name in RatedCall.__struct_fields__})


def _not_taken(row: Record) -> NotTaken:
    return NotTaken(at=row["received_at"], status=Status(row["status"]), code=row["code"], state=row["state"])
