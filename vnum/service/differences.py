"""What a reconciliation says: its report, and its differences as rows for people and programs.

Callers are left out: both sides are compared by keyed hashes, and nobody here could write them down.
"""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.finance import harmless, plain

_FLUSH_CHARS: Final = 64 * 1024


class Kind(StrEnum):
    """How the two may differ about a call."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    DIFFERENT_SECONDS = "different_seconds"
    DIFFERENT_MINUTES = "different_minutes"
    DIFFERENT_PARTIES = "different_parties"
    DIFFERENT_TIME = "different_time"
    DUPLICATE_CALL_ID = "duplicate_call_id"
    UNREADABLE = "unreadable"


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """Our side: started minutes of 60 s, and what was charged (CNY)."""

    calls: int
    answered: int
    seconds: int
    minutes: int
    charged: Decimal


class Theirs(msgspec.Struct, frozen=True, kw_only=True):
    """The carrier's side, as its file has it. `fee` None = it states none; `fees` = how many calls state one.
    `at_our_rates` = what their seconds come to at our price."""

    calls: int
    answered: int
    seconds: int
    minutes: int
    at_our_rates: Decimal
    fee: Decimal | None
    fees: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconciliation came to. `counts` has every kind; a call may count in several. `outside` = rows dated
    outside of the window; `callers_not_compared` = rows whose caller is empty or no number, masked most likely."""

    form: str
    from_at: datetime
    to_at: datetime
    rows: int
    outside: int
    callers_not_compared: int
    matched: int
    counts: dict[str, int]
    ours: Ours
    theirs: Theirs

    @property
    def agrees(self) -> bool:
        return not any(self.counts.values())


class Difference(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call on which the two do not agree. `date` = by its answer, else its dial; times in UTC; money in CNY.

    `their_cost_at_our_rates` = our price for their seconds. `line` = of the file; null = the file has no such call.
    """

    kinds: list[str]
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
    our_cost: Decimal | None = None
    their_host: str | None = None
    their_extension: str | None = None
    their_date: datetime | None = None
    their_answer_time: datetime | None = None
    their_release_time: datetime | None = None
    their_seconds: int | None = None
    their_minutes: int | None = None
    their_fee: Decimal | None = None
    their_cost_at_our_rates: Decimal | None = None


COLUMNS: Final = Difference.__struct_fields__
_STORED: Final = {
    "our_date": "our_at",
    "our_answer_time": "our_answer",
    "our_release_time": "our_release",
    "our_cost": "cost",
    "their_date": "their_at",
    "their_answer_time": "their_answer",
    "their_release_time": "their_release",
    "their_fee": "fee",
    "their_cost_at_our_rates": "priced",
}


def difference_of(record: Record) -> Difference:
    """A row of `differences` in reconcile.sql."""
    return Difference(**{column: record[_STORED.get(column, column)] for column in COLUMNS})


def cells(difference: Difference) -> dict[str, object]:
    """As every format writes it: money in plain decimals, times with a Z."""
    return {column: _cell(getattr(difference, column)) for column in COLUMNS}


async def csv_pieces(differences: AsyncIterator[Difference]) -> AsyncGenerator[bytes, None]:
    """UTF-8 CSV with a line of names; no cell can be a formula. Several kinds of one call are joined by a blank."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    async for difference in differences:
        writer.writerow([_csv_cell(value) for value in cells(difference).values()])
        if buffer.tell() >= _FLUSH_CHARS:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return plain(value) if isinstance(value, Decimal) else value


def _csv_cell(value: object) -> object:
    if isinstance(value, list):
        return " ".join(value)
    return harmless(value) if isinstance(value, str) else value
