"""Reading usage files: CSV with a header, or JSON lines; bindings and calls in one file or in several.

A file whose first character is "{" is JSON lines. A row's kind stands in its field `kind` ("rental" or "call"); without
one it is told by the fields that are filled: `bound_at` or `ended_at` make a binding, `call_id` or `released_at`
a call. Further fields are passed over. Instants are ISO 8601 and bear their offset.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from billing.alone.usage import Call, Place, Rejected, Rental, month_number
from billing.periods import Period

Row = Mapping[str, object]
Progress = Callable[[int], None]
"""Told how many bytes more were read."""

RENTAL_FIELDS: Final = ("merchant_id", "order_id", "binding_id", "bound_at", "ended_at")
CALL_FIELDS: Final = ("merchant_id", "order_id", "binding_id", "call_id", "answered_at", "released_at")
KINDS: Final = ("rental", "call")
YEARS: Final = range(2000, 2101)
LONGEST_TEXT: Final = 256

_ADVANCE_ROWS: Final = 1000


class UsageUnusable(Exception):
    """A file of which no row can be read; the message says why."""


class _Wrong(Exception):
    """What is wrong with a row."""


Read = Rental | Call | Rejected | None


def read_usage(path: Path, number: int, progress: Progress) -> Iterator[tuple[Place, Read]]:
    """Each row of a file, with its place: a binding, a call, what is wrong with it, or None = not answered.

    Raises:
        UsageUnusable: neither CSV with the columns that are needed nor JSON lines.
    """
    with path.open("rb") as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        rows = _json_rows(text) if _is_json(path) else _csv_rows(path.name, text)
        seen = 0
        for n, (line, row) in enumerate(rows):
            place = Place(number, line)
            try:
                yield place, _usage(row)
            except _Wrong as wrong:
                yield place, Rejected(place, str(wrong))
            if n % _ADVANCE_ROWS == 0:
                progress(file.tell() - seen)
                seen = file.tell()
        progress(path.stat().st_size - seen)


def _is_json(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def _json_rows(text: io.TextIOWrapper) -> Iterator[tuple[int, Row | _Wrong]]:
    decoder = msgspec.json.Decoder(dict[str, object])
    for line, content in enumerate(text, start=1):
        if not content.strip():
            continue
        try:
            yield line, decoder.decode(content)
        except (msgspec.DecodeError, UnicodeEncodeError) as problem:
            yield line, _Wrong(f"not a JSON object in UTF-8: {problem}")


def _csv_rows(name: str, text: io.TextIOWrapper) -> Iterator[tuple[int, Row | _Wrong]]:
    reader = csv.reader(text)
    columns = [column.strip() for column in next(reader, [])]
    _check_columns(name, columns)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            yield line, _Wrong(f"not CSV: {problem}")
            continue
        if len(cells) == len(columns):
            yield line, dict(zip(columns, cells, strict=True))
        elif cells:
            yield line, _Wrong(f"{len(cells)} cells, but the header has {len(columns)}")


def _check_columns(name: str, columns: list[str]) -> None:
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        raise UsageUnusable(f"{name}: column {', '.join(twice)} stands twice")
    if not any(set(fields) <= set(columns) for fields in (RENTAL_FIELDS, CALL_FIELDS)):
        raise UsageUnusable(
            f"{name}: not a usage file; bindings need the columns {', '.join(RENTAL_FIELDS)}, "
            f"calls {', '.join(CALL_FIELDS)}"
        )


def _usage(row: Row | _Wrong) -> Rental | Call | None:
    """Raises _Wrong."""
    if isinstance(row, _Wrong):
        raise row
    return _call(row) if _kind(row) == "call" else _rental(row)


def _kind(row: Row) -> str:
    if kind := row.get("kind"):
        if kind not in KINDS:
            raise _Wrong(f"kind is rental or call, not {kind!r}")
        return str(kind)
    rental, call = (bool(row.get(a) or row.get(b)) for a, b in (("bound_at", "ended_at"), ("call_id", "released_at")))
    if rental == call:
        raise _Wrong("neither clearly a binding nor a call; give it a kind")
    return "call" if call else "rental"


def _rental(row: Row) -> Rental:
    bound_at, ended_at = _instant(row, "bound_at"), _instant(row, "ended_at")
    if ended_at < bound_at:
        raise _Wrong("ended_at is before bound_at")
    month = month_number(Period.of(bound_at))
    return Rental(month, _text(row, "merchant_id"), bound_at, _id(row), _text(row, "order_id"), ended_at)


def _call(row: Row) -> Call | None:
    """None = not answered."""
    merchant, order, binding, call = _text(row, "merchant_id"), _text(row, "order_id"), _id(row), _text(row, "call_id")
    released_at = _instant(row, "released_at")
    if row.get("answered_at") in (None, ""):
        return None
    answered_at = _instant(row, "answered_at")
    if released_at < answered_at:
        raise _Wrong("released_at is before answered_at")
    return Call(month_number(Period.of(answered_at)), merchant, answered_at, call, order, binding, released_at)


def _text(row: Row, name: str) -> str:
    text = row.get(name)
    if not isinstance(text, str) or not text.strip():
        raise _Wrong(f"{name} is missing")
    if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
        raise _Wrong(f"{name} is not UTF-8; save the file as UTF-8")
    if len(text) > LONGEST_TEXT:
        raise _Wrong(f"{name} has more than {LONGEST_TEXT} characters")
    return text


def _id(row: Row) -> UUID:
    try:
        return UUID(_text(row, "binding_id"))
    except ValueError:
        raise _Wrong(f"binding_id is a UUID, not {row['binding_id']!r}") from None


def _instant(row: Row, name: str) -> datetime:
    text = _text(row, name)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise _Wrong(f"{name} is an instant such as 2026-01-20T10:30:00+08:00, not {text!r}") from None
    if instant.tzinfo is None:
        raise _Wrong(f"{name} {text!r} has no offset; write +08:00 or Z behind it")
    if instant.year not in YEARS:
        raise _Wrong(f"{name} {text!r} lies outside of the years {YEARS[0]} to {YEARS[-1]}")
    return instant.astimezone(UTC)
