"""A carrier's file from its first byte to its last: whose it is, and row by row the calls in it."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from vnum.carrier.alibaba import ALIBABA
from vnum.carrier.asterisk import ASTERISK
from vnum.carrier.huawei import HUAWEI
from vnum.carrier.lines import Encoding, Line, Lines, cells_of
from vnum.carrier.plain import PLAIN
from vnum.carrier.rows import BadRow, CarrierCall, CarrierFormat, Cells, column_key
from vnum.model.refusals import UnusableFile


class Form(StrEnum):
    HUAWEI = "huawei"
    ALIBABA = "alibaba"
    ASTERISK = "asterisk"
    PLAIN = "plain"


FORMATS: Final = {
    Form.HUAWEI: HUAWEI,
    Form.ALIBABA: ALIBABA,
    Form.ASTERISK: ASTERISK,
    Form.PLAIN: PLAIN,
}
_NO_TEXT: Final = {
    b"\xff\xfe": "UTF-16; save it as CSV UTF-8",
    b"\xfe\xff": "UTF-16; save it as CSV UTF-8",
    b"PK\x03\x04": "a workbook or an archive; save it as CSV",
    b"\xd0\xcf\x11\xe0": "a workbook; save it as CSV",
    b"\x1f\x8b": "packed; unpack it first",
    b"%PDF": "a PDF",
}
_BOM: Final = "\ufeff"


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A row of the file: the call in it, or the reason why there is none. `text` = the line as it stands."""

    line: int
    text: str
    call: CarrierCall | None = None
    reason: str | None = None


class CallFile:
    """Feed it the file's bytes, in pieces of any size; it gives back rows, and holds on to no more than a line, and the
    lines of calls that were answered and have not ended yet.

    `form` None = told by the line of names. `zone` = of times without an offset, in place of the vendor's own.
    """

    def __init__(self, form: Form | None = None, zone: ZoneInfo | None = None, encoding: str = Encoding.UTF_8) -> None:
        self.form = form
        self.rows = 0
        self._zone = zone
        self._encoding = encoding
        self._lines = Lines()
        self._format: CarrierFormat | None = None
        self._columns: list[str] = []
        self._unended: dict[str, Line] = {}

    def feed(self, piece: bytes) -> Iterator[Row]:
        """Raises UnusableFile."""
        for line in self._lines.feed(piece):
            yield from self._row(line)

    def end(self) -> Iterator[Row]:
        """Raises UnusableFile: also for a file without anything in it."""
        for line in self._lines.end():
            yield from self._row(line)
        if self._format is None:
            raise UnusableFile(f"the file is empty; {_expected(self.form)}")
        for line in self._unended.values():
            self.rows += 1
            yield Row(line=line.number, text=line.shown(self._encoding), reason=self._format.unended)

    def _row(self, line: Line) -> Iterator[Row]:
        if not line.raw.strip():
            return
        if self._format is None and not self._begin(line):
            return
        try:
            cells = self._cells(line)
            if self._beside(cells) or self._begins(cells, line):
                return
            call, reason = self._call(cells), None
        except BadRow as bad:
            call, reason = None, str(bad)
        self.rows += 1
        yield Row(line=line.number, text=line.shown(self._encoding), call=call, reason=reason)

    def _beside(self, cells: Cells) -> bool:
        assert self._format is not None
        return self._format.beside is not None and self._format.beside(cells)

    def _begins(self, cells: Cells, line: Line) -> bool:
        """Whether the line only says that a call was answered. Raises BadRow."""
        assert self._format is not None
        call_id = None if self._format.begun is None else self._format.begun(cells)
        if call_id is not None:
            self._unended[call_id] = line
        return call_id is not None

    def _call(self, cells: Cells) -> CarrierCall:
        """Raises BadRow."""
        assert self._format is not None
        call = self._format.read(cells, self._zone)
        self._unended.pop(call.call_id, None)
        return call

    def _cells(self, line: Line) -> Cells:
        """By their columns. Raises BadRow."""
        cells = cells_of(line.decode(self._encoding).removeprefix(_BOM))
        assert self._format is not None
        if len(cells) < len(self._columns):
            raise BadRow(f"{len(cells)} cells where there are {len(self._columns)} columns")
        if len(cells) > len(self._columns) and not self._format.positions:
            raise BadRow("more cells than the first line has columns")
        return dict(zip(self._columns, cells, strict=False))

    def _begin(self, line: Line) -> bool:
        """Looks at the first line; True = it is a row already. Raises UnusableFile."""
        names = self._first_cells(line)
        keys = [column_key(name) for name in names]
        forms = list(Form) if self.form is None else [self.form]
        named = next((form for form in forms if not _missing(form, keys)), None)
        if named is not None:
            self._use(named, FORMATS[named], keys)
            return False
        placed = next(
            ((form, one) for form in forms for one in _shapes(form) if one.is_row and one.is_row(names)), None
        )
        if placed is None:
            raise UnusableFile(f"{_lacks(self.form, keys)}; {_expected(self.form)}")
        self._use(*placed, [column_key(name) for name in placed[1].positions])
        return True

    def _first_cells(self, line: Line) -> list[str]:
        """Raises UnusableFile."""
        kind = next((kind for magic, kind in _NO_TEXT.items() if line.raw.startswith(magic)), None)
        if kind is not None:
            raise UnusableFile(f"the file is {kind}")
        try:
            return cells_of(line.decode(self._encoding).removeprefix(_BOM))
        except BadRow as bad:
            raise UnusableFile(f"line {line.number}: {bad}; {_expected(self.form)}") from None

    def _use(self, form: Form, shape: CarrierFormat, columns: list[str]) -> None:
        """Raises UnusableFile."""
        self.form, self._format, self._columns = form, shape, columns
        twice = sorted({name for name in columns if columns.count(name) > 1 and name in self._format.keys})
        if twice:
            raise UnusableFile(f"a column stands twice: {', '.join(twice)}")
        if self._zone is None and self._format.zone is not None:
            self._zone = ZoneInfo(self._format.zone)
        if self._zone is None and self._format.positions:
            raise UnusableFile(f"{form} files do not say their zone: name it, as Asia/Shanghai or UTC")


def _missing(form: Form, keys: list[str]) -> list[str]:
    return [name for name in FORMATS[form].required if column_key(name) not in keys]


def _shapes(form: Form) -> tuple[CarrierFormat, ...]:
    return (FORMATS[form], *FORMATS[form].others)


def _lacks(form: Form | None, keys: list[str]) -> str:
    if form is None:
        return "the first line names the columns of no format"
    return f"no column {', '.join(_missing(form, keys))}"


def _expected(form: Form | None) -> str:
    """What a file has to look like."""
    told = []
    for known in Form if form is None else [form]:
        columns = FORMATS[known]
        if columns.positions:
            many = len(columns.positions)
            told.append(f"{known}: no names, {many} cells a line, loguniqueid and loguserfield switched on")
        else:
            told.append(f"{known}: {', '.join(columns.required)}")
    return f"expected is a CSV file with the columns of {' | '.join(told)}"


def zone_named(name: str) -> ZoneInfo:
    """Raises ValueError, in words for people."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("no such zone; write one like Asia/Shanghai or UTC") from None
