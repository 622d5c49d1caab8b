"""A carrier's file through the command line: imported once, imported again, and what was not taken."""

import asyncio
import csv
import importlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from click.testing import CliRunner, Result

from tests.engines import connect_owner, open_world
from vnum.cli import main
from vnum.model.bindings import Binding
from vnum.servers import Endpoints
from vnum.service.clock import ManualClock
from vnum.store.migrate import drop, migrate

NOW = datetime.now(UTC).replace(microsecond=0)
BOUND = NOW - timedelta(days=20)
HEAD = ["call_id", "host", "extension", "caller", "call_time", "answer_time", "release_time", "cost"]
CALLER = "13800000000"


class Desk:
    """Commands on a schema in which a number was bound 20 days ago."""

    def __init__(self, endpoints: Endpoints, schema: str, folder: Path, binding: Binding) -> None:
        self.folder = folder
        self.binding = binding
        self.endpoints = endpoints
        self.schema = schema
        self.environment = {
            "VNUM_DATA_DIR": str(folder),
            "VNUM_POSTGRES_DSN": endpoints.postgres_dsn,
            "VNUM_POSTGRES_ADMIN_DSN": endpoints.postgres_admin_dsn,
            "VNUM_REDIS_URL": endpoints.redis_url,
            "VNUM_MASTER_KEY_FILE": str(folder / "master.key"),
            "VNUM_SCHEMA": schema,
        }

    def run(self, *arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], env=self.environment)

    def call(self, call_id: str, seconds: int = 61, **changed: str) -> list[str]:
        """A row of a plain file: answered 9 seconds after it was dialled, ten days ago."""
        dialled = BOUND + timedelta(days=10)
        row = {
            "call_id": call_id,
            "host": self.binding.host,
            "extension": self.binding.extension,
            "caller": CALLER,
            "call_time": dialled.isoformat(),
            "answer_time": (dialled + timedelta(seconds=9)).isoformat(),
            "release_time": (dialled + timedelta(seconds=9 + seconds)).isoformat(),
            "cost": "0.03",
        }
        return list((row | changed).values())

    def file(self, *rows: list[str], name: str = "calls.csv") -> Path:
        path = self.folder / name
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([HEAD, *rows])
        return path

    def value(self, query: str) -> Any:
        async def ask() -> Any:
            owner = await connect_owner(self.endpoints, self.schema)
            try:
                return await owner.fetchval(query)
            finally:
                await owner.close()

        return asyncio.run(ask())


@pytest.fixture
def desk(endpoints: Endpoints, tmp_path: Path) -> Iterator[Desk]:
    schema = f"desk_{secrets.token_hex(4)}"

    async def lent() -> Binding:
        await migrate(endpoints.postgres_admin_dsn, schema)
        async with open_world(endpoints, schema, tmp_path, clock=ManualClock(BOUND), wipe=False) as world:
            await world.merchant()
            await world.host()
            return await world.bind("a")

    yield Desk(endpoints, schema, tmp_path, uvloop.run(lent()))
    uvloop.run(drop(endpoints.postgres_admin_dsn, schema))


