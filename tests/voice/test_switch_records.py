"""What stands beside Asterisk and Kamailio and needs neither: the program that posts their records, and its file."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from tests.voice.deployed import DEPLOYED, program
from vnum.carrier import CallFile

HEAD = "18400913965,7576,13800000000,2026-10-05T04:01:14.020Z"
UNAVAILABLE = {"status": "rejected", "code": "store_unavailable"}


RECORDS = program("vnum_records.py")


def answered(call_id: str) -> str:
    return f"answered,{call_id},{HEAD},,2026-10-05T04:01:36.500Z,,,\n"


def marked(call_id: str, mark: str = "complaint") -> str:
    return f"marked,{call_id},,,,,,,2026-10-05T04:02:48.300Z,,{mark}\n"


def ended(call_id: str) -> str:
    times = "2026-10-05T04:01:21.100Z,2026-10-05T04:01:36.500Z,2026-10-05T04:02:41.400Z"
    return f"ended,{call_id},{HEAD},{times},1,16\n"


class Taker:
    """vnum, as far as the poster sees it: takes records and marks, or says what it is told to say: to a mark a status
    and a code."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.marks: list[Any] = []
        self.says_to_marks: list[tuple[int, str]] = []
        self.says: list[Any] = []
        self.keys: set[str | None] = set()
        taker = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                taker.keys.add(self.headers["Authorization"])
                if self.path == "/v1/calls/marks":
                    self.answer_mark(sent)
                    return
                items = sent["items"]
                said = taker.says.pop(0) if taker.says else {"status": "rated"}
                if isinstance(said, dict):
                    if said is not UNAVAILABLE:
                        taker.taken += [item["call_id"] for item in items]
                    body = json.dumps({"results": [{"call_id": item["call_id"], **said} for item in items]}).encode()
                    self.send_response(200)
                else:
                    body = b"sorry"
                    self.send_response(said)
                self.close_with(body)

            def answer_mark(self, sent: Any) -> None:
                taker.marks.append(sent)
                status, code = taker.says_to_marks.pop(0) if taker.says_to_marks else (200, "")
                self.send_response(status)
                self.close_with(json.dumps({"code": code} if code else {}).encode())

            def close_with(self, body: bytes) -> None:
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)


class Enough(Exception):
    """The poster has nothing to do: it would sleep."""


