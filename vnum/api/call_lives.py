"""One call's whole life, and the calls that nobody reported."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as
from vnum.api.auth import LOOKERS, PAYERS, PRINTERS
from vnum.api.bodies import Nothing
from vnum.api.calls import cursor, place
from vnum.api.disputes import DisputeView, call_id_in
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.call_policy import CallerClass
from vnum.model.dials import CallState, DialState
from vnum.model.refusals import Code, Refused
from vnum.service.call_lives import CallLife
from vnum.service.keep import Status
from vnum.service.labels import Reader
from vnum.service.marks import Mark
from vnum.service.unrecorded import PAGE


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
        return json_answer(200, UnrecordedList([shown_as(UnrecordedView, one) for one in found], more))

    @answers(LifeView, refuses=(Code.CALL_NOT_FOUND,))
    async def life(self, call: Call, asked: Nothing) -> Answer:
        """All that became of one call: tries, connection, states, record, marks, disputes, invoice."""
        caller = call.caller
        reader = Reader(merchants=caller.merchants, prints=caller.role in PRINTERS)
        return json_answer(200, _life(await self._lives.get(call_id_in(call), reader)))


def _life(life: CallLife) -> LifeView:
    return shown_as(
        LifeView,
        life,
        tries=[shown_as(TryView, one) for one in life.tries],
        told=[shown_as(ToldView, one) for one in life.told],
        needs_reconciliation=life.overdue,
        ordered=life.ordered and shown_as(OrderedView, life.ordered),
        record=life.record and shown_as(RecordView, life.record, status=Status.RATED),
        not_taken=[shown_as(NotTakenView, one) for one in life.not_taken],
        disputes=[shown_as(DisputeView, one) for one in life.disputes],
    )
