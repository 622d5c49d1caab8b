"""Reviews: call records that were not taken, listed for a person with the caller masked, and decided."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as
from vnum.api.auth import FINANCE
from vnum.api.calls import UNCHARGED
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.fields import Name, Reason
from vnum.model.refusals import Code, Refused
from vnum.service.decide import Decision
from vnum.service.keep import Status
from vnum.service.reviews import FIRST, PAGE, Masked, Review, ReviewState


class ReviewQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    state: ReviewState = ReviewState.OPEN
    status: Literal["conflict", "rejected"] | None = None
    code: Name | None = None
    after: UUID | None = None


class ChargedView(msgspec.Struct, frozen=True, kw_only=True):
    """What is charged under the same call id. `month_closed`: nothing can replace it any more."""

    merchant_id: str
    order_id: str
    binding_id: UUID
    host: str
    extension: str | None
    caller: str
    call_time: datetime
    answer_time: datetime | None
    release_time: datetime
    seconds: int
    minutes: int
    cost: str
    late: bool
    month_closed: bool


class ReviewView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`record` as it came, its caller masked; of what can not be read, `size` in bytes stands in its place."""

    shown: ClassVar[tuple[str, ...]] = ("record",)

    review_id: UUID
    call_id: str
    received_at: datetime
    status: Status
    code: Code
    detail: str
    state: ReviewState
    record: Masked | None = None
    size: int | None = None
    charged: ChargedView | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None


class ReviewList(msgspec.Struct, frozen=True, omit_defaults=True):
    reviews: list[ReviewView]
    next: UUID | None = None


class Decide(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`retry` is for rejected records, `accept` for conflicts, `discard` for both."""

    decision: Decision
    reason: Reason


class DecidedView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state` open = refused again, for `code`. `minutes` and `cost` (CNY) of what is charged by the decision."""

    review_id: UUID
    state: ReviewState
    status: Status
    minutes: int | None = None
    cost: str | None = None
    code: Code | None = None
    detail: str | None = None


class Reviews:
    def __init__(self, engine: Engine) -> None:
        self._reviews = engine.reviews
        self._decider = engine.decider

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/v1/calls/reviews", FINANCE, self.list, ReviewQuery),
            Endpoint("POST", "/v1/calls/reviews/{review_id}", FINANCE, self.decide, Decide),
        ]

    @answers(ReviewList)
    async def list(self, call: Call, asked: ReviewQuery) -> Answer:
        """Records that were not taken, 1,000 at a time, oldest first, with what is charged in their place."""
        _check_untied(call)
        status = None if asked.status is None else Status(asked.status)
        found = await self._reviews.page(state=asked.state, status=status, code=asked.code, after=asked.after or FIRST)
        more = found[-1].review_id if len(found) == PAGE else None
        return json_answer(200, ReviewList([_view(review) for review in found], more))

    @answers(
        DecidedView,
        refuses=(
            Code.REVIEW_NOT_FOUND,
            Code.REVIEW_DECIDED,
            Code.DECISION_MISMATCH,
            Code.PERIOD_CLOSED,
            *UNCHARGED,
        ),
        within=UNCHARGED,
    )
    async def decide(self, call: Call, asked: Decide) -> Answer:
        """Decides a record that was not taken, once."""
        _check_untied(call)
        review_id = call.id_in("review_id", Code.REVIEW_NOT_FOUND, "no review has such an id")
        decided = await self._decider.decide(review_id, asked.decision, reason=asked.reason, by=call.caller.key_id)
        return json_answer(200, shown_as(DecidedView, decided), final=decided.state is not ReviewState.OPEN)


def _view(review: Review) -> ReviewView:
    return shown_as(ReviewView, review, charged=review.charged and shown_as(ChargedView, review.charged))


def _check_untied(call: Call) -> None:
    """Raises Refused: whose an unread record is, nobody knows."""
    if call.caller.merchants is not None:
        raise Refused(Code.FORBIDDEN, "a key that is tied to merchants may not see records that were not taken")
