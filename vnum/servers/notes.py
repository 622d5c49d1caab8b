"""What the owner of a running server tells those who would join it."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Where the server's socket is, and which programs it runs, in words."""

    socket_folder: Path
    source: str


def leave_note(path: Path, note: Note) -> int:
    """Writes the note and returns its locked descriptor, to be kept open for as long as the server may be joined.

    The kernel unlocks it when we die, at the very instant: our server, which then ends as well, may still answer for
    a while, and would be taken away from whoever joined it. Only who holds the server's lock may call this.
    """
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(descriptor, f"{note.socket_folder}\n{note.source}\n".encode())
    new.rename(path)
    return descriptor


def read_note(path: Path) -> Note | None:
    """None if nobody left a note, or who left it is gone."""
    try:
        with path.open(encoding="utf-8") as file:
            if not _is_locked(file.fileno()):
                return None
            folder, source = file.read().splitlines()
    except FileNotFoundError:
        return None
    return Note(socket_folder=Path(folder), source=source)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
