"""The file that our own Asterisk dialplan writes (deploy/asterisk/extensions.conf): lines of calls, no line of names.

`answered` when the callee picks up, `ended` when the call is over, with what the switch posts too. An answer whose end
is missing is a call that was cut with the switch: it is told, since nobody else would tell it. The caller was saved
before his number was masked, the answer is the callee's, and times are UTC and say so. `marked` is what the recipient
keyed in afterwards: the switch's poster brings it, and it is passed over here.
"""

from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from vnum.carrier.rows import (
    BadRow,
    CarrierCall,
    CarrierFormat,
    Cells,
    instant,
    instant_or_none,
    plausible,
    text,
    text_or_none,
    within,
)

UNENDED: Final = (
    "answered, but its end was not written: the switch was cut off in mid-call, or the call still runs; "
    "its release has to come from the carrier's bill"
)
_ANSWERED: Final = "answered"
_ENDED: Final = "ended"
_MARKED: Final = "marked"
_COLUMNS: Final = (
    "kind",
    "call_id",
    "host",
    "extension",
    "caller",
    "call_time",
    "ring_time",
    "answer_time",
    "release_time",
    "release_dir",
    "release_cause",
)


def _read(cells: Cells, zone: ZoneInfo | None) -> CarrierCall:
    if cells["kind"] != _ENDED:
        raise BadRow(f"a line begins with {_ANSWERED} or {_ENDED}")
    return plausible(
        CarrierCall(
            call_id=text(cells, "call_id"),
            host=text(cells, "host"),
            extension=text_or_none(cells, "extension"),
            caller=text(cells, "caller"),
            call_time=instant(cells, "call_time", zone),
            ring_time=instant_or_none(cells, "ring_time", zone),
            answer_time=instant_or_none(cells, "answer_time", zone),
            release_time=instant(cells, "release_time", zone),
            release_dir=within(cells, "release_dir", 2),
            release_cause=within(cells, "release_cause", 127),
        )
    )


def _is_row(cells: Sequence[str]) -> bool:
    return len(cells) == len(_COLUMNS) and cells[0] in (_ANSWERED, _ENDED, _MARKED)


def _begun(cells: Cells) -> str | None:
    """The call that this line says was answered."""
    return text(cells, "call_id") if cells["kind"] == _ANSWERED else None


def _beside(cells: Cells) -> bool:
    return cells["kind"] == _MARKED


DIALPLAN: Final = CarrierFormat(
    required=("call_id", "host", "caller", "call_time", "release_time"),
    optional=(),
    zone="UTC",
    read=_read,
    positions=_COLUMNS,
    is_row=_is_row,
    begun=_begun,
    unended=UNENDED,
    beside=_beside,
)
