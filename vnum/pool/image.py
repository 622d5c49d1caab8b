"""What a host's slots look like in the pool: one bit a slot (free) and two bytes a slot (the day it may be free)."""

import struct
from collections.abc import Iterable
from datetime import datetime

from vnum.model.hosts import Host
from vnum.model.instants import free_day


class Image:
    """Bit i (from the highest of each byte, as Redis counts) = slot i is free; days are big-endian."""

    def __init__(self, host: Host) -> None:
        self.free = bytearray(-(-host.size // 8))
        self.days = bytearray(2 * host.size)
        self.left = 0
        for index in range(host.size):
            if host.usable(index):
                self.free[index >> 3] |= 0x80 >> (index & 7)
                self.left += 1

    def hold(self, index: int, day: int) -> None:
        """Not free before `day` (UTC days since 1970; 65535 = never)."""
        self._clear(index)
        struct.pack_into(">H", self.days, 2 * index, day)

    def give_back(self, index: int) -> None:
        mask = 0x80 >> (index & 7)
        if not self.free[index >> 3] & mask:
            self.free[index >> 3] |= mask
            self.left += 1
        struct.pack_into(">H", self.days, 2 * index, 0)

    def take(self, start_byte: int) -> int | None:
        """The first free slot from a byte on, round the end; it is free no more."""
        for byte in (*range(start_byte, len(self.free)), *range(start_byte)):
            if bits := self.free[byte]:
                index: int = byte * 8 + 8 - bits.bit_length()
                self._clear(index)
                return index
        return None

    def _clear(self, index: int) -> None:
        mask = 0x80 >> (index & 7)
        if self.free[index >> 3] & mask:
            self.free[index >> 3] &= ~mask
            self.left -= 1


def image_of(host: Host, held: Iterable[tuple[str, datetime]]) -> Image:
    """The image of a host whose slots (extension, held until) PostgreSQL holds; the rest is free."""
    image = Image(host)
    for extension, held_until in held:
        image.hold(int(extension), free_day(held_until))
    return image
