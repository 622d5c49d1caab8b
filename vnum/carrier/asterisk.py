"""Asterisk's own file of calls (cdr_csv, Master.csv): no line of names, the columns in a fixed order.

Its `answer` and `billsec` count from when the *caller's* leg was answered, so they contain the prompt and the keying of
the extension: nothing may be charged by them. `src` may be the number that was shown, not who dialled. So the dialplan
writes both into `userfield`: `caller=057112345678;ext=7576;answer=1791172810`, `answer` being when the callee answered
(seconds since 1970, or a time), empty when he did not. It may add `host=` where `dst` is not the host, and `call_id=`
where the switch reports under another id than its `uniqueid`.

This is for switches with a dialplan of their owner's; the one that we deliver writes a file of its own (`dialplan`).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from vnum.carrier.dialplan import DIALPLAN
from vnum.carrier.rows import BadRow, CarrierCall, CarrierFormat, Cells, instant, parse_instant, plausible, text

_COLUMNS: Final = (
    "accountcode",
    "src",
    "dst",
    "dcontext",
    "clid",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "start",
    "answer",
    "end",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
    "uniqueid",
    "userfield",
)
_EPOCH: Final = re.compile(r"[0-9]{9,11}(\.[0-9]{1,9})?", re.ASCII)


def _read(cells: Cells, zone: ZoneInfo | None) -> CarrierCall:
    told = _told(cells.get("userfield", ""))
    released = instant(cells, "end", zone)
    return plausible(
        CarrierCall(
            call_id=told.get("call_id") or text(cells, "uniqueid"),
            host=told.get("host") or text(cells, "dst"),
            extension=told["ext"] or None,
            caller=told["caller"],
            call_time=instant(cells, "start", zone),
            answer_time=_answer(told["answer"], released, zone),
            release_time=released,
        )
    )


def _told(userfield: str) -> dict[str, str]:
    """What the dialplan wrote. Asterisk joins the fields of both legs by a semicolon, so a pair may stand twice.

    Raises BadRow.
    """
    told: dict[str, str] = {}
    for part in userfield.split(";"):
        name, equals, value = part.partition("=")
        if not equals:
            continue
        if told.setdefault(name.strip(), value.strip()) != value.strip():
            raise BadRow("userfield says two different things under one name")
    missing = [name for name in ("caller", "ext", "answer") if name not in told]
    if missing:
        raise BadRow(
            f"userfield has no {', '.join(missing)}: the dialplan must write caller=...;ext=...;answer=... there; "
            "billsec counts the prompt and is never charged"
        )
    return told


def _answer(written: str, released: datetime, zone: ZoneInfo | None) -> datetime | None:
    """Raises BadRow. `end` is cut to whole seconds: a callee who answered within that second was on for 0 s."""
    if not written:
        return None
    answered = _since_1970(written) if _EPOCH.fullmatch(written) else parse_instant(written, "answer=", zone)
    return min(answered, released) if answered.replace(microsecond=0) <= released else answered


def _since_1970(written: str) -> datetime:
    seconds, _, fraction = written.partition(".")
    whole = datetime.fromtimestamp(int(seconds), UTC)
    return whole.replace(microsecond=int(f"{fraction:0<6}"[:6]))


def _is_row(cells: Sequence[str]) -> bool:
    """Whether a call can be read from it, or one that only lacks what is asked for beyond the vendor's."""
    if len(cells) < len(_COLUMNS):
        return False
    row = dict(zip(_COLUMNS, cells, strict=False))
    return row["duration"].isdigit() and row["billsec"].isdigit() and row["start"][:4].isdigit()


ASTERISK: Final = CarrierFormat(
    required=("dst", "start", "end", "uniqueid", "userfield"),
    optional=(),
    zone=None,
    read=_read,
    positions=_COLUMNS,
    is_row=_is_row,
    others=(DIALPLAN,),
)
