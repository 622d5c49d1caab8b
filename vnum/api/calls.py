"""Calls: the switch asks where one goes, and reports how it ended; who pays for them sees them."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, ClassVar, Final
from uuid import UUID

import msgspec
import structlog

from vnum.api.answers import Answer, json_answer, utc
from vnum.api.auth import PAYERS, PRINTERS, SWITCHES
from vnum.api.bodies import decode
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.finance import DisputeState, plain
from vnum.meters import routed
from vnum.model.dials import DialState
from vnum.model.fields import CallId, Instant, Name
from vnum.model.refusals import Code, Refused
from vnum.service.call_record import CallRecord
from vnum.service.calls import PAGE, FiledCall
from vnum.service.dials import OpenDial
from vnum.service.keep import NotTaken, Status
from vnum.service.labels import Reader
from vnum.service.marks import Mark
from vnum.service.records import Reported
from vnum.service.route import Decision, RouteRequest, fail_closed

log = structlog.get_logger()

REJECTED: Final = (
    Code.HOST_NOT_FOUND,
    Code.INVALID_CALLER,
    Code.NO_BINDING,
    Code.BINDING_EXPIRED,
    Code.BINDING_RELEASED,
    Code.RECIPIENT_ERASED,
    Code.CALLER_LOCKED_OUT,
    Code.TOO_MANY_TRIES,
    Code.RECIPIENT_OPTED_OUT,
    Code.RECIPIENT_BLACKLISTED,
    Code.CALLER_BLOCKED,
    Code.CALLER_BLACKLISTED,
    Code.CALLER_WITHHELD,
    Code.CALLER_NOT_ALLOWED,
    Code.PURPOSE_NOT_ALLOWED,
    Code.QUIET_HOURS,
    Code.CALLS_CAPPED,
    Code.CALLS_CAPPED_BY_ALL,
    Code.CLOCK_JUMP,
    Code.OVERLOADED,
    Code.STORE_UNAVAILABLE,
)
"""Why a call goes nowhere."""

UNCHARGED: Final = (
    Code.INVALID_REQUEST,
    Code.HOST_NOT_FOUND,
    Code.INVALID_CALLER,
    Code.INVALID_NUMBER,
    Code.NO_BINDING,
    Code.BINDING_MISMATCH,
    Code.RELEASE_BEFORE_ANSWER,
    Code.TIME_IN_FUTURE,
    Code.TARIFF_NOT_FOUND,
    Code.RECORD_CONFLICT,
)
"""Why nothing is charged by a record."""

NOT_TAKEN: Final = (*UNCHARGED, Code.STORE_UNAVAILABLE)

_RECORD: Final = msgspec.json.Decoder(CallRecord)


class _Named(msgspec.Struct, frozen=True):
    """As much of an item as names its call."""

    call_id: CallId


_NAMED: Final = msgspec.json.Decoder(_Named)


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Each item is read on its own, so that a malformed one spoils no other."""

    items: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=1000, extra={"item": CallRecord})]


class RecordResult(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`minutes` and `cost` (CNY) of rated records and their duplicates. call_id null = not readable."""

    shown: ClassVar[tuple[str, ...]] = ("minutes", "cost")

    call_id: str | None
    status: Status
    minutes: int | None = None
    cost: str | None = None
    code: str | None = None
    detail: str | None = None


class RecordResults(msgspec.Struct, frozen=True):
    results: list[RecordResult]


class CallQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    merchant_id: Name
    since: Instant = msgspec.field(name="from")
    until: Instant = msgspec.field(name="to")
    order_id: Name | None = None
    after: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None


class CallView(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A call as those see it who pay for it: who rang is left out. `late` = on an invoice after its month's. Platforms
    and admins see host and extension at all times, others once the order is shipped. `state` = of a call that was
    ordered (POST /v1/calls/dial) and has no record: call_time is when it was ordered, there is no release_time, `code`
    says why it failed. Once its record is there, it is a call like any other."""

    shown: ClassVar[tuple[str, ...]] = ("host", "extension", "answer_time", "release_time")

    call_id: str
    binding_id: UUID
    order_id: str
    call_time: datetime
    release_time: datetime | None = None
    seconds: int
    minutes: int
    cost: str
    late: bool
    state: DialState | None = None
    code: str | None = None
    host: str | None = None
    extension: str | None = None
    ring_time: datetime | None = None
    answer_time: datetime | None = None
    release_dir: int | None = None
    release_cause: int | None = None
    dispute: DisputeState | None = None
    marks: list[Mark] = []


class CallList(msgspec.Struct, frozen=True, omit_defaults=True):
    calls: list[CallView]
    next: str | None = None


class Calls:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/calls/route", SWITCHES, self.route, RouteRequest, audited=True),
            Endpoint("POST", "/v1/calls/records", SWITCHES, self.records, Report),
            Endpoint("GET", "/v1/calls", PAYERS, self.list, CallQuery),
        ]

    @answers(CallList)
    async def list(self, call: Call, asked: CallQuery) -> Answer:
        """A merchant's calls, 1,000 at a time, by answer (else dial); 92 days at most; never who rang. Ordered calls
        that have no record yet stand among them, with their state."""
        span = (asked.merchant_id, within_calendar(asked.since), within_calendar(asked.until))
        reader = Reader(merchants=call.caller.merchants, prints=call.caller.role in PRINTERS)
        after = None if asked.after is None else place(asked.after)
        dials = await self._engine.calls.open_dials(*span, reader=reader, order_id=asked.order_id, after=after)
        found = await self._engine.calls.page(*span, reader=reader, order_id=asked.order_id, after=after)
        filed = {one.call_id for one in found}  # one whose record came between the two readings is in both
        open_dials = [one for one in dials if one.call_id not in filed]
        views = [(one.biz_at, _view(one)) for one in found] + [(one.ordered_at, _dialled(one)) for one in open_dials]
        views = sorted(views, key=lambda view: (view[0], view[1].call_id))[:PAGE]
        more = cursor(views[-1][0], views[-1][1].call_id) if len(views) == PAGE else None
        return json_answer(200, CallList([view for _, view in views], more))

    @answers(Decision, within=REJECTED)
    async def route(self, call: Call, asked: RouteRequest) -> Answer:
        """connect or reject; without digits, collect; when the answer can not be made, reject."""
        try:
            decision = await self._engine.routes.route(asked)
        except Exception as trouble:
            log.warning("route_failed_closed", trouble=type(trouble).__name__)
            decision = fail_closed(trouble)
        routed(decision.action, decision.code or "").inc()
        return json_answer(200, decision, fresh=True)

    @answers(RecordResults, within=NOT_TAKEN)
    async def records(self, call: Call, report: Report) -> Answer:
        """A result an item, in order; what is not taken is kept for review."""
        read = [_read(item) for item in report.items]
        await self._engine.keeper.keep(
            [
                _unread(result, item)
                for item, result in zip(report.items, read, strict=True)
                if isinstance(result, RecordResult)
            ]
        )
        records = [record for record in read if isinstance(record, CallRecord)]
        reported = iter(await self._engine.records.report(records) if records else [])
        results = [_result(next(reported)) if isinstance(one, CallRecord) else one for one in read]
        return json_answer(
            200, RecordResults(results), final=all(one.code != Code.STORE_UNAVAILABLE for one in results)
        )


