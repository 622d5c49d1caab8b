"""Time-ordered ids (UUIDv7, RFC 9562) that carry their cell, so that a look-up by id goes to one cell and month."""

from datetime import datetime, timedelta
from uuid import UUID

from vnum.model.instants import EPOCH

RANDOM_BYTES = 8
"""Randomness that one id takes; callers draw it from `secrets` or `os.urandom`."""

_MILLISECOND = timedelta(milliseconds=1)
_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM = (1 << 62) - 1


def new_id(cell: int, instant: datetime, randomness: bytes) -> UUID:
    """48 bits of milliseconds, version, 12 bits of cell, variant, 62 random bits."""
    milliseconds = (instant - EPOCH) // _MILLISECOND
    noise = int.from_bytes(randomness, "big") & _RANDOM
    return UUID(int=milliseconds << 80 | _VERSION | cell << 64 | _VARIANT | noise)


def cell_in(identifier: UUID) -> int:
    """The cell that an id of `new_id` carries (0 to 4095)."""
    return identifier.int >> 64 & 0xFFF
