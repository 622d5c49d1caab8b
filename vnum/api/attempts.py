"""Refused calls, as the merchant whose number was dialled may see them; and what recipients keyed in after calls."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer
from vnum.api.auth import SHOPS, SWITCHES
from vnum.api.calls import REJECTED, cursor, place, within_calendar
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.fields import Instant, Name
from vnum.model.refusals import Code, Refused
from vnum.service.attempts import PAGE, Attempt
from vnum.service.marks import Marked, MarkSum, NewMark


class AttemptQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    merchant_id: Name
    since: Instant = msgspec.field(name="from")
    until: Instant = msgspec.field(name="to")
    after: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None


class AttemptList(msgspec.Struct, frozen=True, omit_defaults=True):
    attempts: list[Attempt]
    next: str | None = None


class MarkQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    merchant_id: Name
    since: Instant = msgspec.field(name="from")
    until: Instant = msgspec.field(name="to")


class MarkList(msgspec.Struct, frozen=True):
    marks: list[MarkSum]


class Attempts:
    def __init__(self, engine: Engine) -> None:
        self._attempts = engine.attempts
        self._marks = engine.marks

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/v1/calls/attempts", SHOPS, self.list, AttemptQuery),
            Endpoint("POST", "/v1/calls/marks", SWITCHES, self.mark, NewMark),
            Endpoint("GET", "/v1/calls/marks", SHOPS, self.marks, MarkQuery),
        ]

    @answers(AttemptList, within=(*REJECTED, Code.RECIPIENT_UNAVAILABLE))
    async def list(self, call: Call, asked: AttemptQuery) -> Answer:
        """A merchant's refused calls of up to 92 days, 1,000 at a time; kept for 6 months. Never who rang."""
        found = await self._attempts.page(
            asked.merchant_id,
            within_calendar(asked.since),
            within_calendar(asked.until),
            after=None if asked.after is None else _place(asked.after),
            tie=call.caller.merchants,
        )
        more = cursor(found[-1].at, str(found[-1].attempt_id)) if len(found) == PAGE else None
        return json_answer(200, AttemptList(found, more))

    @answers(
        Marked,
        refuses=(Code.CALL_NOT_FOUND, Code.TIME_IN_FUTURE),
        example={"call_id": "c-1", "mark": "complaint", "at": "2026-10-05T04:02:20Z"},
    )
    async def mark(self, call: Call, new: NewMark) -> Answer:
        """What the recipient keyed in after a call; a complaint blocks its caller for him. May be sent again."""
        return json_answer(200, await self._marks.add(new))

    @answers(MarkList)
    async def marks(self, call: Call, asked: MarkQuery) -> Answer:
        """How many of a merchant's calls recipients marked with what; 92 days at most. By caller: GET /v1/callers."""
        since, until = within_calendar(asked.since), within_calendar(asked.until)
        found = await self._marks.sums(asked.merchant_id, since, until, tie=call.caller.merchants)
        return json_answer(200, MarkList(found))


def _place(text: str) -> tuple[datetime, UUID]:
    instant, name = place(text)
    try:
        return instant, UUID(name)
    except ValueError:
        raise Refused(Code.INVALID_REQUEST, "after: send what `next` of the page before says") from None
