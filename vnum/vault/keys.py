"""The master key and its file."""

import os
import secrets
import stat
from pathlib import Path

import msgspec

KEY_BYTES = 32


class KeyFileError(Exception):
    """The key file can not be used; says what is wrong and what to do. Never holds key bytes."""


class MasterKey(msgspec.Struct, frozen=True):
    """`key_id` stands beside every ciphertext (1 to 32767)."""

    key_id: int
    secret: bytes

    def __repr__(self) -> str:
        return f"MasterKey(key_id={self.key_id})"


def open_key_file(path: Path, *, may_make: bool) -> MasterKey:
    """Reads `<key id>:<64 hex digits>`; makes the file with mode 0600 if it is missing and `may_make`.

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
    return _parse(path)


def make_key_file(path: Path) -> None:
    """Writes a fresh key; whole or not at all, and never over another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"1:{secrets.token_hex(KEY_BYTES)}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process made it at the same moment: its key counts
    finally:
        draft.unlink()


def _parse(path: Path) -> MasterKey:
    key_id, _, digits = path.read_text().strip().partition(":")
    try:
        key = MasterKey(int(key_id), bytes.fromhex(digits))
    except ValueError:
        key = MasterKey(0, b"")
    if not 1 <= key.key_id <= 32767 or len(key.secret) != KEY_BYTES:
        raise KeyFileError(f"{path}: not a master key (one line, <key id>:<{2 * KEY_BYTES} hex digits>)")
    return key