def _view(call: FiledCall) -> CallView:
    return CallView(
        call_id=call.call_id,
        binding_id=call.binding_id,
        order_id=call.order_id,
        host=call.host,
        extension=call.extension,
        call_time=utc(call.call_time),
        release_time=utc(call.release_time),
        seconds=call.seconds,
        minutes=call.minutes,
        cost=plain(call.cost),
        late=call.late,
        ring_time=call.ring_time and utc(call.ring_time),
        answer_time=call.answer_time and utc(call.answer_time),
        release_dir=call.release_dir,
        release_cause=call.release_cause,
        dispute=call.dispute,
        marks=call.marks,
    )


def _dialled(dial: OpenDial) -> CallView:
    return CallView(
        call_id=dial.call_id,
        binding_id=dial.binding_id,
        order_id=dial.order_id,
        host=dial.host,
        extension=dial.extension,
        call_time=utc(dial.ordered_at),
        seconds=0,
        minutes=0,
        cost="0",
        late=False,
        state=dial.state,
        code=dial.code,
    )


def cursor(instant: datetime, name: str) -> str:
    """Where the next page begins, in the letters of a URL."""
    return base64.urlsafe_b64encode(f"{instant.isoformat()} {name}".encode()).decode()


def place(cursor: str) -> tuple[datetime, str]:
    """Raises Refused (invalid_request)."""
    try:
        text = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
        instant, space, call_id = text.partition(" ")
        found = datetime.fromisoformat(instant)
        if space and found.tzinfo is not None and "\0" not in call_id:
            return found, call_id
    except (binascii.Error, ValueError):
        pass
    raise Refused(Code.INVALID_REQUEST, "after: send what `next` of the page before says")


def within_calendar(instant: datetime) -> datetime:
    """In UTC. Raises Refused (invalid_request)."""
    try:
        return utc(instant)
    except OverflowError:
        raise Refused(Code.INVALID_REQUEST, "a time lies outside of the calendar") from None


def _read(item: msgspec.Raw) -> CallRecord | RecordResult:
    try:
        return decode(_RECORD, item)
    except Refused as refused:
        wrong = refused.refusal
        return RecordResult(_call_id(item), Status.REJECTED, code=str(wrong.code), detail=wrong.detail)


def _unread(result: RecordResult, item: msgspec.Raw) -> NotTaken:
    """Kept as it came, whatever its bytes are."""
    return NotTaken(
        call_id=result.call_id or "",
        status=Status.REJECTED,
        code=Code.INVALID_REQUEST,
        detail=result.detail or "",
        text=bytes(item).decode(errors="backslashreplace"),
    )


def _call_id(item: msgspec.Raw) -> str | None:
    try:
        return decode(_NAMED, item).call_id
    except Refused:
        return None


def _result(reported: Reported) -> RecordResult:
    return RecordResult(
        reported.call_id,
        reported.status,
        reported.minutes,
        None if reported.cost is None else plain(reported.cost),
        None if reported.code is None else str(reported.code),
        reported.detail,
    )
