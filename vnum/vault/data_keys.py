"""Data keys: what phones, names and records are sealed with. They lie in the database, wrapped by the master key."""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Protocol

import msgspec

KEY_BYTES = 32


class Purpose(StrEnum):
    """`month`: what ends with its month's term. `standing`: what is kept. `index`: fingerprints, holders, digests."""

    MONTH = "month"
    STANDING = "standing"
    INDEX = "index"


class DataKey(msgspec.Struct, frozen=True, kw_only=True):
    """`month` = its first day (UTC), of month keys only. `secret` None = destroyed."""

    key_id: int
    purpose: Purpose
    month: date | None
    secret: bytes | None

    def __repr__(self) -> str:
        return f"DataKey(key_id={self.key_id}, purpose={self.purpose}, month={self.month})"


class KeySource(Protocol):
    """Where a vault reads its keys again, when it meets an id that it does not know."""

    async def read(self) -> Sequence[DataKey]:
        """Every key that can be unwrapped, and those that are destroyed."""

    async def make(self, months: Collection[date]) -> Sequence[DataKey]:
        """Makes the keys of these months that are missing; then as `read`."""


def month_of(instant: datetime) -> date:
    """The first day of the month that `instant` lies in, by UTC as partitions are."""
    at = instant.astimezone(UTC)
    return date(at.year, at.month, 1)


def context_of(purpose: Purpose, month: date | None) -> bytes:
    """What a wrapped key is bound to: put into another key's row, it does not unwrap."""
    return f"vnum {purpose} {month or ''}".encode()
