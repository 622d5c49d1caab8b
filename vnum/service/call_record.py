"""A call record as it is reported, and in normal form: what of it must hold before anything can be charged by it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec

from vnum.model.cells import cell_of
from vnum.model.fields import CallId, Instant, Name
from vnum.model.hosts import Host
from vnum.model.numbers import NumberError, parse_extension
from vnum.model.phones import PhoneError, parse_caller
from vnum.model.refusals import Code
from vnum.service.route import Digits

SKEW = timedelta(seconds=5)
"""How far the steps of one call may be out of order."""

FUTURE = timedelta(minutes=5)
"""How far a switch's clock may be ahead."""

OLDEST = timedelta(days=731)
"""A call longer ago than that is a mistake in the date."""

_TO_THE_SECOND = len("2026-10-31T23:59:59")


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One ended call, times with offset; no answer_time = not connected. release_dir 0 platform, 1 caller, 2 callee."""

    shown: ClassVar[tuple[str, ...]] = ("extension", "answer_time")

    call_id: CallId
    host: Name
    caller: Annotated[str, msgspec.Meta(max_length=64)]
    call_time: Instant
    release_time: Instant
    binding_id: UUID | None = None
    extension: Digits | None = None
    ring_time: Instant | None = None
    answer_time: Instant | None = None
    release_dir: Annotated[int, msgspec.Meta(ge=0, le=2)] | None = None
    release_cause: Annotated[int, msgspec.Meta(ge=0, le=127)] | None = None


class NormalRecord(msgspec.Struct, frozen=True, gc=False):
    """A record in normal form: UTC, E.164."""

    record: CallRecord
    host: Host
    extension: str | None
    caller: str
    call_time: datetime
    ring_time: datetime | None
    answer_time: datetime | None
    release_time: datetime
    call_cell: int

    @property
    def biz_at(self) -> datetime:
        """Dates the call and chooses its tariff: the answer, or the dial when nobody answered."""
        return self.answer_time or self.call_time

    def content(self, extension: str | None) -> str:
        """Equal for records of equal content: times to the whole second, and the extension that the binding has where
        a record has none."""
        times = msgspec.to_builtins(
            (self.call_time, self.answer_time, self.release_time)
        )  # a tenth of isoformat's time
        whole = ["" if text is None else f"{text[:_TO_THE_SECOND]}+00:00" for text in times]
        return "\0".join((self.host.host, self.extension or extension or "", self.caller, *whole))


class RecordProblem(Exception):
    """Why a record is not taken; `detail` is for whoever sent it, and holds no phone."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def normal(record: CallRecord, host: Host | None, cells: int, now: datetime) -> NormalRecord:
    """Raises RecordProblem. `host` = the one that the record names, None = not registered."""
    if host is None:
        raise RecordProblem(Code.HOST_NOT_FOUND, "the host is not registered")
    try:
        caller = parse_caller(record.caller)
        extension = record.extension and parse_extension(record.extension, host.ext_digits)
    except PhoneError as error:
        raise RecordProblem(Code.INVALID_CALLER, str(error)) from error
    except NumberError as error:
        raise RecordProblem(Code.INVALID_NUMBER, f"extension: {error}") from error
    try:
        call, release = record.call_time.astimezone(UTC), record.release_time.astimezone(UTC)
        ring = record.ring_time and record.ring_time.astimezone(UTC)
        answer = record.answer_time and record.answer_time.astimezone(UTC)
    except OverflowError:
        raise RecordProblem(Code.INVALID_REQUEST, "a time lies outside of the calendar") from None
    _check_times(call, answer, release, now)
    ring = _ring(call, ring, release)
    call_cell = cell_of(cells, record.call_id)
    return NormalRecord(record, host, extension or None, caller, call, ring, answer, release, call_cell)


def _check_times(call: datetime, answer: datetime | None, release: datetime, now: datetime) -> None:
    """Raises RecordProblem. To the whole second: switches mix finer and coarser times in one record."""
    if answer is not None and release < answer:
        raise RecordProblem(Code.RELEASE_BEFORE_ANSWER, "release_time is before answer_time")
    if release < call and _whole(release) < _whole(call):
        raise RecordProblem(Code.RELEASE_BEFORE_ANSWER, "release_time is before call_time")
    if max(call, release) - now > FUTURE:
        raise RecordProblem(
            Code.TIME_IN_FUTURE, f"a time is more than 5 minutes ahead of {now:%FT%TZ}; is it local time?"
        )
    if answer is not None and answer < call and _whole(answer) < _whole(call) - SKEW:
        raise RecordProblem(Code.INVALID_REQUEST, "answer_time is before call_time; is one of them local time?")
    if now - call > OLDEST:
        raise RecordProblem(Code.INVALID_REQUEST, "call_time is more than two years ago")


def _whole(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _ring(call: datetime, ring: datetime | None, release: datetime) -> datetime | None:
    """The ring as far as it can be true: nothing is charged by it, so a wrong one is left out and spoils nothing."""
    return ring if ring is not None and call - SKEW <= ring <= release + SKEW else None
