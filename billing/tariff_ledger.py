"""Tariff versions and assignments in the ledger: only ever added to.

What merchants pay already can change no sooner than LEAD from now. A call record may be rated while a version or an
assignment is being added, and may carry an answer a little ahead of the clock; LEAD is longer than both together, so
that no call is priced by terms that had been replaced when it was answered. Days are priced when a month is closed or
looked at, which sees everything.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

import msgspec

from billing.errors import TariffInvalid, TariffMissing, TariffNotFound
from billing.periods import ZONE, Period
from billing.prices import CalendarDay, Increments, RentalPrice, StartedDay
from billing.queries import Connection, load_queries
from billing.tariffs import Assignment, TariffBook, TariffId, TariffVersion, problems
from billing.tax import Tax

if TYPE_CHECKING:
    import asyncpg

Row: TypeAlias = "asyncpg.Record"

LEAD: Final = timedelta(minutes=10)
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=ZONE)
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""From when a merchant's first tariff holds: before anything can have happened."""

FURTHEST: Final = timedelta(days=1096)
"""How far ahead a version or an assignment may begin. None can be taken back, and no version may come before one that
is there: a mistyped year would hold a tariff for decades."""

_SQL: Final = load_queries("tariffs")


async def load_book(connection: Connection) -> TariffBook:
    """Read every tariff version."""
    return TariffBook(read_version(row) for row in await connection.fetch(_SQL["all"]))


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A version with who added it and why; the first of all came with the ledger and says neither."""

    version: TariffVersion
    note: str | None
    added_at: datetime | None
    added_by: str | None


async def list_versions(connection: Connection) -> list[Listed]:
    """Every version of every tariff, by tariff, oldest first."""
    return [
        Listed(version=read_version(row), note=row["note"], added_at=row["added_at"], added_by=row["added_by"])
        for row in await connection.fetch(_SQL["listing"])
    ]


async def add_version(
    connection: Connection, new: TariffVersion, *, now: datetime, author: str, note: str | None = None
) -> None:
    """Add a version, numbered by the caller: one more than the last of its tariff.

    The terms of a tariff that nobody pays may begin at any instant (a corrected price list, to rate a closed month
    anew); those of one that somebody pays no sooner than LEAD from now. Of two that begin at one instant the later
    one counts: so a mistake is put right before it begins.

    Raises:
        TariffInvalid: with every problem found.
    """
    found = problems(new)
    earlier = (await load_book(connection)).versions(new.tariff_id)
    if new.version != len(earlier) + 1:
        found.append(f"version must be {len(earlier) + 1}, not {new.version}")
    found += _instant_problems(new.effective_from, now)
    if new.effective_from < now + LEAD and await connection.fetchval(_SQL["is_paid"], new.tariff_id):
        found.append(f"effective_from must be {_minutes(LEAD)} minutes or more from now: merchants pay this tariff")
    if found:
        raise TariffInvalid("; ".join(found))
    if await connection.fetchval(_SQL["add"], *_columns(new), note, now, author, now + LEAD) is None:
        raise TariffInvalid("another version, or a merchant's assignment, was added just now; look again")


async def assign(connection: Connection, new: Assignment, *, now: datetime, author: str, first: bool = False) -> None:
    """Have a merchant pay a tariff from an instant on; `first` = he was opened just now, and it holds from BEGINNING.

    A merchant without any usage may change from the start of the running month on, others no sooner than LEAD from now.
    Of two that begin at one instant the later one counts.

    Raises:
        TariffNotFound: the tariff has no version in force at that instant.
        TariffInvalid: with every problem found.
    """
    starts_at = now if first else new.effective_from
    book = await load_book(connection)
    try:
        book.at(new.tariff_id, starts_at)
    except TariffMissing as missing:
        raise TariffNotFound(_no_version(book, new.tariff_id, starts_at)) from missing
    found = []
    if not first:
        found += _instant_problems(new.effective_from, now)
        used = bool(await connection.fetchval(_SQL["is_used"], new.merchant_id))
        if new.effective_from < (now + LEAD if used else Period.of(now).starts_at):
            found.append(f"a tariff begins {_minutes(LEAD)} minutes or more from now, or this month without any usage")
    if found:
        raise TariffInvalid("; ".join(found))
    effective_from = BEGINNING if first else new.effective_from
    if not await connection.fetchval(_SQL["assign"], new.merchant_id, effective_from, new.tariff_id, now, author):
        raise TariffInvalid("effective_from lies in a month that is closed for the merchant")


def _no_version(book: TariffBook, tariff_id: str, instant: datetime) -> str:
    versions = book.versions(TariffId(tariff_id))
    if not versions:
        return f"there is no tariff {tariff_id!r}"
    first, asked = (each.astimezone(ZONE) for each in (versions[0].effective_from, instant))
    return (
        f"tariff {tariff_id!r} begins at {first:%F %T} (Asia/Shanghai) and can not be paid from {asked:%F %T} on; "
        "assign it from its beginning, or later"
    )


async def assignments(connection: Connection, merchant_ids: Sequence[str]) -> list[Assignment]:
    """Those of some merchants, by merchant, oldest first."""
    rows = await connection.fetch(_SQL["assignments"], merchant_ids)
    return [Assignment(**row) for row in rows]


def read_version(row: Row) -> TariffVersion:
    """A version from its columns."""
    return TariffVersion(
        tariff_id=row["tariff_id"],
        version=row["version"],
        effective_from=row["effective_from"],
        rental=_rental(row["rental_count"], row["rental_day"]),
        calls=Increments(
            minute=row["call_minute"],
            first_s=row["first_s"],
            next_s=row["next_s"],
            minimum_s=row["minimum_s"],
            free_s=row["free_s"],
            setup_fee=row["setup_fee"],
        ),
        free_minutes=row["free_minutes"],
        tax=Tax(mode=row["tax_mode"], rate=row["tax_rate"]),
    )


def _rental(count: str, rate: Decimal) -> RentalPrice:
    return CalendarDay(rate=rate) if count == "calendar_day" else StartedDay(rate=rate)


def _columns(version: TariffVersion) -> list[object]:
    match version.rental:
        case StartedDay(rate=day):
            count = "started_day"
        case CalendarDay(rate=day):
            count = "calendar_day"
        case _:
            assert_never(version.rental)
    calls, tax = version.calls, version.tax
    return [
        version.tariff_id, version.version, version.effective_from, count, day, calls.minute, calls.first_s,
        calls.next_s, calls.minimum_s, calls.free_s, calls.setup_fee, version.free_minutes, tax.mode, tax.rate,
    ]  # fmt: skip


def _instant_problems(effective_from: datetime, now: datetime) -> list[str]:
    if EARLIEST <= effective_from <= now + FURTHEST:
        return []
    return [f"effective_from must lie between {BEGINNING.year} and three years from now"]


def _minutes(span: timedelta) -> int:
    return span // timedelta(minutes=1)
