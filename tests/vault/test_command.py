"""A KMS behind a command: what it must answer, and how its failures are told, without a key in them."""

import sys
from pathlib import Path

import pytest

from vnum.vault import CommandMaster, KeyFileError

KEY = bytes(range(32))
CONTEXT = b"vnum month 2026-10-01"
READ = "import sys; verb, given = sys.argv[-1], sys.stdin.readline().strip(); "


def master(tmp_path: Path, code: str, timeout_s: float = 30.0) -> CommandMaster:
    script = tmp_path / "with a blank.py"
    script.write_text(READ + code)
    return CommandMaster(f"{sys.executable} '{script}' --key alias/vnum", "kms", timeout_s)


async def test_the_key_goes_in_by_standard_input_and_nowhere_else(tmp_path: Path) -> None:
    out = tmp_path / "seen"
    code = f"""
open({str(out)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')
print(given[::-1].upper() if verb == 'wrap' else given[::-1])"""
    kms = master(tmp_path, code)
    wrapped = await kms.wrap(KEY, CONTEXT)
    assert wrapped == bytes.fromhex(KEY.hex()[::-1])
    assert await kms.unwrap(wrapped, CONTEXT) == KEY
    assert out.read_text() == "--key alias/vnum wrap\n--key alias/vnum unwrap\n"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("sys.exit(4)", "`wrap` failed with exit code 4"),
        ("print('no right to use', given, file=sys.stderr); sys.exit(1)", "exit code 1: no right to use ..."),
        ("pass", "did not answer with a key in hex"),
        ("print('xyz')", "did not answer with a key in hex"),
        ("print('ab' * 9000)", "did not answer with a key in hex"),
        ("print(given)", "gave the key back as it was"),
        ("print('00' + given)", "gave the key back as it was"),
        ("import signal; signal.pause()", "gave no answer within 0.5 s"),
    ],
)
async def test_a_failure_is_told_and_no_key(tmp_path: Path, code: str, told: str) -> None:
    with pytest.raises(KeyFileError) as error:
        await master(tmp_path, code, 0.5 if "pause" in code else 30.0).wrap(KEY, CONTEXT)
    assert told in str(error.value)
    assert KEY.hex()[:16] not in str(error.value)


async def test_what_is_unwrapped_has_the_length_of_a_key(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="gave 2 bytes, not 32"):
        await master(tmp_path, "print('abcd')").unwrap(b"x", CONTEXT)


@pytest.mark.parametrize(
    ("command", "told"),
    [("", "names no program"), ("'open", "look at its quotes"), ("/nowhere/kms", "can not be run")],
)
async def test_a_command_that_is_none(command: str, told: str) -> None:
    with pytest.raises(KeyFileError, match=told):
        await CommandMaster(command, "kms").wrap(KEY, CONTEXT)
