"""Huawei's privacy numbers: the call records of its fee notifications (feeLst), as a file with those field names.

Times are UTC. `bindNum` is the virtual number, `callerNum` who dialled; `fwdDstNum`, the real phone that was reached,
is not read. A call that failed before it was put through may bear `failTime` in place of `callEndTime`.
"""

from typing import Final
from zoneinfo import ZoneInfo

from vnum.carrier.rows import (
    BadRow,
    CarrierCall,
    CarrierFormat,
    Cells,
    holds_phone,
    instant,
    instant_or_none,
    plausible,
    text,
    text_or_none,
    within,
)


def _read(cells: Cells, zone: ZoneInfo | None) -> CarrierCall:
    end = "callEndTime" if text_or_none(cells, "callEndTime") else "failTime"
    if text_or_none(cells, end) is None:
        raise BadRow("callEndTime is empty, and so is failTime")
    return plausible(
        CarrierCall(
            call_id=_call_id(cells),
            host=text(cells, "bindNum"),
            extension=text_or_none(cells, "extendNum"),
            caller=cells.get("callernum", ""),
            call_time=instant(cells, "callInTime", zone),
            ring_time=instant_or_none(cells, "fwdAlertingTime", zone),
            answer_time=instant_or_none(cells, "fwdAnswerTime", zone),
            release_time=instant(cells, end, zone),
            release_cause=within(cells, "fwdUnaswRsn", 127) or None,
        )
    )


def _call_id(cells: Cells) -> str:
    """The session, unless phones stand in it, as some of Huawei's switches write it: then the record's own id, since a
    call id is shown in invoices and listings. Raises BadRow."""
    session = text(cells, "sessionId")
    if not holds_phone(session):
        return session
    record = text_or_none(cells, "icid")
    if record is None or holds_phone(record):
        raise BadRow("sessionId holds a phone and can be no call id; the file needs the column icid")
    return record


HUAWEI: Final = CarrierFormat(
    required=("sessionId", "bindNum", "callerNum", "callInTime", "fwdAnswerTime", "callEndTime"),
    optional=("icid", "extendNum", "fwdAlertingTime", "failTime", "fwdUnaswRsn"),
    zone="UTC",
    read=_read,
)
