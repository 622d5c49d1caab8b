"""What every mapping makes of a row: a call in neutral words. Who was called is not in it: nobody here may know."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

Cells = Mapping[str, str]
"""A row by the names of `column_key`; blanks around a cell are gone."""

LONGEST_S: Final = 7 * 86_400
"""A call that is said to last longer is a mistake of the file."""

_INSTANT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:(\.[0-9]{1,6})[0-9]*)?(Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_SCIENTIFIC: Final = re.compile(r"[0-9](\.[0-9]+)?E\+[0-9]+", re.ASCII)
_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)
_PHONE: Final = re.compile(r"(?<![0-9A-Za-z])(?:86)?1[3-9][0-9]{9}(?![0-9A-Za-z])", re.ASCII)
_YEARS: Final = (1990, 2100)


class BadRow(Exception):
    """A row that is no call; the message says which column is wrong and why, and never what stands in it."""


class CarrierCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One ended call as a carrier's file has it; times bear their offset.

    answer_time None = nobody answered. release_dir 0 platform, 1 caller, 2 callee; release_cause as in Q.850. What the
    carrier itself counted, where its file says so: `seconds`, `minutes`, `cost` (its own fee, CNY).
    """

    call_id: str
    host: str
    caller: str
    call_time: datetime
    release_time: datetime
    extension: str | None = None
    ring_time: datetime | None = None
    answer_time: datetime | None = None
    release_dir: int | None = None
    release_cause: int | None = None
    seconds: int | None = None
    minutes: int | None = None
    cost: Decimal | None = None


class CarrierFormat(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor's file: the columns it must have and may have, and the zone of times without an offset.

    `positions` = the columns in their order, of files that come without a line of names; `is_row` then tells by its
    cells whether a line is of them. `zone` None = the file does not say and nobody can guess. `others` = other files of
    the same vendor. `begun` gives the call id of a line that only says that a call was answered; if no row of that id
    follows, it is bad, for the reason `unended`. `beside` = whether a line tells of something else than a call: it is
    passed over.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    zone: str | None
    read: Callable[[Cells, ZoneInfo | None], CarrierCall]
    positions: tuple[str, ...] = ()
    is_row: Callable[[Sequence[str]], bool] | None = None
    begun: Callable[[Cells], str | None] | None = None
    unended: str = ""
    beside: Callable[[Cells], bool] | None = None
    others: "tuple[CarrierFormat, ...]" = ()

    @property
    def keys(self) -> frozenset[str]:
        """The columns that are read."""
        return frozenset(column_key(name) for name in self.required + self.optional)


def column_key(name: str) -> str:
    """One writing of a column's name: files have call_id, callId and CALL_ID."""
    return name.strip().replace("_", "").casefold()


def text(cells: Cells, name: str) -> str:
    """A cell that must not be empty. Raises BadRow."""
    value = cells.get(column_key(name), "")
    if not value:
        raise BadRow(f"{name} is empty")
    return value


def text_or_none(cells: Cells, name: str) -> str | None:
    return cells.get(column_key(name)) or None


def instant(cells: Cells, name: str, zone: ZoneInfo | None) -> datetime:
    """Raises BadRow."""
    return parse_instant(text(cells, name), name, zone)


def instant_or_none(cells: Cells, name: str, zone: ZoneInfo | None) -> datetime | None:
    value = text_or_none(cells, name)
    return None if value is None else parse_instant(value, name, zone)


def parse_instant(value: str, name: str, zone: ZoneInfo | None) -> datetime:
    """A time with seconds; its own offset counts, else `zone`. Raises BadRow.

    A wall time that a zone skips or has twice (its clocks are put forward or back) is refused, not guessed.
    """
    match = _INSTANT.fullmatch(value)
    try:
        found = datetime.fromisoformat(
            "".join([match[1], "T", match[2], match[3] or "", match[4] or ""]) if match else ""
        )
    except ValueError:
        raise BadRow(f"{name} is not a time like 2026-10-05 12:00:00") from None
    if not _YEARS[0] <= found.year <= _YEARS[1]:
        raise BadRow(f"{name} must lie in the years {_YEARS[0]} to {_YEARS[1]}")
    if found.tzinfo is not None:
        return found
    if zone is None:
        raise BadRow(f"{name} has no offset: name the zone of the file")
    local = found.replace(tzinfo=zone)
    if local.utcoffset() != local.replace(fold=1).utcoffset():
        raise BadRow(f"{name} is skipped or stands twice in {zone.key}, where clocks are changed then")
    return local


def holds_phone(value: str) -> bool:
    """Whether a mainland mobile stands in it; eleven digits within a longer word, as of a UUID, are none."""
    return _PHONE.search(value) is not None


def within(cells: Cells, name: str, highest: int) -> int | None:
    """A code of the vendor's, 0 to `highest`; other codes of its own say nothing here."""
    value = text_or_none(cells, name)
    if value is None or not _WHOLE.fullmatch(value) or int(value) > highest:
        return None
    return int(value)


def whole_or_none(cells: Cells, name: str, highest: int = LONGEST_S) -> int | None:
    """Raises BadRow."""
    value = text_or_none(cells, name)
    if value is None:
        return None
    if not _WHOLE.fullmatch(value) or int(value) > highest:
        raise BadRow(f"{name} must be a whole number, 0 to {highest}")
    return int(value)


def amount_or_none(cells: Cells, name: str) -> Decimal | None:
    """Raises BadRow."""
    value = text_or_none(cells, name)
    if value is None:
        return None
    if not _AMOUNT.fullmatch(value):
        raise BadRow(f"{name} must be a plain amount, as 0.04")
    return Decimal(value)


def plausible(call: CarrierCall) -> CarrierCall:
    """The call, if it can be one; what the engine checks too is left to it. Raises BadRow.

    A call id is shown in invoices and listings, so no phone may stand in it; if it is one, columns changed places. One
    that a spreadsheet has cut to 1.23457E+14 is another call's too: by it, a call would be charged twice or lost.
    """
    if _SCIENTIFIC.fullmatch(call.call_id):
        raise BadRow("the call id was cut by a spreadsheet (1.23E+14); export the file again, with that column as text")
    if _PHONE.fullmatch(call.call_id.removeprefix("+")):
        raise BadRow("the call id is a phone number; did columns change places?")
    if holds_phone(call.call_id):
        raise BadRow("a phone stands in the call id, which is shown in invoices; put another id in that column")
    answered = call.answer_time or call.release_time
    if call.release_time - min(call.call_time, answered) > timedelta(seconds=LONGEST_S):
        raise BadRow("release and dial are more than a week apart")
    return call