def rejected(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_file_imported_twice_is_charged_once(desk: Desk) -> None:
    file = desk.file(*(desk.call(f"c{n}", 61 + n) for n in range(5)))
    first = desk.run("records", "import", file)
    assert first.exit_code == 0, first.output
    assert "5 rows (plain)" in first.output
    charged = desk.value("SELECT sum(cost) FROM calls")
    assert desk.value("SELECT count(*) FROM calls") == 5
    again = desk.run("records", "import", file)
    assert again.exit_code == 0
    assert "duplicate" in again.output
    assert desk.value("SELECT count(*) FROM calls") == 5
    assert desk.value("SELECT sum(cost) FROM calls") == charged
    assert not (desk.folder / "calls.csv.rejected.csv").exists()


def test_what_was_not_taken_goes_to_a_file_of_its_own(desk: Desk) -> None:
    file = desk.file(
        desk.call("good"),
        desk.call("good", 70),
        desk.call("stranger", host="18400913999"),
        desk.call("late", call_time="soon"),
        desk.call("x" * 300),
        desk.call("=2+3", extension="1234567"),
        desk.call("fine", 0),
    )
    result = desk.run("records", "import", file)
    assert result.exit_code == 3, result.output
    aside = desk.folder / "calls.csv.rejected.csv"
    assert str(aside) in result.output.replace("\n", "")
    assert "only you may read it" in result.output
    assert aside.stat().st_mode & 0o777 == 0o600
    rows = rejected(aside)
    assert [(row["line"], row["code"]) for row in rows] == [
        ("3", "record_conflict"),
        ("4", "host_not_found"),
        ("5", "invalid_request"),
        ("6", "invalid_request"),
        ("7", "invalid_number"),
    ]
    assert CALLER in rows[0]["row"]
    assert rows[-1]["row"].startswith("'=2+3")
    assert CALLER not in result.output
    assert not any(CALLER in row["detail"] for row in rows)
    assert desk.value("SELECT count(*) FROM calls") == 2

    mended = desk.run("records", "import", desk.file(desk.call("good")))
    assert mended.exit_code == 0
    assert rejected(aside) == [], "it speaks of the last import only"


def test_the_file_of_the_rejected_is_the_owners_whatever_it_was(desk: Desk) -> None:
    aside = desk.folder / "aside.csv"
    aside.write_text("old")
    aside.chmod(0o666)
    file = desk.file(desk.call("x", host="18400913999"))
    assert desk.run("records", "import", file, "--rejected", aside).exit_code == 3
    assert aside.stat().st_mode & 0o777 == 0o600
    assert len(rejected(aside)) == 1
    result = desk.run("records", "import", file, "--rejected", file)
    assert result.exit_code == 2
    assert "that is FILE itself" in result.output
    assert "18400913999" in file.read_text()


def test_rejected_rows_that_can_not_be_written_stop_an_import_before_anything_is_charged(desk: Desk) -> None:
    file = desk.file(desk.call("good"), desk.call("x", host="18400913999"))
    link = desk.folder / "link.csv"
    link.symlink_to(desk.folder / "elsewhere.csv")
    for aside in (desk.folder / "absent" / "aside.csv", link):
        result = desk.run("records", "import", file, "--rejected", aside)
        assert result.exit_code == 2, result.output
        assert "--rejected" in result.output
    assert desk.value("SELECT count(*) FROM calls") == 0
    assert not (desk.folder / "elsewhere.csv").exists()


def test_rejected_rows_may_go_to_a_device_which_stays_as_it_was(desk: Desk) -> None:
    reader, writer = os.openpty()
    try:
        before = os.fstat(writer).st_mode
        result = desk.run(
            "records", "import", desk.file(desk.call("x", host="18400913999")), "--rejected", os.ttyname(writer)
        )
        assert result.exit_code == 3, result.output
        assert os.fstat(writer).st_mode == before
        assert b"host_not_found" in os.read(reader, 4_096)
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("name", ["[/bold]october[red].csv", ":smile:.csv"])
def test_a_files_name_is_no_markup(desk: Desk, name: str) -> None:
    file = desk.file(desk.call("a"), name=name.replace("/", "\N{DIVISION SLASH}"))
    for command in (["records", "import"], ["reconcile"]):
        result = desk.run(*command, file)
        assert result.exit_code == 0, result.output
        assert file.name in result.output


def test_the_differences_never_take_the_files_place(desk: Desk) -> None:
    file = desk.file(desk.call("a"))
    before = file.read_bytes()
    result = desk.run("reconcile", file, "--out", file)
    assert result.exit_code == 2, result.output
    assert "that is FILE itself" in result.output
    assert file.read_bytes() == before


def test_differences_that_break_off_leave_the_file_of_before(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: object) -> AsyncIterator[bytes]:
        yield b"half"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importlib.import_module("vnum.cli.reconcile"), "csv_pieces", broken)
    out = desk.folder / "diff.csv"
    out.write_text("before")
    result = desk.run("reconcile", desk.file(desk.call("a")), "--out", out)
    assert result.exit_code == 2, result.output
    assert "No space left" in result.output
    assert out.read_text() == "before"
    assert not list(desk.folder.glob("*.part"))


