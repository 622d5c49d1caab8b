"""Reconciliations: a carrier's call file against our calls. The file is the body; nothing is changed by it."""

from contextlib import aclosing
from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Final
from uuid import UUID

import msgspec
from aiohttp import web

from vnum.api.answers import Answer, json_answer, shown_as, utc
from vnum.api.auth import FINANCE
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.api.files import received, send_file
from vnum.api.invoices import Month
from vnum.carrier import CallFile, Encoding, Form, zone_named
from vnum.engine import Engine
from vnum.model.fields import Instant, Name
from vnum.model.refusals import Code, Refused
from vnum.service.differences import Kind, cells, csv_pieces
from vnum.service.reconcile import MOST_TOLERANCE_S, Reconciliation, Terms

SHOWN: Final = 1_000
"""Differences in a JSON answer."""


SHOWN_FILE: Final = """\
call_id,host,extension,caller,call_time,answer_time,release_time
c-1,18400913965,7576,02112345678,2026-10-05T04:01:00Z,2026-10-05T04:01:10Z,2026-10-05T04:02:11Z
"""


class Output(StrEnum):
    JSON = "json"
    CSV = "csv"


class ReconciliationQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """format left out = told by the file. zone = of times without an offset, in place of the vendor's own. period, or
    from and to, or none = what the file reaches over. carrier left out = those of the hosts in the file."""

    format: Form | None = None
    zone: Name | None = None
    encoding: Encoding = Encoding.UTF_8
    period: Month | None = None
    from_: Instant | None = msgspec.field(name="from", default=None)
    to: Instant | None = None
    tolerance_s: Annotated[int, msgspec.Meta(ge=0, le=MOST_TOLERANCE_S)] = 0
    carrier: Name | None = None
    output: Output = Output.JSON


class OursView(msgspec.Struct, frozen=True, kw_only=True):
    """Our side: started minutes of 60 s, and what was charged (CNY)."""

    calls: int
    answered: int
    seconds: int
    minutes: int
    charged: str


class TheirsView(msgspec.Struct, frozen=True, kw_only=True):
    """The carrier's side, as its file has it. fee null = it states none; `fees` = how many calls state one.
    `at_our_rates` = what their seconds come to at our price."""

    calls: int
    answered: int
    seconds: int
    minutes: int
    at_our_rates: str
    fee: str | None
    fees: int


class DifferenceView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call on which the two do not agree. `date` = by its answer, else its dial; money in CNY; `line` = of the file.
    `their_cost_at_our_rates` = our price for their seconds. What a side does not have is left out."""

    shown: ClassVar[tuple[str, ...]] = ("call_id", "line", "our_seconds", "their_seconds")

    kinds: list[Kind]
    call_id: str | None = None
    line: int | None = None
    note: str | None = None
    merchant_id: str | None = None
    order_id: str | None = None
    binding_id: UUID | None = None
    our_host: str | None = None
    our_extension: str | None = None
    our_date: datetime | None = None
    our_answer_time: datetime | None = None
    our_release_time: datetime | None = None
    our_seconds: int | None = None
    our_minutes: int | None = None
    our_cost: str | None = None
    their_host: str | None = None
    their_extension: str | None = None
    their_date: datetime | None = None
    their_answer_time: datetime | None = None
    their_release_time: datetime | None = None
    their_seconds: int | None = None
    their_minutes: int | None = None
    their_fee: str | None = None
    their_cost_at_our_rates: str | None = None


class ReconciliationView(msgspec.Struct, frozen=True, kw_only=True):
    """`more` = there are more differences than the 1,000 listed: take them as CSV."""

    format: str
    from_: datetime = msgspec.field(name="from")
    to: datetime
    rows: int
    outside: int
    callers_not_compared: int
    matched: int
    counts: dict[str, int]
    ours: OursView
    theirs: TheirsView
    differences: list[DifferenceView]
    more: bool


class Reconciliations:
    def __init__(self, engine: Engine) -> None:
        self._reconciler = engine.reconciler

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "POST", "/v1/reconciliations", FINANCE, self.reconcile, ReconciliationQuery, file=True, patient=True
            )
        ]

    @answers(ReconciliationView, sends=("text/csv",), refuses=(Code.UNUSABLE_FILE, Code.OVERLOADED), file=SHOWN_FILE)
    async def reconcile(self, call: Call, asked: ReconciliationQuery) -> Answer | web.StreamResponse:
        """Compares a carrier's call file (the body, text/csv) with our calls; changes nothing."""
        if call.caller.merchants is not None:
            raise Refused(Code.FORBIDDEN, "a key that is tied to merchants may not see all calls of a carrier")
        terms = Terms.of(
            period=asked.period,
            from_at=asked.from_,
            to_at=asked.to,
            tolerance_s=asked.tolerance_s,
            carrier=asked.carrier,
        )
        file = _file(asked)
        async with aclosing(received(call)) as pieces, self._reconciler.run(file, pieces, terms) as found:
            if asked.output is Output.JSON:
                return json_answer(200, await _answered(found))
            async with aclosing(csv_pieces(found.differences())) as lines:
                return await send_file(call, lines, "text/csv; charset=utf-8", "differences.csv")


def _file(asked: ReconciliationQuery) -> CallFile:
    """Raises Refused (invalid_request)."""
    try:
        zone = None if asked.zone is None else zone_named(asked.zone)
    except ValueError as error:
        raise Refused(Code.INVALID_REQUEST, f"zone: {error}") from None
    return CallFile(asked.format, zone, asked.encoding)


async def _answered(found: Reconciliation) -> ReconciliationView:
    report = found.report
    listed: list[DifferenceView] = []
    more = False
    async with aclosing(found.differences()) as differences:
        async for difference in differences:
            if more := len(listed) == SHOWN:
                break
            listed.append(msgspec.convert(cells(difference), DifferenceView))
    return shown_as(
        ReconciliationView,
        report,
        format=report.form,
        from_=utc(report.from_at),
        to=utc(report.to_at),
        ours=shown_as(OursView, report.ours),
        theirs=shown_as(TheirsView, report.theirs),
        differences=listed,
        more=more,
    )
