"""The file of our own Asterisk dialplan: every call that was answered comes out of it, charged or told."""

from datetime import UTC, datetime

import pytest

from vnum.carrier.dialplan import UNENDED
from vnum.carrier.file import CallFile, Form, Row, zone_named

ANSWERED = "answered,{id},18400913965,7576,13800000000,2026-10-05T04:01:14.020Z,,2026-10-05T04:01:36.500Z,,,"
ENDED = (
    "ended,{id},18400913965,7576,13800000000,2026-10-05T04:01:14.020Z,2026-10-05T04:01:21.100Z,"
    "2026-10-05T04:01:36.500Z,2026-10-05T04:02:41.400Z,1,16"
)
MARKED = "marked,{id},,,,,,,2026-10-05T04:02:48.300Z,,complaint"
UNANSWERED = "ended,{id},18400913965,,anonymous,2026-10-05T04:01:14.020Z,,,2026-10-05T04:01:41.400Z,2,17"


def rows(*lines: str, form: Form | None = None, zone: str | None = None) -> list[Row]:
    file = CallFile(form, zone_named(zone) if zone else None)
    found = [*file.feed("".join(f"{line}\n" for line in lines).encode()), *file.end()]
    assert file.form is Form.ASTERISK
    assert file.rows == len(found)
    return found


@pytest.mark.parametrize("form", [None, Form.ASTERISK])
@pytest.mark.parametrize("zone", [None, "Asia/Shanghai"])
def test_a_call_is_one_row_and_says_its_zone_itself(form: Form | None, zone: str | None) -> None:
    (found,) = rows(ANSWERED.format(id="a"), ENDED.format(id="a"), form=form, zone=zone)
    call = found.call
    assert call is not None
    assert (call.call_id, call.host, call.extension, call.caller) == ("a", "18400913965", "7576", "13800000000")
    assert call.call_time == datetime(2026, 10, 5, 4, 1, 14, 20_000, tzinfo=UTC)
    assert call.ring_time == datetime(2026, 10, 5, 4, 1, 21, 100_000, tzinfo=UTC)
    assert call.answer_time == datetime(2026, 10, 5, 4, 1, 36, 500_000, tzinfo=UTC)
    assert call.release_time == datetime(2026, 10, 5, 4, 2, 41, 400_000, tzinfo=UTC)
    assert (call.release_dir, call.release_cause) == (1, 16)


def test_nobody_answered() -> None:
    (found,) = rows(UNANSWERED.format(id="a"))
    assert found.call is not None
    assert (found.call.answer_time, found.call.extension, found.call.caller) == (None, None, "anonymous")


def test_an_answer_without_an_end_is_told_with_its_line() -> None:
    lines = [ANSWERED.format(id="a"), ANSWERED.format(id="b"), ENDED.format(id="a"), UNANSWERED.format(id="c")]
    found = rows(*lines)
    assert [row.call.call_id for row in found if row.call] == ["a", "c"]
    (lost,) = [row for row in found if row.call is None]
    assert (lost.line, lost.reason) == (2, UNENDED)
    assert lost.text == lines[1]


def test_what_recipients_keyed_in_is_passed_over() -> None:
    """Wherever it stands: after a rotation, first."""
    lines = [MARKED.format(id="a"), ANSWERED.format(id="b"), ENDED.format(id="b"), MARKED.format(id="b")]
    (found,) = rows(*lines)
    assert found.call is not None
    assert found.call.call_id == "b"


def test_a_file_that_begins_in_mid_call() -> None:
    """As after a rotation: the answer stands in the file before."""
    (found,) = rows(ENDED.format(id="a"))
    assert found.call is not None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (ENDED.format(id=""), "call_id is empty"),
        (ENDED.format(id="13800000000"), "the call id is a phone number"),
        (ENDED.format(id="b").rsplit(",", 3)[0], "8 cells where there are 11 columns"),
        (ENDED.format(id="b").replace("04:02:41.400Z", "later"), "release_time is not a time"),
        (ENDED.format(id="b").replace("ended", "rung"), "a line begins with answered or ended"),
        (ANSWERED.format(id=""), "call_id is empty"),
    ],
)
def test_rows_that_are_no_call(line: str, said: str) -> None:
    good, bad = rows(UNANSWERED.format(id="a"), line)
    assert good.call is not None
    assert bad.call is None
    assert said in (bad.reason or "")
