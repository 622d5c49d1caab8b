"""Reviews: the records that were not taken, as a person sees them who has to decide.

The caller is masked, and so is whatever else of a record may be a phone by mistake; of an item that could not be read
only its size is shown, and why.
"""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.cells import cell_of
from vnum.model.phones import ANONYMOUS, masked_caller
from vnum.model.refusals import Code
from vnum.service.call_record import CallRecord
from vnum.service.keep import USE, Status
from vnum.store import calls as stored_calls
from vnum.store import reviews as stored
from vnum.store.database import Database
from vnum.vault import Vault

PAGE = 1_000
FIRST = UUID(int=0)
"""Before every id."""

_EXTENSION_DIGITS = 4


class ReviewState(StrEnum):
    """All but `open` are decided. `replaced`: what was charged until another record was accepted in its place."""

    OPEN = "open"
    RETRIED = "retried"
    ACCEPTED = "accepted"
    DISCARDED = "discarded"
    REPLACED = "replaced"


class Masked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record as it came, times in UTC, the caller masked."""

    shown: ClassVar[tuple[str, ...]] = ("extension", "answer_time")

    host: str
    caller: str
    call_time: datetime
    release_time: datetime
    binding_id: UUID | None = None
    extension: str | None = None
    ring_time: datetime | None = None
    answer_time: datetime | None = None
    release_dir: int | None = None
    release_cause: int | None = None


class Charged(msgspec.Struct, frozen=True, kw_only=True):
    """What is charged under the same call id now. month_closed: it can not be replaced, only credited or debited."""

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
    cost: Decimal
    late: bool
    month_closed: bool


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """`record` None = it could not be read; then `size` says how many bytes came. Both None = its term is over."""

    review_id: UUID
    call_id: str
    received_at: datetime
    status: Status
    code: Code
    detail: str
    state: ReviewState
    record: Masked | None
    size: int | None
    charged: Charged | None
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


class Reviews:
    def __init__(self, database: Database, vault: Vault, cells: int) -> None:
        self._database = database
        self._vault = vault
        self._cells = cells

    async def page(
        self,
        *,
        state: ReviewState = ReviewState.OPEN,
        status: Status | None = None,
        code: str | None = None,
        after: UUID = FIRST,
    ) -> list[Review]:
        """Up to 1,000 of a state, oldest first, behind the review `after`."""
        rows = await stored.page(self._database, state, status, code, after, PAGE)
        charged = await self._charged({row["call_id"] for row in rows} - {""})
        await self._vault.know(*(row["key_id"] for row in (*rows, *charged.values())))
        return [self._shown(row, charged.get(row["call_id"])) for row in rows]

    async def _charged(self, call_ids: set[str]) -> dict[str, Record]:
        if not call_ids:
            return {}
        keys = [(cell_of(self._cells, call_id), call_id) for call_id in sorted(call_ids)]
        return await stored_calls.at(self._database, await stored_calls.locate(self._database, keys))

    def _shown(self, row: Record, charged: Record | None) -> Review:
        text = unseal(self._vault, row)
        record = None if text is None else read_record(text)
        return Review(
            review_id=row["review_id"],
            call_id=row["call_id"],
            received_at=row["received_at"],
            status=Status(row["status"]),
            code=Code(row["code"]),
            detail=row["detail"],
            state=ReviewState(row["state"]),
            record=None if record is None else _masked(record, known_host=row["code"] != Code.HOST_NOT_FOUND),
            size=len(text.encode()) if record is None and text is not None else None,
            charged=None if charged is None else self._beside(charged),
            decided_at=row["decided_at"],
            decided_by=row["decided_by"],
            reason=row["reason"],
        )

    def _beside(self, row: Record) -> Charged:
        fields = {name: row[name] for name in Charged.__struct_fields__ if name != "caller"}
        return Charged(caller=masked_caller(caller_of(self._vault, row)), **fields)


def unseal(vault: Vault, row: Record) -> str | None:
    """The text of a kept record; None = its term is over."""
    if row["record"] is None or not vault.opens(row["key_id"]):
        return None
    return vault.open(row["record"], row["review_id"], USE, row["key_id"])


def caller_of(vault: Vault, row: Record) -> str:
    """Who rang, of a filed call."""
    sealed = row["caller"]
    return (
        ANONYMOUS
        if sealed is None or not vault.opens(row["key_id"])
        else vault.open(sealed, row["call_id"], b"caller", row["key_id"])
    )


def read_record(text: str) -> CallRecord | None:
    """None = what came is no record."""
    try:
        return msgspec.json.decode(text, type=CallRecord)
    except (msgspec.DecodeError, RecursionError):
        return None


def _masked(record: CallRecord, *, known_host: bool) -> Masked:
    """A host that is not registered may be a phone in the wrong field."""
    extension = record.extension
    return Masked(
        host=record.host if known_host else masked_caller(record.host),
        caller=masked_caller(record.caller),
        call_time=_utc(record.call_time),
        release_time=_utc(record.release_time),
        binding_id=record.binding_id,
        extension=None if extension is None else _extension(extension),
        ring_time=record.ring_time and _utc(record.ring_time),
        answer_time=record.answer_time and _utc(record.answer_time),
        release_dir=record.release_dir,
        release_cause=record.release_cause,
    )


def _extension(text: str) -> str:
    """As it came, unless it is longer than one can be: people key in phones by mistake."""
    return text if len(text) <= _EXTENSION_DIGITS else f"{len(text)} characters"


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:  # at an end of the calendar: as it came
        return instant
