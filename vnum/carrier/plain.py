"""A file with the field names of our own API: for carriers whose file somebody rewrites, and for files of our own."""

from typing import Final
from zoneinfo import ZoneInfo

from vnum.carrier.rows import (
    CarrierCall,
    CarrierFormat,
    Cells,
    amount_or_none,
    instant,
    instant_or_none,
    plausible,
    text,
    text_or_none,
    whole_or_none,
)


def _read(cells: Cells, zone: ZoneInfo | None) -> CarrierCall:
    return plausible(
        CarrierCall(
            call_id=text(cells, "call_id"),
            host=text(cells, "host"),
            extension=text_or_none(cells, "extension"),
            caller=cells.get("caller", ""),
            call_time=instant(cells, "call_time", zone),
            ring_time=instant_or_none(cells, "ring_time", zone),
            answer_time=instant_or_none(cells, "answer_time", zone),
            release_time=instant(cells, "release_time", zone),
            release_dir=whole_or_none(cells, "release_dir", 2),
            release_cause=whole_or_none(cells, "release_cause", 127),
            seconds=whole_or_none(cells, "seconds"),
            minutes=whole_or_none(cells, "minutes"),
            cost=amount_or_none(cells, "cost"),
        )
    )


PLAIN: Final = CarrierFormat(
    required=("call_id", "host", "caller", "call_time", "answer_time", "release_time"),
    optional=("extension", "ring_time", "release_dir", "release_cause", "seconds", "minutes", "cost"),
    zone=None,
    read=_read,
)
