"""Reads the two input files. A row that can not be used is kept aside with its line and the reason."""

import csv
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec

from vnum.model.refusals import UnusableFile

SHANGHAI = ZoneInfo("Asia/Shanghai")
PARCEL_COLUMNS = ("order_id", "city", "region_id", "accepted_at")
CALL_COLUMNS = ("call_id", "called_at", "outcome", "wait_seconds", "talk_seconds")
_LONGEST = 86_400
_CODE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,64}")
_WHOLE = re.compile(r"[0-9]{1,6}", re.ASCII)


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """`accepted_at` is Asia/Shanghai wall time."""

    order_id: str
    city: str
    merchant_id: str
    accepted_at: datetime


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """`called_at` gives the time of day only; talk_s None = nobody answered."""

    call_id: str
    called_at: datetime
    wait_s: int
    talk_s: int | None
    agent: str


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was skipped: where it stands, why, and what it said."""

    file: str
    line: int
    reason: str
    row: str


T = TypeVar("T")
Row = dict[str, str]


def read_parcels(path: Path) -> tuple[list[Parcel], list[Rejected]]:
    """Parcels in the order of their time (ties as in the file), and the rows that are none."""
    parcels, rejected = _read(path, PARCEL_COLUMNS, _parcel, lambda parcel: parcel.order_id)
    return sorted(parcels, key=lambda parcel: parcel.accepted_at), rejected


def read_calls(path: Path) -> tuple[list[Call], list[Rejected]]:
    """Calls in file order without the phantoms, and the rows that are none."""
    return _read(path, CALL_COLUMNS, _call, lambda call: call.call_id)


def _read(
    path: Path, columns: tuple[str, ...], make: Callable[[Row], T | None], key: Callable[[T], str]
) -> tuple[list[T], list[Rejected]]:
    good: list[T] = []
    rejected: list[Rejected] = []
    seen: dict[str, int] = {}
    for line, row in _rows(path, columns):
        try:
            if None in row:
                raise ValueError("more cells than the first line has columns")
            found = make(row)
            if found is None:
                continue
            first = seen.setdefault(key(found), line)
            if first != line:
                raise ValueError(f"duplicate {columns[0]}, first on line {first}")
        except ValueError as problem:
            text = ",".join(value or "" for value in row.values() if not isinstance(value, list))
            safe = text.encode("utf-8", "backslashreplace").decode()
            rejected.append(Rejected(file=path.name, line=line, reason=str(problem), row=safe))
        else:
            good.append(found)
    return good, rejected


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, Row]]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise UnusableFile(f"{path}: no column {', '.join(missing)}; the first line must name the columns")
            for row in reader:
                yield reader.line_num, row
    except OSError as error:
        raise UnusableFile(f"{path}: {error.strerror}") from error
    except csv.Error as error:
        raise UnusableFile(f"{path}: not a CSV file: {error}") from error


def _parcel(row: Row) -> Parcel:
    city, region = _code(row, "city"), _code(row, "region_id")
    merchant_id = f"{city}-{region}"
    if len(merchant_id) > 64:
        raise ValueError("city and region_id are longer than 64 characters together")
    return Parcel(
        order_id=_code(row, "order_id"),
        city=city,
        merchant_id=merchant_id,
        accepted_at=_wall_time(row, "accepted_at"),
    )


def _call(row: Row) -> Call | None:
    outcome = row["outcome"]
    if outcome == "phantom":
        return None
    if outcome not in {"answered", "abandoned"}:
        raise ValueError("outcome must be answered, abandoned or phantom")
    return Call(
        call_id=_code(row, "call_id"),
        called_at=_wall_time(row, "called_at"),
        wait_s=_seconds(row, "wait_seconds"),
        talk_s=_seconds(row, "talk_seconds") if outcome == "answered" else None,
        agent=row.get("agent") or "",
    )


def _code(row: Row, column: str) -> str:
    value = row[column]
    if not value or not _CODE.fullmatch(value):
        raise ValueError(f"{column} must be 1 to 64 printable characters")
    return value


def _wall_time(row: Row, column: str) -> datetime:
    try:
        instant = datetime.fromisoformat(row[column] or "")
    except ValueError:
        raise ValueError(f"{column} is not a time like 2022-05-01 09:29:00") from None
    if not 1990 <= instant.year <= 2100:
        raise ValueError(f"{column} must lie in the years 1990 to 2100")
    if instant.tzinfo is not None:
        raise ValueError(f"{column} must be wall time in Asia/Shanghai, without an offset")
    return instant.replace(tzinfo=SHANGHAI)


def _seconds(row: Row, column: str) -> int:
    text = row[column] or ""
    if not _WHOLE.fullmatch(text) or int(text) > _LONGEST:
        raise ValueError(f"{column} must be whole seconds, 0 to {_LONGEST}")
    return int(text)


def write_rejected(path: Path, rejected: list[Rejected]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Rejected.__struct_fields__)
        writer.writerows(msgspec.structs.astuple(row) for row in rejected)
