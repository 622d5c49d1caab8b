"""Disputes: a merchant says that a call is charged wrongly, finance answers.

A dispute changes no money. The call is billed like any other; what was charged wrongly is credited by a note, whose
number the answer may name. A call has at most one open dispute; one that comes after the answer is a new one.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from billing.errors import DisputeInvalid, DisputeNotFound, DisputeOpen, DisputeResolved, NoteNotFound
from billing.notes.ledger import get_note
from billing.queries import Connection, load_queries

if TYPE_CHECKING:
    import asyncpg

MOST_LISTED: Final = 1000

_SQL: Final = load_queries("disputes")


class DisputeState(StrEnum):
    OPEN = "open"
    UPHELD = "upheld"
    REJECTED = "rejected"


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """One dispute; `resolution` (the reason of the outcome) and what follows it are None while it is open."""

    dispute_id: int
    merchant_id: str
    call_id: str
    state: DisputeState
    reason: str
    author: str
    opened_at: datetime
    resolution: str | None
    resolved_by: str | None
    resolved_at: datetime | None
    note_number: str | None


async def open_dispute(
    connection: Connection, *, merchant_id: str, call_id: str, reason: str, author: str, now: datetime
) -> Dispute:
    """A new dispute of a call of the merchant, which the caller has looked up.

    Raises:
        DisputeOpen: one of this call is open already.
    """
    row = await connection.fetchrow(_SQL["open"], merchant_id, call_id, reason, author, now)
    if row is None:
        raise DisputeOpen("a dispute of this call is open already; it has to be resolved first")
    return _read(row)


async def resolve_dispute(
    connection: Connection,
    dispute_id: int,
    *,
    outcome: DisputeState,
    reason: str,
    author: str,
    now: datetime,
    note_number: str | None = None,
) -> Dispute:
    """The dispute with its outcome, which stays.

    Raises:
        DisputeInvalid: `open` is no outcome, and nothing is credited for a rejected one.
        DisputeNotFound: no such dispute.
        DisputeResolved: it has an outcome already.
        NoteNotFound: the merchant of the dispute has no such note.
    """
    if outcome is DisputeState.OPEN:
        raise DisputeInvalid("a dispute is resolved as upheld or rejected")
    if note_number is not None and outcome is not DisputeState.UPHELD:
        raise DisputeInvalid("a credit note goes with a dispute that is upheld; leave note_number out")
    merchant_id = await connection.fetchval(_SQL["merchant"], dispute_id)
    if merchant_id is None:
        raise DisputeNotFound("no dispute has such an id")
    if note_number is not None:
        await _require_note(connection, note_number, merchant_id)
    row = await connection.fetchrow(_SQL["resolve"], dispute_id, str(outcome), reason, author, now, note_number)
    if row is None:
        raise DisputeResolved("this dispute was resolved already; what is still wrong is a new dispute of the call")
    return _read(row)


async def _require_note(connection: Connection, number: str, merchant_id: str) -> None:
    """Raises NoteNotFound. Needs no lock: a note, once there, stays as it is."""
    note = await get_note(connection, number)
    if note.merchant_id != merchant_id:
        raise NoteNotFound(f"merchant {merchant_id!r} of this dispute has no note {number!r}")


async def list_disputes(
    connection: Connection,
    *,
    merchant_ids: Sequence[str] | None = None,
    state: DisputeState | None = None,
    after: int = 0,
    limit: int = MOST_LISTED,
) -> list[Dispute]:
    """Oldest first; None means all; `after` is the last one of the page before."""
    chosen = None if state is None else str(state)
    rows = await connection.fetch(_SQL["listing"], merchant_ids, chosen, after, min(limit, MOST_LISTED))
    return [_read(row) for row in rows]


async def dispute_states(connection: Connection, merchant_id: str, call_ids: Sequence[str]) -> dict[str, DisputeState]:
    """The state of the last dispute of each of a merchant's calls that ever had one."""
    rows = await connection.fetch(_SQL["states"], merchant_id, call_ids)
    return {row["call_id"]: DisputeState(row["state"]) for row in rows}


async def disputes_of_call(connection: Connection, merchant_id: str, call_id: str) -> list[Dispute]:
    """All there ever were, oldest first."""
    return [_read(row) for row in await connection.fetch(_SQL["of_call"], merchant_id, call_id)]


def _read(row: "asyncpg.Record") -> Dispute:
    return Dispute(
        dispute_id=row["dispute_id"],
        merchant_id=row["merchant_id"],
        call_id=row["call_id"],
        state=DisputeState(row["outcome"] or DisputeState.OPEN),
        reason=row["reason"],
        author=row["author"],
        opened_at=row["opened_at"],
        resolution=row["resolution"],
        resolved_by=row["resolved_by"],
        resolved_at=row["resolved_at"],
        note_number=row["note_number"],
    )
