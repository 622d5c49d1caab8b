"""The master key out of a file or out of the environment: `<key id>:<64 hex digits>`."""

import os
import re
import secrets
import stat
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vnum.vault.data_keys import KEY_BYTES

MOST_ID = 32767
_DIGITS = re.compile(rf"[0-9a-fA-F]{{{2 * KEY_BYTES}}}")


class KeyFileError(Exception):
    """The master key can not be used; says what is wrong and what to do. Never holds key bytes."""


class MasterKey(msgspec.Struct, frozen=True):
    """`key_id` tells it from the ones before and after it (1 to 32767)."""

    key_id: int
    secret: bytes

    def __repr__(self) -> str:
        return f"MasterKey(key_id={self.key_id})"


def derive(key: MasterKey, use: bytes) -> bytes:
    """A key for one use (HKDF, RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"vnum " + use).derive(key.secret)


def open_key_file(path: Path, *, may_make: bool) -> MasterKey:
    """Reads the key; makes the file with mode 0600 if it is missing and `may_make`.

    A file that others may read is refused: whoever holds it can read every phone.
    """
    if not path.exists():
        if not may_make:
            raise KeyFileError(
                f"{path}: no master key there; put back the one that this database was sealed with, "
                f"or for a new database make one: `vnum keys master {path}`"
            )
        make_key_file(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise KeyFileError(f"{path}: readable by others; run chmod 600 on it")
    return parse_key(path.read_text(), str(path))


def make_key_file(path: Path, key_id: int = 1) -> None:
    """Writes a fresh key; whole or not at all, and never over another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"{key_id}:{secrets.token_hex(KEY_BYTES)}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process made it at the same moment: its key counts
    finally:
        draft.unlink()


def parse_key(text: str, where: str) -> MasterKey:
    """`where` names the place in the error, which repeats nothing of the text."""
    key_id, _, digits = text.strip().partition(":")
    if re.fullmatch(r"[0-9]{1,5}", key_id) and 1 <= int(key_id) <= MOST_ID and _DIGITS.fullmatch(digits):
        return MasterKey(int(key_id), bytes.fromhex(digits))
    raise KeyFileError(f"{where}: not a master key (one line, <key id>:<{2 * KEY_BYTES} hex digits>)")