def test_more_rows_than_a_batch(desk: Desk) -> None:
    file = desk.file(*(desk.call(f"c{n}") for n in range(2_300)))
    result = desk.run("records", "import", file)
    assert result.exit_code == 0, result.output
    assert "2,300 rows" in result.output
    assert "4,600" in result.output, "minutes"
    assert "92" in result.output, "CNY"
    assert desk.value("SELECT count(*) FROM calls") == 2_300


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["records", "import", "absent.csv"], 2, "does not exist"),
        (["records", "import", "odd.csv"], 1, "of no format"),
        (["records", "import", "odd.csv", "--format", "huawei"], 1, "no column sessionId"),
        (["records", "import", "odd.csv", "--zone", "Mars"], 2, "no such zone"),
        (["records", "import", "odd.csv", "--format", "excel"], 2, "'excel' is not one of"),
        (["records", "import", "odd.csv", "--encoding", "latin-1"], 2, "'latin-1' is not one of"),
    ],
)
def test_files_and_options_that_will_not_do(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(desk.folder)
    (desk.folder / "odd.csv").write_text("name,age\n1,2\n")
    result = desk.run(*arguments)
    assert result.exit_code == code, result.output
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_file_that_agrees_and_one_that_does_not(desk: Desk) -> None:
    file = desk.file(desk.call("a"), desk.call("b", 30), desk.call("c", 0))
    assert desk.run("records", "import", file).exit_code == 0
    agrees = desk.run("reconcile", file)
    assert agrees.exit_code == 0, agrees.output
    assert "3 rows (plain)" in agrees.output
    out = desk.folder / "diff.csv"
    other = desk.file(desk.call("a"), desk.call("b", 130), desk.call("z"), name="other.csv")
    differs = desk.run("reconcile", other, "--out", out)
    assert differs.exit_code == 1, differs.output
    for words in ("missing_here", "different_seconds", "the carrier's own fee (3 calls)", "0.09"):
        assert words in differs.output
    found = {row["call_id"]: row for row in rejected(out)}
    assert {call_id: row["kinds"] for call_id, row in found.items()} == {
        "b": "different_seconds",
        "c": "missing_there",
        "z": "missing_here",
    }
    assert (found["b"]["our_cost"], found["b"]["their_cost_at_our_rates"], found["b"]["their_fee"]) == (
        "0.02",
        "0.06",
        "0.03",
    )
    assert CALLER not in out.read_text() + differs.output
    assert not list(desk.folder.glob("*.part"))
    assert desk.run("reconcile", other, "--tolerance-s", "100", "--format", "plain").exit_code == 1
    near = desk.file(desk.call("a", 62), desk.call("b", 30), desk.call("c", 1), name="near.csv")
    assert desk.run("reconcile", near, "--tolerance-s", "1").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.csv"], "does not exist"),
        (["odd.csv"], "of no format"),
        (["odd.csv", "--period", "2026-13"], "YYYY-MM"),
        (["odd.csv", "--from", "2026-10-01T00:00:00Z"], "give a period, or from and to"),
        (["odd.csv", "--from", "2026-10-01", "--to", "2026-11-01"], "of no format"),
        (["odd.csv", "--from", "x", "--to", "y"], "is no instant"),
        (["odd.csv", "--from", "2026-10-01T00:00"], "has no offset"),
        (["odd.csv", "--tolerance-s", "-1"], "-1 is not in the range"),
        (["odd.csv", "--zone", "Mars"], "no such zone"),
        (["empty.csv"], "the file is empty"),
        (["names.csv"], "the file has names only"),
        (["names.csv", "--carrier", "nobody"], "no host is registered with that carrier"),
        (["names.csv", "--period", "2026-10", "--out", "absent/diff.csv"], "No such file"),
    ],
)
def test_reconcile_says_by_its_exit_code_that_nothing_was_compared(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(desk.folder)
    (desk.folder / "odd.csv").write_text("name,age\n1,2\n")
    (desk.folder / "empty.csv").write_text("")
    desk.file(name="names.csv")
    result = desk.run("reconcile", *arguments)
    assert result.exit_code == 2, result.output
    assert words in result.output
    assert "Traceback" not in result.output
