"""Billing alone: what is said of bad rows, of rows that stand twice, of tariffs and options that make no sense."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from .alone_files import BINDING, RENTAL, TARIFFS, bill, run, usage_file

R = {"kind": "rental", "merchant_id": "m", "order_id": "o", "binding_id": BINDING,
     "bound_at": "2026-01-20T10:30:00+08:00", "ended_at": "2026-01-21T10:30:00+08:00"}  # fmt: skip
C = {"kind": "call", "merchant_id": "m", "order_id": "o", "binding_id": BINDING, "call_id": "c",
     "answered_at": "2026-01-20T10:30:00+08:00", "released_at": "2026-01-20T10:31:00+08:00"}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**R, "bound_at": "2026-01-20T10:30:00"}, "bound_at '2026-01-20T10:30:00' has no offset"),
        ({**R, "bound_at": "20.01.2026"}, "bound_at is an instant such as"),
        ({**R, "bound_at": "0001-01-01T00:00:00+08:00"}, "outside of the years 2000 to 2100"),
        ({**R, "ended_at": "2026-01-20T10:29:59+08:00"}, "ended_at is before bound_at"),
        ({**R, "ended_at": ""}, "ended_at is missing"),
        ({**R, "binding_id": "17"}, "binding_id is a UUID, not '17'"),
        ({**R, "merchant_id": " "}, "merchant_id is missing"),
        ({**R, "merchant_id": 7}, "merchant_id is missing"),
        ({**R, "order_id": "x" * 257}, "order_id has more than 256 characters"),
        ({**R, "kind": "sms"}, "kind is rental or call, not 'sms'"),
        ({"merchant_id": "m"}, "give it a kind"),
        ({**R, **C, "kind": ""}, "give it a kind"),
        ({**C, "call_id": ""}, "call_id is missing"),
        ({**C, "released_at": "2026-01-20T10:29:59+08:00"}, "released_at is before answered_at"),
        ({**C, "released_at": None}, "released_at is missing"),
        ("[1]", "not a JSON object"),
        ("{", "not a JSON object"),
    ],
)
def test_bad_rows(tmp_path: Path, row: Any, reason: str) -> None:
    """A bad row is told with its line, and the others are billed."""
    lines = tmp_path / "usage.jsonl"
    good = {**C, "call_id": "good"}
    lines.write_text("\n".join([json.dumps(good), "", row if isinstance(row, str) else json.dumps(row)]) + "\n")
    done = run("--usage", lines, "--out", tmp_path / "out")
    assert done.exit_code == 3
    with (tmp_path / "out/rejected.csv").open(newline="") as file:
        (rejected,) = csv.DictReader(file)
    assert (rejected["file"], rejected["line"]) == ("usage.jsonl", "3")
    assert reason in rejected["reason"]
    assert bill(tmp_path / "out") == [("VNUM-2026-000001", "2026-01", "0.02", "0", "0.02")]


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        (b"m,o,%b\n", "3 cells, but the header has 5", "2"),
        (b'"m\nx",o,%b,2026-01-20T10:30:00Z,2026-01-21T10:30:00Z\nm,o\n', "2 cells, but the header has 5", "4"),
        (b"\xff,o,%b,2026-01-20T10:30:00Z,2026-01-21T10:30:00Z\n", "merchant_id is not UTF-8", "2"),
    ],
)
def test_bad_lines_of_csv(tmp_path: Path, text: bytes, reason: str, line: str) -> None:
    path = tmp_path / "usage.csv"
    path.write_bytes(b"\xef\xbb\xbf" + ",".join(RENTAL).encode() + b"\n" + text.replace(b"%b", BINDING.encode()))
    assert run("--usage", path, "--out", tmp_path / "out").exit_code == 3
    with (tmp_path / "out/rejected.csv").open(newline="") as file:
        (rejected,) = csv.DictReader(file)
    assert rejected["line"] == line
    assert reason in rejected["reason"]


def test_what_stands_twice(tmp_path: Path) -> None:
    """The same content counts once, in any time zone and fraction of a second; other content is a conflict."""
    same = {**C, "answered_at": "2026-01-20T02:30:00.7Z", "released_at": "2026-01-20T02:31:00Z"}
    rows = [
        C,
        same,
        {**C, "released_at": "2026-01-20T10:35:00+08:00"},
        R,
        R,
        {**R, "ended_at": "2026-01-22T10:30:00+08:00"},
    ]
    lines = tmp_path / "usage.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run("--usage", lines, "--out", tmp_path)
    assert done.exit_code == 3
    assert "2 that stood there already, 2 rejected" in done.output
    with (tmp_path / "rejected.csv").open(newline="") as file:
        found = [(row["line"], row["reason"].partition(":")[0]) for row in csv.DictReader(file)]
    assert found == [("3", "conflict"), ("6", "conflict")]
    assert bill(tmp_path) == [("VNUM-2026-000001", "2026-01", "0.02018", "0", "0.02")]


def test_what_is_free(tmp_path: Path) -> None:
    rows = [{**C, "answered_at": ""}, {**C, "call_id": "d", "released_at": C["answered_at"]}]
    lines = tmp_path / "usage.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run("--usage", lines, "--out", tmp_path)
    assert (done.exit_code, bill(tmp_path)) == (0, [])
    assert "1 calls not answered" in done.output


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"tariffs": [{**TARIFFS[0], "tariff_id": "gold"}]}, "tariff 'default' has no version in force"),
        ({"tariffs": [{**TARIFFS[0], "effective_from": "2026-01-02T00:00:00+08:00"}]}, "has no version in force"),
        ({"tariffs": [{**TARIFFS[0], "effective_from": "2026-01-02T00:00:00"}]}, "can not be read"),
        ({"tariffs": [{**TARIFFS[0], "rental": {"model": "weekly", "rate": "1"}}]}, "weekly"),
        ({"tariffs": [{**TARIFFS[0], "calls": {"model": "increments", "minute": "1", "firsts": 6}}]}, "firsts"),
        ({"tariffs": [{**TARIFFS[0], "calls": {"model": "increments", "minute": "0.02", "next_s": 1}}]},
         "no exact price"),
        ({"tariffs": [{**TARIFFS[0], "tax": {"mode": "added", "rate": "6"}}]}, "tax: the rate"),
        ({"tariffs": [TARIFFS[0], TARIFFS[0]]}, "two versions from"),
        ({"tariffs": [{**TARIFFS[0], "version": 2}]}, "version 2 begins as number 1"),
        ({"tariffs": TARIFFS, "assignments": [
            {"merchant_id": "m", "effective_from": "2026-01-01T00:00:00Z", "tariff_id": "x"}]}, "assigned to x"),
        ({"tariffs": TARIFFS, "accounts": [{"merchant_id": "m"}, {"merchant_id": "m"}]}, "two accounts"),
        ({"tariffs": TARIFFS, "accounts": [{"merchant_id": "m", "carried_in": "NaN"}]}, "carried_in"),
        ({}, "tariffs"),
    ],
)  # fmt: skip
def test_tariffs_that_are_refused(tmp_path: Path, content: dict[str, Any], says: str) -> None:
    """Nothing is written then."""
    path = tmp_path / "tariffs.json"
    path.write_text(json.dumps(content))
    done = run("--usage", usage_file(tmp_path), "--out", tmp_path / "out", "--tariffs", path)
    assert done.exit_code == 1
    assert says in done.output
    assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--from", "2026-13"], 2, "YYYY-MM"),
        (["--from", "2026-02", "--until", "2026-01"], 2, "--from"),
        (["--closed-at", "2026-03-01"], 2, "no offset"),
        (["--closed-at", "2026-01-31T15:59:59Z"], 1, "2026-01 ends at"),
        (["--closed-at", "2026-02-01T00:00:00Z", "--until", "2026-02"], 1, "2026-02 ends at"),
    ],
)
def test_options_that_are_refused(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    done = run("--usage", usage_file(tmp_path), "--out", tmp_path / "out", *arguments)
    assert (done.exit_code, says in done.output) == (code, True), done.output


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", ",".join((*RENTAL, "bound_at")) + "\n"])
def test_files_without_usage(tmp_path: Path, content: str) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(content)
    done = run("--usage", path, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "usage.csv" in done.output
