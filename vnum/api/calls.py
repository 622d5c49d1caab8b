"""Calls: the switch asks where one goes, and reports how it ended."""

from typing import Annotated, Final

import msgspec
import structlog

from vnum.api.answers import Answer, json_answer
from vnum.api.auth import SWITCHES
from vnum.api.bodies import decode
from vnum.api.endpoint import Call, Endpoint
from vnum.engine import Engine
from vnum.finance import plain
from vnum.model.refusals import Code, Refused
from vnum.service.records import CallRecord, Reported, Status
from vnum.service.reviews import Unread
from vnum.service.route import CallId, RouteRequest, fail_closed

log = structlog.get_logger()

_RECORD: Final = msgspec.json.Decoder(CallRecord)


class _Named(msgspec.Struct, frozen=True):
    """As much of an item as names its call."""

    call_id: CallId


_NAMED: Final = msgspec.json.Decoder(_Named)


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Each item is read on its own, so that a malformed one spoils no other."""

    items: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=1000)]


class Result(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`minutes` and `cost` (CNY) of rated records and their duplicates. call_id null = not readable."""

    call_id: str | None
    status: Status
    minutes: int | None = None
    cost: str | None = None
    code: str | None = None
    detail: str | None = None


class Results(msgspec.Struct, frozen=True):
    results: list[Result]


class Calls:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/calls/route", SWITCHES, self.route, RouteRequest),
            Endpoint("POST", "/v1/calls/records", SWITCHES, self.records, Report),
        ]

    async def route(self, call: Call, asked: RouteRequest) -> Answer:
        """collect, connect or reject; when the answer can not be made, reject."""
        try:
            decision = await self._engine.routes.route(asked)
        except Exception as trouble:
            log.warning("route_failed_closed", trouble=type(trouble).__name__)
            decision = fail_closed(trouble)
        return json_answer(200, decision, fresh=True)

    async def records(self, call: Call, report: Report) -> Answer:
        """A result an item, in order; what is not taken is kept for review."""
        read = [_read(item) for item in report.items]
        unread = [
            Unread(result.call_id or "", bytes(item))
            for item, result in zip(report.items, read, strict=True)
            if isinstance(result, Result)
        ]
        if unread:
            await self._engine.reviews.keep(unread)
        records = [record for record in read if isinstance(record, CallRecord)]
        reported = iter(await self._engine.records.report(records) if records else [])
        results = [_result(next(reported)) if isinstance(one, CallRecord) else one for one in read]
        return json_answer(200, Results(results), final=all(one.code != Code.STORE_UNAVAILABLE for one in results))


def _read(item: msgspec.Raw) -> CallRecord | Result:
    try:
        return decode(_RECORD, item)
    except Refused as refused:
        wrong = refused.refusal
        return Result(_call_id(item), Status.REJECTED, code=str(wrong.code), detail=wrong.detail)


def _call_id(item: msgspec.Raw) -> str | None:
    try:
        return decode(_NAMED, item).call_id
    except Refused:
        return None


def _result(reported: Reported) -> Result:
    return Result(
        reported.call_id,
        reported.status,
        reported.minutes,
        None if reported.cost is None else plain(reported.cost),
        None if reported.code is None else str(reported.code),
        reported.detail,
    )
