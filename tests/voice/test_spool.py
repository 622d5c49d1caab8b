"""Records on disk: what a killed switch left is found by the next, sealed, once; and what vnum says settles them."""

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.voice.scripted import START, HandClock
from vnum.voice.contract import Mark, NoAnswer, Record, Settled
from vnum.voice.outbox import Unsettled
from vnum.voice.post import Records
from vnum.voice.spool import Kind, Spool, SpoolTrouble, Stage, open_spool

CALLER = "+8613712345678"


def record(call_id: str = "c-1", *, answered_s: float | None = None, ended_s: float | None = None) -> Record:
    """A call that began at START; with both instants, an ended one."""
    at = START if answered_s is None else START + timedelta(seconds=answered_s)
    return Record(
        call_id=call_id,
        host="18400913965",
        extension="0042",
        caller=CALLER,
        call_time=START,
        answer_time=None if answered_s is None else at,
        release_time=at if ended_s is None else START + timedelta(seconds=ended_s),
        release_dir=None if ended_s is None else 1,
        release_cause=None if ended_s is None else 16,
    )


def marked(call_id: str = "c-1") -> Mark:
    return Mark(call_id=call_id, mark="complaint", at=START)


def on_disk(folder: Path, kind: Kind = Kind.RECORD) -> tuple[int, int]:
    """What waits, and what was refused."""
    return len(list(folder.glob(f"*.{kind}"))), len(list(folder.glob(f"refused/*.{kind}")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "switch" / "spool"


# What was on disk when the switch was killed, its last heartbeat -> seconds charged (None = nobody answered), cause,
# whether it counts as recovered.
LEFT: dict[str, tuple[Stage, Record, float | None, float | None, int, bool]] = {
    "ringing": (Stage.INTENDED, record(), 9, None, 27, False),
    "talking": (Stage.ANSWERED, record(answered_s=5), 65, 60, 27, True),
    "answered after the last heartbeat": (Stage.ANSWERED, record(answered_s=5), 4, 0, 27, True),
    "no heartbeat yet": (Stage.ANSWERED, record(answered_s=5), None, 0, 27, True),
    "ended, not posted": (Stage.ENDED, record(answered_s=5, ended_s=35), 65, 30, 16, False),
}


@pytest.mark.parametrize(("stage", "left", "beat_s", "talked_s", "cause", "recovered"), LEFT.values(), ids=LEFT)
def test_the_next_switch_reports_what_a_killed_one_left(
    folder: Path, stage: Stage, left: Record, beat_s: float | None, talked_s: float | None, cause: int, recovered: bool
) -> None:
    killed = open_spool(folder)
    killed.write(stage, left, sync=False)
    if beat_s is not None:
        killed.beat(START + timedelta(seconds=beat_s))
    killed.close()

    spool = open_spool(folder)
    found = spool.find()
    (only,) = found.records
    assert found.recovered == int(recovered)
    assert only.release_cause == cause
    assert (only.call_id, only.caller, only.call_time) == (left.call_id, CALLER, START)
    talked = None if only.answer_time is None else (only.release_time - only.answer_time).total_seconds()
    assert talked == talked_s
    if stage is not Stage.ENDED:
        assert only.release_dir == 0

    again = spool.find()
    assert (again.records, again.recovered) == ([only], 0), "a second kill before it is posted changes nothing"


def test_a_file_is_rewritten_and_removed(folder: Path) -> None:
    spool = open_spool(folder)
    for stage in (Stage.INTENDED, Stage.ANSWERED, Stage.ENDED):
        spool.write(stage, record(answered_s=5, ended_s=9), sync=True)
    assert len(list(folder.glob("*.call"))) == 1
    spool.remove("c-1")
    spool.remove("c-1")
    assert spool.find().records == []


def test_nobody_reads_who_rang(folder: Path) -> None:
    spool = open_spool(folder)
    spool.write(Stage.ENDED, record(call_id=f"{CALLER}/../x", answered_s=5, ended_s=9), sync=True)
    for file in folder.rglob("*"):
        assert b"13712345678" not in file.read_bytes()
        assert "13712345678" not in file.name
        assert file.stat().st_mode & 0o077 == 0
    assert folder.with_name("spool.key").stat().st_mode & 0o077 == 0
    assert folder.with_name("spool.key").parent != folder, "who copies the folder has no key to it"


def test_a_file_that_can_not_be_opened_is_put_aside(folder: Path) -> None:
    spool = open_spool(folder)
    spool.write(Stage.ENDED, record(), sync=False)
    (file,) = folder.glob("*.call")
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    (folder / "0123.call").write_bytes(b"")
    found = spool.find()
    assert (found.records, found.unreadable) == ([], 2)
    assert len(list((folder / "refused").iterdir())) == 2


def test_a_file_of_one_call_is_not_taken_for_another(folder: Path) -> None:
    spool = open_spool(folder)
    spool.write(Stage.ENDED, record(), sync=False)
    (file,) = folder.glob("*.call")
    file.rename(folder / f"{'0' * 32}.call")
    assert spool.find().unreadable == 1


def test_one_switch_a_folder(folder: Path) -> None:
    first = open_spool(folder)
    with pytest.raises(SpoolTrouble, match="another switch"):
        open_spool(folder)
    first.close()
    open_spool(folder).close()


def _lose_key(folder: Path) -> None:
    folder.with_name("spool.key").unlink()


def _spoil_key(folder: Path) -> None:
    folder.with_name("spool.key").write_bytes(b"short")


@pytest.mark.parametrize(("spoil", "says"), [(_lose_key, "put it back"), (_spoil_key, "is no key")])
def test_records_without_their_key_are_not_thrown_away(folder: Path, spoil: Callable[[Path], None], says: str) -> None:
    spool = open_spool(folder)
    spool.write(Stage.ENDED, record(), sync=False)
    spool.close()
    spoil(folder)
    with pytest.raises(SpoolTrouble, match=says):
        open_spool(folder)
    assert len(list(folder.glob("*.call"))) == 1


def test_a_folder_that_can_not_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolTrouble, match="VNUM_SWITCH_SPOOL"):
        open_spool(tmp_path / "file" / "spool")


class Vnum:
    """Says to each record what it is told to say, in turn; an exception = no answer."""

    def __init__(self, *says: str | NoAnswer) -> None:
        self._says = list(says)
        self.got: list[list[str]] = []
        self.marks: list[Mark] = []

    async def report(self, records: list[Record]) -> list[Settled]:
        self.got.append([one.call_id for one in records])
        status, _, code = self._said().partition(" ")
        return [Settled(call_id=one.call_id, status=status, code=code or None) for one in records]

    async def mark(self, mark: Mark) -> Settled:
        self.marks.append(mark)
        status, _, code = self._said().partition(" ")
        return Settled(call_id=mark.call_id, status=status, code=code or None)

    def _said(self) -> str:
        said = self._says.pop(0) if len(self._says) > 1 else self._says[0]
        if isinstance(said, NoAnswer):
            raise said
        return said


def of(spool: Spool, vnum: Vnum) -> Records:
    return Records(spool, vnum, HandClock(), most_wait_s=0)


# What vnum says to a record -> whether it waits on, lies in `refused`, or is gone.
SAID: dict[str, str] = {
    "rated": "gone",
    "duplicate": "gone",
    "conflict record_conflict": "refused",
    "rejected no_binding": "refused",
    "rejected store_unavailable": "waits",
    "something_new": "waits",
}


@pytest.mark.parametrize(("says", "where"), SAID.items(), ids=SAID)
async def test_what_vnum_says_settles_a_record(folder: Path, says: str, where: str) -> None:
    spool = open_spool(folder)
    records = of(spool, Vnum(says))
    await records.end(record(answered_s=5, ended_s=9))
    if where == "waits":
        with pytest.raises(Unsettled):
            await records.post_once()
    else:
        await records.post_once()
    assert records.waiting == int(where == "waits")
    assert on_disk(folder) == (int(where == "waits"), int(where == "refused"))


async def test_a_record_is_sent_until_it_is_settled(folder: Path) -> None:
    down = [NoAnswer("timeout"), NoAnswer("status 503", 503), NoAnswer("status 401", 401), NoAnswer("status 404", 404)]
    vnum = Vnum(*down, "rejected store_unavailable", "rated")
    records = of(open_spool(folder), vnum)
    posting = asyncio.create_task(records.post())
    await records.end(record(answered_s=5, ended_s=9))
    async with asyncio.timeout(20):
        await records.until_settled()
    posting.cancel()
    assert vnum.got == [["c-1"]] * 6
    assert on_disk(folder) == (0, 0)


async def test_one_that_is_refused_holds_up_no_other(folder: Path) -> None:
    class Picky(Vnum):
        async def report(self, records: list[Record]) -> list[Settled]:
            return [
                Settled(call_id=one.call_id, status="rejected" if one.call_id == "c-2" else "rated") for one in records
            ]

    records = of(open_spool(folder), Picky("rated"))
    for name in ("c-1", "c-2", "c-3"):
        await records.end(record(name, answered_s=5, ended_s=9))
    await records.post_once()
    assert (records.waiting, on_disk(folder)) == (0, (0, 1))


async def test_many_records_go_in_parts(folder: Path) -> None:
    vnum = Vnum("rated")
    records = of(open_spool(folder), vnum)
    for number in range(120):
        await records.end(record(f"c-{number}", answered_s=5, ended_s=9))
    await records.post_once()
    assert [len(part) for part in vnum.got] == [100, 20]


async def test_a_full_disk_loses_no_record_of_a_running_switch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = open_spool(folder)
    vnum = Vnum("rated")
    records = of(spool, vnum)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(SpoolTrouble):
            await records.intend(record())
        with pytest.raises(SpoolTrouble):
            await records.answer(record(answered_s=5))
        await records.end(record(answered_s=5, ended_s=9))
    await records.post_once()
    assert vnum.got == [["c-1"]]


async def test_a_killed_switchs_calls_are_posted_by_the_next(folder: Path) -> None:
    killed = open_spool(folder)
    before = Records(killed, Vnum("rated"), HandClock())
    names = [f"c-{number}" for number in range(20)]
    for name in names:
        await before.intend(record(name))
        await before.answer(record(name, answered_s=5))
    await before.end(record(names[0], answered_s=5, ended_s=9))
    killed.close()

    vnum = Vnum(NoAnswer("timeout"), "rated")
    after = of(open_spool(folder), vnum)
    await after.recover()
    assert after.waiting == 20
    with pytest.raises(NoAnswer):
        await after.post_once()
    await after.post_once()
    assert sorted(vnum.got[1]) == sorted(names)
    assert on_disk(folder) == (0, 0)


def test_any_call_id_is_a_file(folder: Path) -> None:
    """The switch's own ids are tame; those of orders are vnum's, up to 256 characters of anything."""
    spool = open_spool(folder)
    odd = ["a" * 256, "../../etc/passwd", "c/1", "叫" * 100, "."]
    for call_id in odd:
        spool.write(Stage.ENDED, record(call_id), sync=False)
    assert {one.call_id for one in spool.find().records} == set(odd)
    assert {file.parent for file in folder.rglob("*.call")} == {folder}


# What vnum says to a mark -> whether it waits on, lies in `refused`, or is gone.
SAID_TO_MARKS: dict[str, tuple[str | NoAnswer, str]] = {
    "taken": ("marked", "gone"),
    "no such call": ("rejected call_not_found", "refused"),
    "away": (NoAnswer("timeout"), "waits"),
    "out of order": (NoAnswer("status 503", 503, "store_unavailable"), "waits"),
}


@pytest.mark.parametrize(("says", "where"), SAID_TO_MARKS.values(), ids=SAID_TO_MARKS)
async def test_what_vnum_says_settles_a_mark(folder: Path, says: str | NoAnswer, where: str) -> None:
    records = of(open_spool(folder), Vnum(says))
    await records.mark(marked())
    if where == "waits":
        with pytest.raises(NoAnswer):
            await records.post_once()
    else:
        await records.post_once()
    assert records.waiting == int(where == "waits")
    assert on_disk(folder, Kind.MARK) == (int(where == "waits"), int(where == "refused"))


async def test_a_mark_is_sent_until_it_is_settled(folder: Path) -> None:
    vnum = Vnum(NoAnswer("timeout"), NoAnswer("status 503", 503), NoAnswer("status 401", 401), "marked")
    records = of(open_spool(folder), vnum)
    posting = asyncio.create_task(records.post())
    await records.mark(marked())
    async with asyncio.timeout(20):
        await records.until_settled()
    posting.cancel()
    assert vnum.marks == [marked()] * 4
    assert on_disk(folder, Kind.MARK) == (0, 0)


async def test_a_killed_switchs_marks_are_posted_by_the_next(folder: Path) -> None:
    """Beside the record of the same call, which is a file of its own."""
    killed = open_spool(folder)
    before = Records(killed, Vnum("rated"), HandClock())
    await before.end(record(answered_s=5, ended_s=9))
    await before.mark(marked())
    killed.close()

    vnum = Vnum("rated", "marked")
    after = of(open_spool(folder), vnum)
    await after.recover()
    assert after.waiting == 2
    await after.post_once()
    assert (vnum.got, vnum.marks) == ([["c-1"]], [marked()])
    assert (after.waiting, on_disk(folder), on_disk(folder, Kind.MARK)) == (0, (0, 0), (0, 0))


async def test_a_mark_that_is_not_taken_holds_up_no_record(folder: Path) -> None:
    class OldVnum(Vnum):
        async def mark(self, mark: Mark) -> Settled:
            raise NoAnswer("status 404", 404, "not_found")

    records = of(open_spool(folder), OldVnum("rated"))
    posting = asyncio.create_task(records.post())
    await records.mark(marked("c-0"))
    await records.end(record(answered_s=5, ended_s=9))
    async with asyncio.timeout(20):
        await records.ended.settled.wait()
    posting.cancel()
    assert (on_disk(folder), on_disk(folder, Kind.MARK)) == ((0, 0), (1, 0))


async def test_a_full_disk_loses_no_mark_of_a_running_switch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vnum = Vnum("marked")
    records = of(open_spool(folder), vnum)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        await records.mark(marked())
    await records.post_once()
    assert vnum.marks == [marked()]


def test_a_mark_that_can_not_be_opened_is_put_aside(folder: Path) -> None:
    spool = open_spool(folder)
    spool.write_mark(marked())
    (file,) = folder.glob("*.mark")
    file.rename(folder / "0123.mark")
    spool.write_mark(marked())
    file.rename(file.with_suffix(".call"))  # of another kind
    found = spool.find()
    assert (found.records, found.marks, found.unreadable) == ([], [], 2)


def test_marks_without_their_key_are_not_thrown_away(folder: Path) -> None:
    spool = open_spool(folder)
    spool.write_mark(marked())
    spool.close()
    _lose_key(folder)
    with pytest.raises(SpoolTrouble, match="put it back"):
        open_spool(folder)