@pytest.fixture
def taker() -> Iterator[Taker]:
    made = Taker()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def settings(tmp_path: Path, taker: Taker) -> Any:
    (tmp_path / "vnum.key").write_text("vk_secret\n")
    text = (DEPLOYED / "asterisk" / "vnum_settings.conf").read_text()
    text = text.replace("/etc/asterisk", str(tmp_path)).replace("/var/log/asterisk", str(tmp_path))
    file = tmp_path / "vnum_settings.conf"
    file.write_text(text.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{taker.server.server_port}"))
    return RECORDS.Settings(file)


@pytest.fixture
def spooling(tmp_path: Path, taker: Taker) -> Any:
    """Settings of Kamailio."""
    (tmp_path / "vnum.key").write_text("vk_secret\n")
    (tmp_path / "spool").mkdir()
    text = (DEPLOYED / "kamailio" / "vnum_settings.cfg").read_text()
    text = text.replace("/etc/kamailio", str(tmp_path)).replace("/var/lib/vnum", str(tmp_path))
    file = tmp_path / "vnum_settings.cfg"
    file.write_text(text.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{taker.server.server_port}"))
    return RECORDS.Settings(file)


def post(settings: Any, monkeypatch: pytest.MonkeyPatch, way: str = RECORDS.CALLS) -> list[float]:
    """Its pauses, without passing them, until it is idle."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        if seconds == RECORDS.LOOK_S:
            raise Enough
        pauses.append(seconds)

    with monkeypatch.context() as patched:
        patched.setattr(RECORDS.time, "sleep", sleep)
        with pytest.raises(Enough):
            RECORDS.bring(settings, way)
    return pauses


def test_each_end_is_posted_once_and_a_half_written_one_waits(
    settings: Any, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.records.write_text(answered("a") + ended("a") + answered("b") + ended("b")[:-20])
    assert post(settings, monkeypatch) == []
    assert taker.taken == ["a"]
    with settings.records.open("a") as file:
        file.write(ended("b")[-20:] + ended("c"))
    post(settings, monkeypatch)
    post(settings, monkeypatch)
    assert taker.taken == ["a", "b", "c"]
    assert taker.keys == {"Bearer vk_secret"}


@pytest.mark.parametrize("trouble", [503, 401, UNAVAILABLE, {"results": 1}])
def test_what_is_not_taken_is_posted_again_with_growing_pauses(
    settings: Any, taker: Taker, monkeypatch: pytest.MonkeyPatch, trouble: Any
) -> None:
    taker.says = [trouble if trouble != {"results": 1} else 500] * 7
    settings.records.write_text(ended("a"))
    assert post(settings, monkeypatch) == [1, 2, 4, 8, 16, 30, 30]
    assert taker.taken == ["a"]


@pytest.mark.parametrize("status", ["conflict", "rejected", "duplicate"])
def test_what_vnum_has_put_aside_is_not_posted_for_ever(
    settings: Any, taker: Taker, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    taker.says = [{"status": status, "code": "no_binding"}]
    settings.records.write_text(ended("a") + ended("b"))
    assert post(settings, monkeypatch) == []
    assert taker.taken == ["a", "b"]


def test_each_mark_is_posted_once_and_a_half_written_one_waits(
    settings: Any, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.records.write_text(answered("a") + ended("a") + marked("a") + marked("b", "wrong_person")[:-9])
    assert post(settings, monkeypatch, RECORDS.MARKS) == []
    assert taker.marks == [{"call_id": "a", "mark": "complaint", "at": "2026-10-05T04:02:48.300Z"}]
    with settings.records.open("a") as file:
        file.write(marked("b", "wrong_person")[-9:])
    post(settings, monkeypatch, RECORDS.MARKS)
    post(settings, monkeypatch, RECORDS.MARKS)
    assert [mark["mark"] for mark in taker.marks] == ["complaint", "wrong_person"]
    assert taker.keys == {"Bearer vk_secret"}


PASSING = [(503, "store_unavailable"), (500, ""), (401, "unauthorized"), (403, "forbidden"), (404, "not_found"),
           (404, ""), (429, "rate_limited"), (302, "call_not_found")]  # fmt: skip


@pytest.mark.parametrize(("status", "code"), PASSING)
def test_a_mark_that_is_not_taken_is_posted_again_with_growing_pauses(
    settings: Any, taker: Taker, monkeypatch: pytest.MonkeyPatch, status: int, code: str
) -> None:
    """No record waits for it."""
    taker.says_to_marks = [(status, code)] * 3
    settings.records.write_text(marked("a") + ended("a"))
    assert post(settings, monkeypatch) == []
    assert (taker.taken, taker.marks) == (["a"], [])
    assert post(settings, monkeypatch, RECORDS.MARKS) == [1, 2, 4]
    assert len(taker.marks) == 4


@pytest.mark.parametrize(
    ("status", "code"), [(404, "call_not_found"), (422, "time_in_future"), (400, "invalid_request")]
)
def test_a_mark_that_vnum_refuses_is_not_posted_for_ever(
    settings: Any, taker: Taker, monkeypatch: pytest.MonkeyPatch, status: int, code: str
) -> None:
    taker.says_to_marks = [(status, code)]
    settings.records.write_text(marked("a") + marked("b"))
    assert post(settings, monkeypatch, RECORDS.MARKS) == []
    assert [mark["call_id"] for mark in taker.marks] == ["a", "b"]


def test_marks_have_a_way_of_their_own_where_there_are_some(
    settings: Any, spooling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: SimpleQueue[str] = SimpleQueue()
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(RECORDS, "bring", lambda _, way: ways.put(way))
    RECORDS.post(settings)
    assert {ways.get(timeout=20), ways.get(timeout=20)} == {RECORDS.CALLS, RECORDS.MARKS}
    RECORDS.post(spooling)
    assert (ways.get(timeout=20), ways.empty()) == (RECORDS.CALLS, True)


def test_a_way_that_ends_takes_the_program_with_it(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that its supervisor begins it anew."""
    left: SimpleQueue[int] = SimpleQueue()

    def ends(_: Any, way: str) -> None:
        if way == RECORDS.MARKS:
            raise OSError

    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(RECORDS.os, "_exit", left.put)
    monkeypatch.setattr(RECORDS, "bring", ends)
    RECORDS.post(settings)
    assert left.get(timeout=20) == 1


def test_a_mark_is_no_record_in_the_file(settings: Any) -> None:
    """Nor an answer, for what ends calls that were cut off."""
    text = marked("before") + answered("a") + ended("a") + marked("a")
    settings.records.write_text(text)
    settings.alive.touch()
    RECORDS.cut(settings)
    assert settings.records.read_text() == text


def test_a_file_that_was_moved_aside_is_finished_first(
    settings: Any, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.records.write_text(ended("a"))
    post(settings, monkeypatch)
    with settings.records.open("a") as file:
        file.write(ended("b"))
    settings.records.rename(settings.records.with_name("vnum.csv.1"))
    settings.records.write_text(ended("c"))
    post(settings, monkeypatch)
    assert taker.taken == ["a", "b", "c"]


def test_what_a_crash_cut_off_ends_at_the_last_sign_of_life(settings: Any) -> None:
    settings.records.with_name("vnum.csv.1").write_text(answered("moved") + answered("over"))
    settings.records.write_text(ended("over") + answered("a") + answered("b") + ended("a") + "ended,torn")
    settings.alive.touch()
    alive = settings.alive.stat().st_mtime
    RECORDS.cut(settings)
    RECORDS.cut(settings)
    lines = settings.records.read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[4:]] == [["ended", "torn"], ["ended", "moved"], ["ended", "b"]]
    last = lines[-1].split(",")
    assert abs(datetime.fromisoformat(last[8]).timestamp() - alive) < 0.001
    assert last[9:] == ["0", "27"]


def spool(settings: Any, call_id: str, *kinds: str) -> None:
    """As Kamailio writes: times in seconds since 1970."""
    head = f"{call_id},18400913965,7576,13800000000,1791172874.020999"
    lines = {
        "answered": f"answered,{head},,1791172896.500000,,,\n",
        "ended": f"ended,{head},1791172881.100000,1791172896.500000,1791172961.400000,1,16\n",
    }
    for kind in kinds:
        (settings.spool / f"{call_id}.{kind}").write_text(lines[kind])


def test_what_is_spooled_is_gathered_and_posted(spooling: Any, taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    spool(spooling, "a", "answered", "ended")
    (spooling.spool / "torn.ended").write_text("ended,torn")
    assert post(spooling, monkeypatch) == []
    assert taker.taken == ["a"]
    assert spooling.records.read_text().splitlines() == [
        "answered,a,18400913965,7576,13800000000,2026-10-05T04:01:14.020Z,,2026-10-05T04:01:36.500Z,,,",
        ended("a").strip(),
    ]
    assert [file.name for file in spooling.spool.iterdir()] == ["torn.ended"]


def test_a_line_that_was_gathered_twice_is_no_call_that_was_cut_off(spooling: Any) -> None:
    spool(spooling, "a", "answered", "ended")
    RECORDS.gather(spooling)
    spool(spooling, "a", "answered")
    spool(spooling, "b", "answered")
    spooling.alive.touch()
    RECORDS.cut(spooling)
    ends = [line.split(",")[1] for line in spooling.records.read_text().splitlines() if line.startswith("ended")]
    assert ends == ["a", "b"]


def test_a_crash_right_after_the_answer_costs_nothing(settings: Any) -> None:
    settings.records.write_text(answered("a"))
    RECORDS.cut(settings)
    record = RECORDS.record_of(settings.records.read_bytes().splitlines()[-1])
    assert record["answer_time"] == record["release_time"]


def test_its_file_is_for_its_owner_only(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RECORDS.sys, "argv", ["x", "cut", str(settings.records.with_name("vnum_settings.conf"))])
    RECORDS.main()
    assert settings.records.stat().st_mode & 0o777 == 0o600


def test_the_file_says_the_same_as_what_is_posted() -> None:
    """To the millisecond: so that one after the other is a duplicate."""
    (row,) = CallFile().feed((ended("a")).encode())
    posted = RECORDS.record_of(ended("a").encode())
    assert row.call is not None
    for name, value in posted.items():
        found = getattr(row.call, name)
        assert (found.astimezone(UTC) if isinstance(found, datetime) else found) == (
            datetime.fromisoformat(value) if name.endswith("_time") else value
        )
