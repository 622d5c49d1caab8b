"""Input files of a replay: what is used, and what is kept aside with its line and reason."""

import csv
from pathlib import Path

import pytest

from vnum.replay.files import UnusableFile, read_calls, read_parcels, write_rejected

PARCELS = "order_id,city,region_id,courier_id,accepted_at,picked_up_at\n"
CALLS = "call_id,called_at,outcome,wait_seconds,answered_at,talk_seconds,agent\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "input.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_parcels_come_in_the_order_of_their_time_with_ties_as_in_the_file(tmp_path: Path) -> None:
    rows = "b,Jilin,1,9,2022-05-01 10:00:00,\na,Jilin,1,9,2022-05-01 09:00:00,\nc,Jilin,2,9,2022-05-01 09:00:00,\n"
    parcels, rejected = read_parcels(write(tmp_path, PARCELS + rows))
    assert [(parcel.order_id, parcel.merchant_id) for parcel in parcels] == [
        ("a", "Jilin-1"),
        ("c", "Jilin-2"),
        ("b", "Jilin-1"),
    ]
    assert rejected == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",Jilin,1,9,2022-05-01 09:00:00,", "order_id must be 1 to 64 printable characters"),
        ("x" * 65 + ",Jilin,1,9,2022-05-01 09:00:00,", "order_id must be 1 to 64 printable characters"),
        ("a\x00b,Jilin,1,9,2022-05-01 09:00:00,", "order_id must be 1 to 64 printable characters"),
        ("a,,1,9,2022-05-01 09:00:00,", "city must be 1 to 64 printable characters"),
        ("a,Jilin,,9,2022-05-01 09:00:00,", "region_id must be 1 to 64 printable characters"),
        ("a,Jilin", "region_id must be 1 to 64 printable characters"),
        ("a,Jilin,1,9,yesterday,", "accepted_at is not a time like 2022-05-01 09:29:00"),
        ("a,Jilin,1,9,2022-02-30 09:00:00,", "accepted_at is not a time like 2022-05-01 09:29:00"),
        ("a,Jilin,1,9,2022-05-01T09:00:00Z,", "accepted_at must be wall time in Asia/Shanghai, without an offset"),
        ("good,Jilin,1,9,2022-05-01 09:00:00,", "duplicate order_id, first on line 2"),
    ],
)
def test_a_bad_parcel_is_kept_aside_with_its_line(tmp_path: Path, row: str, reason: str) -> None:
    good = "good,Jilin,1,9,2022-05-01 09:00:00,\n"
    parcels, rejected = read_parcels(write(tmp_path, PARCELS + good + row + "\n"))
    assert [parcel.order_id for parcel in parcels] == ["good"]
    assert [(bad.file, bad.line, bad.reason) for bad in rejected] == [("input.csv", 3, reason)]


def test_a_row_that_is_not_utf8_is_kept_aside_and_written_back_readably(tmp_path: Path) -> None:
    path = write(tmp_path, PARCELS.encode() + b"\xff\xfe,Jilin,1,9,2022-05-01 09:00:00,\n")
    parcels, rejected = read_parcels(path)
    assert parcels == []
    write_rejected(tmp_path / "rejected.csv", rejected)
    with (tmp_path / "rejected.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["line"] == "2"
    assert row["row"].startswith("\\udcff")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("c,1999-10-01T07:02:31,answered,x,,5,A", "wait_seconds must be whole seconds, 0 to 86400"),
        ("c,1999-10-01T07:02:31,answered,-1,,5,A", "wait_seconds must be whole seconds, 0 to 86400"),
        ("c,1999-10-01T07:02:31,answered,1,,1.5,A", "talk_seconds must be whole seconds, 0 to 86400"),
        ("c,1999-10-01T07:02:31,answered,1,,90000,A", "talk_seconds must be whole seconds, 0 to 86400"),
        ("c,1999-10-01T07:02:31,answered,1,,,A", "talk_seconds must be whole seconds, 0 to 86400"),
        ("c,1999-10-01T07:02:31,missed,1,,5,A", "outcome must be answered, abandoned or phantom"),
        ("c,noon,answered,1,,5,A", "called_at is not a time like 2022-05-01 09:29:00"),
        ("first,1999-10-01T07:02:31,answered,1,,5,A", "duplicate call_id, first on line 2"),
    ],
)
def test_a_bad_call_is_kept_aside_with_its_line(tmp_path: Path, row: str, reason: str) -> None:
    first = "first,1999-10-01T07:00:00,abandoned,7,,0,\n"
    calls, rejected = read_calls(write(tmp_path, CALLS + first + row + "\n"))
    assert [(call.call_id, call.wait_s, call.talk_s) for call in calls] == [("first", 7, None)]
    assert [(bad.line, bad.reason) for bad in rejected] == [(3, reason)]


def test_phantoms_are_no_calls_and_no_rejects(tmp_path: Path) -> None:
    calls, rejected = read_calls(write(tmp_path, CALLS + "p,1999-10-01T07:00:00,phantom,0,,0,\n"))
    assert (calls, rejected) == ([], [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column order_id, city, region_id, accepted_at"),
        ("order_id,city\n", "no column region_id, accepted_at"),
        (PARCELS + '"' + "x" * 200_000, "not a CSV file"),
    ],
)
def test_a_file_that_is_no_list_of_parcels_says_what_is_missing(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UnusableFile, match=message):
        read_parcels(write(tmp_path, content))
