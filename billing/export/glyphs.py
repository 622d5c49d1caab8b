"""Which characters a font can draw.

PDF/A has no place for a missing glyph: one odd character in a merchant's title would fail the file of all merchants. So
texts are reduced to what the font has.
"""

import struct
import unicodedata
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Final

MISSING: Final = "□"
"""Stands for a character that the font does not have."""

_SEGMENTED: Final = 12
"""The format of a character map that covers all of Unicode in groups."""


@lru_cache(maxsize=2)
def drawn_by(font: Path) -> frozenset[int]:
    """The code points in an OpenType font's character map."""
    data = font.read_bytes()
    (tables,) = struct.unpack_from(">H", data, 4)
    records = (struct.unpack_from(">4sLLL", data, 12 + 16 * n) for n in range(tables))
    cmap = next(offset for tag, _, offset, _ in records if tag == b"cmap")
    (maps,) = struct.unpack_from(">H", data, cmap + 2)
    found: set[int] = set()
    for n in range(maps):
        (offset,) = struct.unpack_from(">L", data, cmap + 4 + 8 * n + 4)
        if struct.unpack_from(">H", data, cmap + offset) == (_SEGMENTED,):
            (groups,) = struct.unpack_from(">L", data, cmap + offset + 12)
            spans = (struct.unpack_from(">LLL", data, cmap + offset + 16 + 12 * g) for g in range(groups))
            found.update(chain.from_iterable(range(first, last + 1) for first, last, _ in spans))
    return frozenset(found)


def drawable(text: str, drawn: frozenset[int]) -> str:
    """The text on one line, without invisible characters; what the font lacks is shown as a box."""
    return "".join(_drawable(character, drawn) for character in text)


def _drawable(character: str, drawn: frozenset[int]) -> str:
    match unicodedata.category(character):
        case "Cf":  # among them those that turn the direction of writing
            return ""
        case "Cc" | "Zl" | "Zp" | "Zs":
            return " "
        case _:
            return character if ord(character) in drawn else MISSING
