"""Alibaba's privacy numbers: the call records of its SecretReport messages, as a file with those field names.

Times are Beijing time. `secret_no` is the virtual number; who dialled is told by `call_type`. When nobody answered,
`start_time` (the answer) equals `release_time`; steps that did not happen bear the time of the step before.
"""

from datetime import datetime
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

_CALLERS: Final = {"0": "phone_no", "1": "peer_no", "4": "peer_no"}
_MESSAGES: Final = frozenset({"2", "3", "5"})


def _read(cells: Cells, zone: ZoneInfo | None) -> CarrierCall:
    caller = _caller_column(text(cells, "call_type"))
    answered, released = instant(cells, "start_time", zone), instant(cells, "release_time", zone)
    return plausible(
        CarrierCall(
            call_id=text(cells, "call_id"),
            host=text(cells, "secret_no"),
            extension=text_or_none(cells, "extension") or text_or_none(cells, "extension_no"),
            caller=text_or_none(cells, caller) or "",
            call_time=instant(cells, "call_time", zone),
            ring_time=_ring(cells, zone),
            answer_time=None if answered == released else answered,
            release_time=released,
            release_dir=within(cells, "release_dir", 2),
            release_cause=within(cells, "release_cause", 127),
        )
    )


def _caller_column(call_type: str) -> str:
    """0: the protected person dialled; 1: the other party did; 4: a call that was blocked. Raises BadRow."""
    if call_type in _MESSAGES:
        raise BadRow("call_type says that this is a text message, not a call")
    if call_type not in _CALLERS:
        raise BadRow("call_type must be 0 (phone_no dialled), 1 (peer_no dialled) or 4 (blocked)")
    return _CALLERS[call_type]


def _ring(cells: Cells, zone: ZoneInfo | None) -> datetime | None:
    """The real ringing, which is after the leg out began; equal times say that there was none."""
    out = instant_or_none(cells, "call_out_time", zone)
    rings = (instant_or_none(cells, name, zone) for name in ("free_ring_time", "ring_time"))
    return next((ring for ring in rings if ring and (out is None or ring > out)), None)


ALIBABA: Final = CarrierFormat(
    required=("call_id", "secret_no", "peer_no", "call_type", "call_time", "start_time", "release_time"),
    optional=(
        "phone_no",
        "extension",
        "extension_no",
        "call_out_time",
        "ring_time",
        "free_ring_time",
        "release_dir",
        "release_cause",
    ),
    zone="Asia/Shanghai",
    read=_read,
)
