"""Bytes to lines to cells, in constant memory, whatever is sent."""

import csv
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from vnum.carrier.rows import BadRow

MOST_BYTES: Final = 64 * 1024
"""Of a line; what is longer is skipped to its end."""

_SHOWN: Final = 1_000


class Encoding(StrEnum):
    """With or without a byte order mark. GB18030 holds GBK and GB2312."""

    UTF_8 = "utf-8"
    GB18030 = "gb18030"


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line without its end; the first is 1. `cut` = it was too long, and this is only its beginning."""

    number: int
    raw: bytes
    cut: bool = False

    def decode(self, encoding: str) -> str:
        """Raises BadRow."""
        if self.cut:
            raise BadRow(f"a line of more than {MOST_BYTES} bytes")
        if b"\0" in self.raw:
            raise BadRow("a NUL byte stands in the line")
        try:
            return self.raw.decode(encoding)
        except UnicodeDecodeError as error:
            other = next(name for name in Encoding if name != encoding)
            raise BadRow(f"byte {error.start + 1} of the line is not {encoding}; is the file {other}?") from None

    def shown(self, encoding: str) -> str:
        """The line as far as it can be shown."""
        return self.raw[: _SHOWN if self.cut else None].decode(encoding, "backslashreplace").replace("\0", "\\x00")


class Lines:
    """Cuts pieces of a file into lines. Both encodings have the byte 10 for a line's end only."""

    def __init__(self) -> None:
        self._begun = b""
        self._cut = False
        self._number = 0

    def feed(self, piece: bytes) -> Iterator[Line]:
        *ended, begun = (self._begun + piece).split(b"\n")
        self._begun = b""
        for raw in ended:
            yield self._line(raw)
        self._begun = begun
        if len(begun) > MOST_BYTES:
            self._begun, self._cut = begun[: MOST_BYTES + 1], True

    def end(self) -> Iterator[Line]:
        """The last line, if the file does not end with a line's end."""
        if self._begun:
            yield self._line(self._begun)
        self._begun = b""

    def _line(self, raw: bytes) -> Line:
        self._number += 1
        cut, self._cut = self._cut or len(raw) > MOST_BYTES, False
        return Line(self._number, raw[:MOST_BYTES] if cut else raw.removesuffix(b"\r"), cut)


def cells_of(line: str) -> list[str]:
    """One line is one row: an unclosed quote spoils this row and no other. Raises BadRow."""
    try:
        (cells,) = csv.reader([line], strict=True)
    except (csv.Error, ValueError) as error:
        raise BadRow(f"not comma-separated values: {error}") from None
    return [_as_text(cell.strip()) for cell in cells]


def _as_text(cell: str) -> str:
    """Without the ="..." by which people keep a spreadsheet from rounding long numbers."""
    return cell[2:-1].strip() if len(cell) > 2 and cell.startswith('="') and cell.endswith('"') else cell
