"""The master key's file: made once, for its owner's eyes only, and refused when others may read it."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vnum.vault import KeyFileError, make_key_file, open_key_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "below" / "master.key"


def test_a_missing_file_is_made_with_mode_0600(path: Path) -> None:
    key = open_key_file(path, may_make=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (key.key_id, len(key.secret)) == (1, 32)
    assert open_key_file(path, may_make=False) == key
    assert [entry.name for entry in path.parent.iterdir()] == ["master.key"], "no draft is left"


def test_a_missing_file_is_not_made_without_leave(path: Path) -> None:
    with pytest.raises(KeyFileError, match="no master key"):
        open_key_file(path, may_make=False)
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o644, 0o601])
def test_a_file_that_others_may_touch_is_refused(path: Path, mode: int) -> None:
    make_key_file(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        open_key_file(path, may_make=True)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_read(path: Path, mode: int) -> None:
    make_key_file(path)
    path.chmod(mode)
    assert open_key_file(path, may_make=False).key_id == 1


def test_many_at_once_make_one_key(path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: open_key_file(path, may_make=True), range(32)))
    assert len({key.secret for key in keys}) == 1


def test_a_key_is_never_written_over(path: Path) -> None:
    make_key_file(path)
    before = path.read_bytes()
    make_key_file(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1:",
        "1:zz",
        "1:" + "ab" * 31,
        "1:" + "ab" * 33,
        "0:" + "ab" * 32,
        "32768:" + "ab" * 32,
        "x:" + "ab" * 32,
        "-1:" + "ab" * 32,
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(KeyFileError, match="not a master key") as error:
        open_key_file(path, may_make=True)
    assert "abab" not in str(error.value)


def test_the_key_id_stands_in_the_file(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o600)
    path.write_text("32767:" + "0f" * 32 + "\n")
    assert open_key_file(path, may_make=False).key_id == 32_767
