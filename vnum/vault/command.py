"""A master key that is kept by a KMS: a command of the operator wraps and unwraps, and no process of ours holds it."""

import asyncio
import re
import shlex

from vnum.vault.data_keys import KEY_BYTES
from vnum.vault.keys import KeyFileError

COMMAND_ID = 0
TIMEOUT_S = 30.0
AT_A_TIME = 4
MOST_WRAPPED = 8192
MOST_SAID = 200
"""Characters of the command's own complaint that are passed on."""

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_SECRET = re.compile(r"[0-9a-zA-Z+/=_]{16,}")


class CommandMaster:
    """`command` as a shell would split it; no shell runs it. `wrap` or `unwrap` is its last argument, the key comes in
    hex on its standard input, and the answer in hex on its standard output, with exit code 0.

    A command that fails and one that was given another master key's work can not be told apart: both are told as
    failures, with what the command said, less whatever looks like a key.
    """

    def __init__(self, command: str, place: str, timeout_s: float = TIMEOUT_S) -> None:
        self.master_id = COMMAND_ID
        self.place = place
        self._timeout_s = timeout_s
        self._turn = asyncio.Semaphore(AT_A_TIME)
        try:
            self._argv = shlex.split(command)
        except ValueError:
            raise KeyFileError(f"{place}: can not be split into words; look at its quotes") from None
        if not self._argv:
            raise KeyFileError(f"{place}: names no program")

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        wrapped = await self._run("wrap", key)
        if key in wrapped:
            raise KeyFileError(f"{self.place}: `wrap` gave the key back as it was; it has to encrypt it")
        return wrapped

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes | None:
        key = await self._run("unwrap", wrapped)
        if len(key) != KEY_BYTES:
            raise KeyFileError(f"{self.place}: `unwrap` gave {len(key)} bytes, not {KEY_BYTES}")
        return key

    async def _run(self, verb: str, given: bytes) -> bytes:
        async with self._turn:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._argv,
                    verb,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
            except OSError as trouble:
                raise KeyFileError(f"{self.place}: can not be run: {trouble.strerror}") from None
            try:
                async with asyncio.timeout(self._timeout_s):
                    told, complaint = await process.communicate(given.hex().encode() + b"\n")
            except TimeoutError:
                raise KeyFileError(f"{self.place}: `{verb}` gave no answer within {self._timeout_s:g} s") from None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode:
            raise KeyFileError(f"{self.place}: `{verb}` failed with exit code {process.returncode}{_said(complaint)}")
        answer = told.decode(errors="replace").strip()
        if not _HEX.fullmatch(answer) or len(answer) > 2 * MOST_WRAPPED:
            raise KeyFileError(f"{self.place}: `{verb}` did not answer with a key in hex")
        return bytes.fromhex(answer)


def _said(complaint: bytes) -> str:
    """The last line of what a command complained of, without what may be a key."""
    lines = complaint.decode(errors="replace").strip().splitlines()
    if not lines:
        return ""
    plain = "".join(sign if sign.isprintable() else " " for sign in lines[-1])
    return f": {_SECRET.sub('...', plain)[:MOST_SAID]}"
