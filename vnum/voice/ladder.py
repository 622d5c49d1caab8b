"""A call's flow as a picture: a column for each party, an arrow for each message, time downwards. Text, or SVG.

Numbers never stand in it: the virtual number is X, digits are dots, and whatever else looks like a phone is masked.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import msgspec
from rich.cells import cell_len, set_cell_size

from vnum.model.masking import masked_text

CALLER: Final = "caller"
SWITCH: Final = "switch"
VNUM: Final = "vnum"
RECIPIENT: Final = "recipient"
PARTIES: Final = (CALLER, SWITCH, VNUM, RECIPIENT)

WIDTH: Final = 100
X: Final = "X"
DOT: Final = "·"

_TIME: Final = 9
"""Cells of the time column: `12.345 s`, and a blank."""

_CUT: Final = "…"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. `at` in seconds, of any clock that all events of a picture share; source = target: it
    happened there, and went nowhere."""

    at: float
    source: str
    target: str
    text: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is drawn: `passed` since the first one, columns counted from 0, nothing to be hidden in `text`."""

    passed: float
    source: int
    target: int
    text: str


def dots(digits: str) -> str:
    """Digits that were keyed in: how many, and nothing else."""
    return DOT * len(digits)


def hidden(text: str, x: str = "") -> str:
    """The text with the virtual number `x` as X, and every other phone masked."""
    shown = text.replace(x, X) if x else text
    return masked_text(" ".join(shown.split()))


def lines_of(events: Sequence[Event], parties: Sequence[str], x: str = "") -> list[Line]:
    """In the order of time; of the same instant, as given."""
    ordered = sorted(events, key=lambda event: event.at)
    columns = {party: n for n, party in enumerate(parties)}
    return [
        Line(
            passed=event.at - ordered[0].at,
            source=columns[event.source],
            target=columns[event.target],
            text=hidden(event.text, x),
        )
        for event in ordered
    ]


def ladder(events: Sequence[Event], parties: Sequence[str] = PARTIES, *, x: str = "", width: int = WIDTH) -> str:
    """Plain text, no line wider than `width` cells. `x` = the virtual number as the events have it."""
    places = _places(len(parties), width)
    rows = [_heads(parties, places, width)]
    rows += [_row(line, places, width) for line in lines_of(events, parties, x)]
    return "\n".join(row.rstrip() for row in rows)


def _places(count: int, width: int) -> list[int]:
    """Cells of the life lines."""
    first, last = _TIME + 1, width - 6
    return [first + n * (last - first) // max(1, count - 1) for n in range(count)]


class _Row:
    """A row of cells. A wide sign takes two, of which the second is empty."""

    def __init__(self, places: Sequence[int], width: int, mark: str = "│") -> None:
        self._cells = [" "] * width
        self._places = places
        for place in places:
            self._cells[place] = mark

    def put(self, start: int, text: str) -> None:
        place = start
        for sign in text:
            size = cell_len(sign)
            if not size:
                continue
            self._cells[place : place + size] = [sign] + [""] * (size - 1)
            place += size

    def note(self, at: int, text: str) -> None:
        """To the right of its life line; of the last one, to the left."""
        here = self._places[at]
        if at + 1 < len(self._places) or at == 0:
            until = self._places[at + 1] if at + 1 < len(self._places) else len(self._cells)
            self.put(here + 2, _cut(text, until - here - 3))
        else:
            said = _cut(text, here - self._places[at - 1] - 3)
            self.put(here - 1 - cell_len(said), said)

    def arrow(self, source: int, target: int, text: str) -> None:
        left, right = sorted((self._places[source], self._places[target]))
        for cell in range(left + 1, right):
            self._cells[cell] = "┼" if cell in self._places else "─"
        if source < target:
            self._cells[right - 1] = ">"
        else:
            self._cells[left + 1] = "<"
        room = right - left - 7
        more = min(2, max(0, cell_len(text) - room))  # of the two dashes beside it
        self.put(left + (3 if more < 2 else 2), f" {_cut(text, room + more)} ")

    def text(self) -> str:
        return "".join(self._cells).rstrip()


def _heads(parties: Sequence[str], places: Sequence[int], width: int) -> str:
    row = _Row(places, width, " ")
    for party, place in zip(parties, places, strict=True):
        name = _cut(party, 12)
        row.put(max(0, min(place - cell_len(name) // 2, width - cell_len(name))), name)
    return row.text()


def _row(line: Line, places: Sequence[int], width: int) -> str:
    row = _Row(places, width)
    row.put(0, f"{line.passed:6.3f} s")
    if line.source == line.target:
        row.note(line.source, line.text)
    else:
        row.arrow(line.source, line.target, line.text)
    return row.text()


def _cut(text: str, cells: int) -> str:
    if cell_len(text) <= cells:
        return text
    return set_cell_size(text, cells - 1).rstrip() + _CUT


# The same as a picture. Sizes in pixels.
_STEP: Final = 240
_LEFT: Final = 120
_ROW: Final = 26
_TOP: Final = 56
_INK: Final = "#1b1f24"
_PALE: Final = "#8c959f"


def svg(events: Sequence[Event], parties: Sequence[str] = PARTIES, *, x: str = "") -> str:
    """A page of the same picture, on its own; readable on a dark page too, since it brings its paper."""
    lines = lines_of(events, parties, x)
    wide = _LEFT + (len(parties) - 1) * _STEP + _LEFT
    high = _TOP + len(lines) * _ROW + _ROW // 2
    drawn = "\n".join([*_lives(parties, high), *(piece for n, line in enumerate(lines) for piece in _drawn(n, line))])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
        f' font-family="sans-serif" font-size="13" fill="{_INK}">\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{_INK}"/></marker></defs>\n'
        f'<rect width="{wide}" height="{high}" fill="#ffffff"/>\n{drawn}\n</svg>\n'
    )


def _lives(parties: Sequence[str], high: int) -> Iterator[str]:
    for n, party in enumerate(parties):
        at = _LEFT + n * _STEP
        yield f'<text x="{at}" y="24" text-anchor="middle" font-weight="bold">{escape(party)}</text>'
        yield f'<line x1="{at}" y1="34" x2="{at}" y2="{high - 6}" stroke="{_PALE}"/>'


def _drawn(n: int, line: Line) -> Iterator[str]:
    height = _TOP + n * _ROW
    start, end = (_LEFT + at * _STEP for at in (line.source, line.target))
    yield f'<text x="8" y="{height + 4}" fill="{_PALE}" font-size="11">{line.passed:.3f} s</text>'
    if line.source == line.target:
        yield f'<circle cx="{start}" cy="{height}" r="3"/>'
        yield f'<text x="{start + 8}" y="{height + 4}" font-style="italic">{escape(line.text)}</text>'
        return
    yield f'<line x1="{start}" y1="{height}" x2="{end}" y2="{height}" stroke="{_INK}" marker-end="url(#tip)"/>'
    beside = 10 if end > start else -10
    anchor = "start" if end > start else "end"
    yield f'<text x="{start + beside}" y="{height - 4}" text-anchor="{anchor}">{escape(line.text)}</text>'
