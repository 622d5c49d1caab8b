"""Tariff versions: the prices of rental days and call minutes over time (billing rules 6.1, 6.10)."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NewType

import msgspec

from billing.errors import TariffInvalid, TariffMissing
from billing.queries import Connection, load_queries

TariffId = NewType("TariffId", str)
DEFAULT_TARIFF: Final = TariffId("default")

_SQL: Final = load_queries("tariffs")


class TariffVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in CNY, in force from `effective_from` until the next version of the same tariff."""

    tariff_id: TariffId
    version: int
    effective_from: datetime
    rental_day: Decimal
    call_minute: Decimal


class TariffBook:
    """All versions of all tariffs, loaded once; load it again after a version was added."""

    __slots__ = ("_instants", "_versions")

    def __init__(self, versions: Iterable[TariffVersion]) -> None:
        self._versions: dict[TariffId, list[TariffVersion]] = {}
        for version in sorted(versions, key=lambda v: (v.tariff_id, v.effective_from)):
            self._versions.setdefault(version.tariff_id, []).append(version)
        self._instants = {key: [v.effective_from for v in found] for key, found in self._versions.items()}

    def at(self, tariff_id: TariffId, instant: datetime) -> TariffVersion:
        """The version in force at an instant.

        Raises:
            TariffMissing: unknown tariff, or the instant is before its first version.
        """
        position = bisect_right(self._instants.get(tariff_id, ()), instant)
        if position == 0:
            raise TariffMissing(f"tariff {tariff_id!r} has no version in force at {instant.isoformat()}")
        return self._versions[tariff_id][position - 1]

    def versions(self, tariff_id: TariffId) -> Sequence[TariffVersion]:
        """All versions of a tariff, oldest first; none if there is no such tariff."""
        return tuple(self._versions.get(tariff_id, ()))


async def load_book(connection: Connection) -> TariffBook:
    """Read every tariff version."""
    rows = await connection.fetch(_SQL["all"])
    return TariffBook(TariffVersion(**row) for row in rows)


def problems(new: TariffVersion, book: TariffBook, *, now: datetime, closed_until: datetime | None) -> list[str]:
    """Everything that speaks against adding a version; `closed_until` = the end of the last marked period.

    A version must lie in the future: calls are rated as they arrive, and those already rated keep their rate.
    """
    earlier = book.versions(new.tariff_id)
    expected = earlier[-1].version + 1 if earlier else 1
    found = [f"{name} must be a plain amount of at least 0" for name in ("rental_day", "call_minute")
             if not _is_amount(getattr(new, name))]  # fmt: skip
    if new.version != expected:
        found.append(f"version must be {expected}, not {new.version}")
    if earlier and new.effective_from <= earlier[-1].effective_from:
        found.append(f"effective_from must be after that of version {earlier[-1].version}")
    if new.effective_from < now:
        found.append("effective_from is in the past; calls already rated would keep another rate")
    if closed_until is not None and new.effective_from < closed_until:
        found.append(f"effective_from lies in a closed period; the last one ends at {closed_until.isoformat()}")
    return found


async def add_version(connection: Connection, new: TariffVersion, *, now: datetime) -> None:
    """Add a version; needs the rights of the ledger's owner, the application's role may only read tariffs.

    The INSERT tests the marks of closed periods itself, so that a close at the same time either sees the
    version or makes it fail (see `billing.drain`).

    Raises:
        TariffInvalid: with every problem found.
    """
    closed_until = await connection.fetchval(_SQL["closed_until"])
    found = problems(new, await load_book(connection), now=now, closed_until=closed_until)
    if found:
        raise TariffInvalid("; ".join(found))
    added = await connection.fetchval(
        _SQL["add"], new.tariff_id, new.version, new.effective_from, new.rental_day, new.call_minute
    )
    if added is None:
        raise TariffInvalid("a period that contains effective_from was closed just now")


def _is_amount(value: Decimal) -> bool:
    return value.is_finite() and value >= 0
