"""One call's whole life, and the calls that nobody reported."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer, utc
from vnum.api.auth import LOOKERS, PAYERS, PRINTERS
from vnum.api.bodies import Nothing
from vnum.api.calls import cursor, place
from vnum.api.disputes import DisputeView, call_id_in, view_of
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.finance import plain
from vnum.model.call_policy import CallerClass
from vnum.model.dials import CallState, DialState
from vnum.model.refusals import Code, Refused
from vnum.service.call_lives import CallLife, NotTaken, Ordered, Recorded, Told, Try
from vnum.service.keep import Status
from vnum.service.labels import Reader
from vnum.service.marks import Mark
from vnum.service.unrecorded import PAGE, UnrecordedCall


class OrderedView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That the call was ordered (POST /v1/calls/dial), and how far it came. `code` = why it failed."""

    at: datetime
    state: DialState
    changed_at: datetime
    taken_at: datetime | None = None
    code: str | None = None


class TryView(msgspec.Struct, frozen=True, kw_only=True):
    """Digits that led nowhere."""

    at: datetime
    code: Code
    caller_class: CallerClass = msgspec.field(name="class")


class ToldView(msgspec.Struct, frozen=True, kw_only=True):
    state: CallState
    at: datetime


class RecordView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The record that is charged."""

    status: Status
    call_time: datetime
    release_time: datetime
    seconds: int
    minutes: int
    cost: str
    late: bool
    ring_time: datetime | None = None
    answer_time: datetime | None = None
    release_dir: int | None = None
    release_cause: int | None = None


class NotTakenView(msgspec.Struct, frozen=True, kw_only=True):
    """A record that is not charged. `state` as of GET /v1/calls/reviews."""

    at: datetime
    status: Status
    code: str
    state: str


class LifeView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Never who rang. `connected_at` = when the switch was told whom to ring; `needs_reconciliation` = its record
    should be there, and is not. `call_back` = the recipient rang. What is not known, or not yet, is left out."""

    call_id: str
    tries: list[TryView]
    told: list[ToldView]
    needs_reconciliation: bool
    call_back: bool
    merchant_id: str | None = None
    order_id: str | None = None
    binding_id: UUID | None = None
    host: str | None = None
    extension: str | None = None
    ordered: OrderedView | None = None
    connected_at: datetime | None = None
    record: RecordView | None = None
    not_taken: list[NotTakenView] = []
    marks: list[Mark] = []
    disputes: list[DisputeView] = []
    invoice_number: str | None = None


class UnrecordedQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    after: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None


class UnrecordedView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`overdue_at` = an hour after the call's longest possible end."""

    call_id: str
    binding_id: UUID
    connected_at: datetime
    overdue_at: datetime
    call_back: bool
    merchant_id: str | None = None
    order_id: str | None = None
    host: str | None = None
    extension: str | None = None


class UnrecordedList(msgspec.Struct, frozen=True, omit_defaults=True):
    calls: list[UnrecordedView]
    next: str | None = None


class CallLives:
    def __init__(self, engine: Engine) -> None:
        self._lives = engine.call_lives
        self._unrecorded = engine.unrecorded

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/v1/calls/unrecorded", LOOKERS, self.unrecorded, UnrecordedQuery),
            Endpoint("GET", "/v1/calls/{call_id}", PAYERS, self.life),
        ]

    @answers(UnrecordedList)
    async def unrecorded(self, call: Call, asked: UnrecordedQuery) -> Answer:
        """Connected calls whose record is overdue, the longest first, 1,000 at a time; not by a tied key."""
        if call.caller.merchants is not None:
            raise Refused(Code.FORBIDDEN, "a key that is tied to merchants may not list what is to be reconciled")
        found = await self._unrecorded.page(None if asked.after is None else place(asked.after))
        more = cursor(found[-1].overdue_at, found[-1].call_id) if len(found) == PAGE else None
        return json_answer(200, UnrecordedList([_unrecorded(one) for one in found], more))

    @answers(LifeView, refuses=(Code.CALL_NOT_FOUND,))
    async def life(self, call: Call, asked: Nothing) -> Answer:
        """All that became of one call: tries, connection, states, record, marks, disputes, invoice."""
        caller = call.caller
        reader = Reader(merchants=caller.merchants, prints=caller.role in PRINTERS)
        return json_answer(200, _life(await self._lives.get(call_id_in(call), reader)))


def _life(life: CallLife) -> LifeView:
    return LifeView(
        call_id=life.call_id,
        tries=[_try(one) for one in life.tries],
        told=[_told(one) for one in life.told],
        needs_reconciliation=life.overdue,
        call_back=life.call_back,
        merchant_id=life.merchant_id,
        order_id=life.order_id,
        binding_id=life.binding_id,
        host=life.host,
        extension=life.extension,
        ordered=None if life.ordered is None else _ordered(life.ordered),
        connected_at=life.connected_at and utc(life.connected_at),
        record=None if life.record is None else _record(life.record),
        not_taken=[_not_taken(one) for one in life.not_taken],
        marks=life.marks,
        disputes=[view_of(one) for one in life.disputes],
        invoice_number=life.invoice_number,
    )


def _try(one: Try) -> TryView:
    return TryView(at=utc(one.at), code=one.code, caller_class=one.caller_class)


def _told(one: Told) -> ToldView:
    return ToldView(state=one.state, at=utc(one.at))


def _not_taken(one: NotTaken) -> NotTakenView:
    return NotTakenView(at=utc(one.at), status=one.status, code=one.code, state=one.state)


def _ordered(one: Ordered) -> OrderedView:
    return OrderedView(
        at=utc(one.at),
        state=one.state,
        changed_at=utc(one.changed_at),
        taken_at=one.taken_at and utc(one.taken_at),
        code=one.code,
    )


def _record(one: Recorded) -> RecordView:
    return RecordView(
        status=Status.RATED,
        call_time=utc(one.call_time),
        release_time=utc(one.release_time),
        seconds=one.seconds,
        minutes=one.minutes,
        cost=plain(one.cost),
        late=one.late,
        ring_time=one.ring_time and utc(one.ring_time),
        answer_time=one.answer_time and utc(one.answer_time),
        release_dir=one.release_dir,
        release_cause=one.release_cause,
    )


def _unrecorded(one: UnrecordedCall) -> UnrecordedView:
    fields = msgspec.structs.asdict(one)
    times = {name: utc(value) for name, value in fields.items() if isinstance(value, datetime)}
    return UnrecordedView(**fields | times)
