"""Disputes: a merchant says that a call is charged wrongly, finance answers. Money changes only by a note."""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as
from vnum.api.auth import FINANCE, PAYERS
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.finance import DisputeState
from vnum.model.fields import CallId, Name, Reason
from vnum.model.refusals import Code, Refused
from vnum.service.disputes import PAGE

MOST_ID: Final = 2**63 - 1
"""The highest id that PostgreSQL's bigint holds."""


class OpenDispute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason


class DisputeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    merchant_id: Name | None = None
    state: DisputeState | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=MOST_ID)] = 0


class Resolve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`note_number` = of the credit note, if one was issued for a dispute that is upheld."""

    outcome: Literal["upheld", "rejected"]
    reason: Reason
    note_number: Name | None = None


class DisputeView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`resolution` (the reason of the outcome) and what follows it are there once it is resolved."""

    dispute_id: int
    merchant_id: str
    call_id: str
    state: DisputeState
    reason: str
    author: str
    opened_at: datetime
    resolution: str | None = None
    resolved_by: str | None = None
    resolved_at: datetime | None = None
    note_number: str | None = None


class DisputeList(msgspec.Struct, frozen=True, omit_defaults=True):
    disputes: list[DisputeView]
    next: int | None = None


class Disputes:
    def __init__(self, engine: Engine) -> None:
        self._disputes = engine.disputes

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/calls/{call_id}/disputes", PAYERS, self.open, OpenDispute),
            Endpoint("GET", "/v1/disputes", PAYERS, self.list, DisputeQuery),
            Endpoint("POST", "/v1/disputes/{dispute_id}/resolve", FINANCE, self.resolve, Resolve),
        ]

    @answers(DisputeView, status=(201,), refuses=(Code.CALL_NOT_FOUND, Code.DISPUTE_OPEN))
    async def open(self, call: Call, asked: OpenDispute) -> Answer:
        """Disputes a call of an open or a closed month; it is billed like any other."""
        caller = call.caller
        dispute = await self._disputes.open(call_id_in(call), asked.reason, author=caller.key_id, tie=caller.merchants)
        return json_answer(201, shown_as(DisputeView, dispute))

    @answers(DisputeList)
    async def list(self, call: Call, asked: DisputeQuery) -> Answer:
        """Disputes, 1,000 at a time, oldest first."""
        found = await self._disputes.page(
            merchant_id=asked.merchant_id, tie=call.caller.merchants, state=asked.state, after=asked.after
        )
        more = found[-1].dispute_id if len(found) == PAGE else None
        return json_answer(200, DisputeList([shown_as(DisputeView, dispute) for dispute in found], more))

    @answers(
        DisputeView, refuses=(Code.DISPUTE_NOT_FOUND, Code.NOTE_NOT_FOUND, Code.DISPUTE_RESOLVED, Code.DISPUTE_INVALID)
    )
    async def resolve(self, call: Call, asked: Resolve) -> Answer:
        """Answers a dispute, once; not by a tied key."""
        if call.caller.merchants is not None:
            raise Refused(Code.FORBIDDEN, "a key that is tied to merchants may not resolve disputes")
        dispute = await self._disputes.resolve(
            _dispute_id(call),
            DisputeState(asked.outcome),
            asked.reason,
            author=call.caller.key_id,
            note_number=asked.note_number,
        )
        return json_answer(200, shown_as(DisputeView, dispute))


def call_id_in(call: Call) -> str:
    """Raises Refused (call_not_found): what is no id names no call."""
    try:
        return msgspec.convert(call.named("call_id"), CallId)
    except msgspec.ValidationError:
        raise Refused(Code.CALL_NOT_FOUND, "no call of yours has such an id") from None


def _dispute_id(call: Call) -> int:
    """Raises Refused (dispute_not_found)."""
    text = call.named("dispute_id")
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MOST_ID:
        return int(text)
    raise Refused(Code.DISPUTE_NOT_FOUND, "no dispute has such an id")
