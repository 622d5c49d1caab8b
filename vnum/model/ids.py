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
    return new_ids(cell, instant, randomness)[0]


def new_ids(cell: int, instant: datetime, randomness: bytes) -> list[UUID]:
    """An id for every RANDOM_BYTES of `randomness`."""
    base = (instant - EPOCH) // _MILLISECOND << 80 | _VERSION | cell << 64 | _VARIANT
    noise = (randomness[at : at + RANDOM_BYTES] for at in range(0, len(randomness), RANDOM_BYTES))
    return [UUID(int=base | int.from_bytes(bits, "big") & _RANDOM) for bits in noise]


def cell_in(identifier: UUID) -> int:
    """The cell that an id of `new_id` carries (0 to 4095)."""
    return identifier.int >> 64 & 0xFFF
