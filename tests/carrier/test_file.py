"""Files as they come: in pieces, in two encodings, damaged, and files that are something else."""

import pytest

from vnum.carrier import CallFile, Form, Row, zone_named
from vnum.carrier.lines import MOST_BYTES
from vnum.model.refusals import UnusableFile

HEAD = "call_id,host,extension,caller,call_time,answer_time,release_time,note"
GOOD = "{},18400913965,7576,13800000000,2026-10-05T12:01:14Z,,2026-10-05T12:02:41Z,杭州"


def text(*rows: str, head: str = HEAD) -> str:
    return "\n".join([head, *rows]) + "\n"


def rows(data: bytes, *, piece: int = 1 << 20, **how: object) -> list[Row]:
    file = CallFile(**how)  # type: ignore[arg-type]
    found = [row for at in range(0, len(data), piece) for row in file.feed(data[at : at + piece])]
    return [*found, *file.end()]


def ids(found: list[Row]) -> list[str | None]:
    return [row.call.call_id if row.call else None for row in found]


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_pieces_of_any_size_make_the_same_rows(piece: int, end: str) -> None:
    data = text(GOOD.format("a"), "", GOOD.format("b")).rstrip("\n").replace("\n", end or "\n") + end
    found = rows(data.encode(), piece=piece)
    assert ids(found) == ["a", "b"]
    assert [row.line for row in found] == [2, 4]


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (text(GOOD.format("a")).encode(), "utf-8"),
        (text(GOOD.format("a")).encode("utf-8-sig"), "utf-8"),
        (text(GOOD.format("a")).encode("gb18030"), "gb18030"),
        (("\ufeff" + text(GOOD.format("a"))).encode("gb18030"), "gb18030"),
    ],
)
def test_encodings(data: bytes, encoding: str) -> None:
    (found,) = rows(data, encoding=encoding)
    assert found.call is not None
    assert found.text.endswith("杭州")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"\xff\xfe\xfd", "is not utf-8; is the file gb18030?"),
        (GOOD.format("x").encode("gb18030"), "is not utf-8"),
        (b"x\0y", "NUL"),
        (b'"x,y', "not comma-separated"),
        (b'x"y"z', "cells where there are"),
        (b"x", "1 cells where there are 8 columns"),
        (GOOD.format("x").encode() + b",more", "more cells"),
        (b"x" * (MOST_BYTES + 1), "more than"),
        (b"x" * (3 * MOST_BYTES), "more than"),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("piece", [1_000, 1 << 20])
def test_a_bad_row_stops_no_other(bad: bytes, said: str, piece: int) -> None:
    data = text(GOOD.format("a")).encode() + bad + b"\n" + GOOD.format("b").encode()
    found = rows(data, piece=piece)
    assert ids(found) == ["a", None, "b"]
    assert said in (found[1].reason or "")
    assert (found[1].line, found[2].line) == (3, 4)
    assert len(found[1].text) <= MOST_BYTES


def test_columns_in_any_order_and_in_other_writings() -> None:
    head = "releaseTime,ANSWER_TIME, Call_Time ,caller,callId,host,whatever"
    (found,) = rows(text("2026-10-05T12:02:41Z,,2026-10-05T12:01:14Z,10086,x,18400913965,", head=head).encode())
    assert found.call is not None
    assert (found.call.call_id, found.call.caller, found.call.extension) == ("x", "10086", None)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"\xef\xbb\xbf", "of no format"),
        (b"name,age\n1,2\n", "names the columns of no format; expected is a CSV file"),
        (text(head="call_id,host,caller").encode(), "of no format"),
        (text(head=HEAD + ",callId").encode(), "a column stands twice: callid"),
        (text().encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04zip", "a workbook or an archive"),
        (b"\x1f\x8bgz", "packed"),
        (b"%PDF-1.7", "a PDF"),
        (b"x" * (MOST_BYTES + 9), "a line of more than"),
        (b"call_id\0,host", "NUL"),
        ("呼叫,主叫".encode("gb18030"), "is not utf-8"),
        (b"{'call_id': 1}", "of no format"),
    ],
    ids=range(14),
)
def test_files_that_are_none_are_refused_as_a_whole(data: bytes, said: str) -> None:
    with pytest.raises(UnusableFile, match=said):
        rows(data)


def test_a_duplicate_column_that_nobody_reads_does_no_harm() -> None:
    (found,) = rows(text(GOOD.format("a") + ",2", head=HEAD + ",note").encode())
    assert found.call is not None


def test_names_only_is_a_file_without_calls() -> None:
    assert rows(text().encode()) == []
    assert rows(text().encode(), form=Form.PLAIN) == []


def test_another_format_than_the_one_named_is_refused() -> None:
    with pytest.raises(UnusableFile, match="no column sessionId, bindNum"):
        rows(text(GOOD.format("a")).encode(), form=Form.HUAWEI)


def test_asterisk_files_do_not_say_their_zone() -> None:
    row = ",".join(['""'] * 9 + ["2026-10-05 12:00:00"] * 3 + ["1", "1", "ANSWERED", "x", "1.2", "caller=1"])
    with pytest.raises(UnusableFile, match="name it, as Asia/Shanghai"):
        rows(row.encode())
    (found,) = rows(row.encode(), zone=zone_named("UTC"))
    assert "billsec" in (found.reason or "")
    with pytest.raises(UnusableFile, match="loguserfield"):
        rows(row.rsplit(",", 1)[0].encode(), form=Form.ASTERISK, zone=zone_named("UTC"))
    (found,) = rows((row + ",,1.2,7").encode(), zone=zone_named("UTC"))
    assert "billsec" in (found.reason or "")


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Asia", "\0"])
def test_zones_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="no such zone"):
        zone_named(name)
