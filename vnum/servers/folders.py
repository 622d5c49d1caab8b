"""The folders of the embedded servers, and what can be wrong with them before a server is started.

<data_dir>/postgres, <data_dir>/valkey   what the servers keep
<data_dir>/logs                          what they say
<data_dir>/run                           locks, notes about the running servers, sockets
"""

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vnum.servers.trouble import ServerTrouble

# sun_path holds 108 bytes with the closing zero; PostgreSQL's lock beside its socket is an ordinary file.
SOCKET_PATH_LIMIT = 107
FREE_BYTES_MIN = 200 * 1024 * 1024
FOLDER_ERRORS = {
    *(errno.EEXIST, errno.ENOTDIR),
    *(errno.ENOSPC, errno.EDQUOT),
    *(errno.EACCES, errno.EPERM, errno.EROFS),
}
POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """`data_dir` is absolute and free of links, so that every process derives the same paths from it."""

    data_dir: Path

    @property
    def postgres(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def valkey(self) -> Path:
        return self.data_dir / "valkey"

    @property
    def run(self) -> Path:
        return self.data_dir / "run"

    def log(self, server: str) -> Path:
        return self.data_dir / "logs" / f"{server}.log"

    def lock(self, server: str) -> Path:
        return self.run / f"{server}.lock"

    def note(self, server: str) -> Path:
        return self.run / f"{server}.note"

    def socket_folder(self, server: str) -> Path:
        """Inside `run`, or inside the runtime folder if a socket's path would be too long there (or hold a
        comma, which separates hosts in a DSN). It need not exist yet."""
        inside = self.run / server
        if len(os.fsencode(inside / POSTGRES_SOCKET)) < SOCKET_PATH_LIMIT and "," not in str(inside):
            return inside
        return self.runtime() / server

    def runtime(self) -> Path:
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"vnum-{os.geteuid()}-{digest}"


def folders_of(data_dir: Path) -> Folders:
    return Folders(data_dir=Path(os.path.abspath(data_dir)).resolve())


def make_folders(folders: Folders) -> None:
    """Creates what is missing, open to us alone. Raises ServerTrouble like `check_access`, or `disk_full`."""
    made = (folders.data_dir, folders.data_dir / "logs", folders.run)
    try:
        for folder in made:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as trouble:
        raise folder_trouble(folders.data_dir, trouble) from None
    for folder in made:
        check_access(folder)


def check_access(folder: Path) -> None:
    """Raises ServerTrouble `not_a_directory`, `no_permission` for a folder that exists."""
    if not folder.is_dir():
        raise folder_trouble(folder, NotADirectoryError(errno.ENOTDIR, "not a folder", str(folder)))
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise no_permission(folder, "this user may not read and write it")


def folder_trouble(folder: Path, trouble: OSError) -> ServerTrouble:
    """What the operating system's refusal means for a data folder."""
    if trouble.errno in (errno.EEXIST, errno.ENOTDIR):
        return ServerTrouble(
            "not_a_directory",
            f"{trouble.filename} is not a folder, so the data folder {folder} cannot be used.",
            "Move that file away, or set VNUM_DATA_DIR to another place.",
        )
    if trouble.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(folder, os.strerror(trouble.errno))
    return no_permission(folder, f"{trouble.filename or folder}: {trouble.strerror}")


def make_socket_folder(folders: Folders, server: str, owner: tuple[int, int] | None) -> None:
    """Creates the server's socket folder for its user alone. Raises ServerTrouble `path_too_long`, or
    `runtime_folder_taken`: in a shared temporary folder somebody may have been there first."""
    folder = folders.socket_folder(server)
    if len(os.fsencode(folder / POSTGRES_SOCKET)) >= SOCKET_PATH_LIMIT:
        raise ServerTrouble(
            "path_too_long",
            f"The path of a socket in {folder} is longer than the system allows ({SOCKET_PATH_LIMIT} bytes).",
            "Set VNUM_DATA_DIR or TMPDIR to a shorter path.",
        )
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    if folder.parent != folders.run:
        _check_ours(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner:
        # The server must pass through, but may not rename what is beside its own folder.
        folder.parent.chmod(0o711)
    give(folder, owner)


def give(folder: Path, owner: tuple[int, int] | None) -> None:
    """Hands a folder and all below it to a user; only root has somebody to hand it to."""
    if owner is None or folder.lstat().st_uid == owner[0]:
        return
    for parent, names, files in os.walk(folder):
        for name in (*names, *files):
            os.chown(os.path.join(parent, name), *owner, follow_symlinks=False)
    os.chown(folder, *owner, follow_symlinks=False)  # last, as it is the mark that all is done


def check_free_space(folder: Path) -> None:
    """Raises ServerTrouble `disk_full`. A first start needs about 60 MB, but a database has to grow."""
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_MIN:
        raise disk_full(folder, f"only {free // 2**20} MB are free, and {FREE_BYTES_MIN // 2**20} MB are needed")


def disk_full(folder: Path, why: str) -> ServerTrouble:
    return ServerTrouble(
        "disk_full",
        f"The disk of {folder} is full: {why}.",
        "Make room there, or set VNUM_DATA_DIR to another disk.",
    )


def check_owner(folder: Path) -> None:
    """Raises ServerTrouble `no_permission` if another user's server made this folder and we are not root."""
    owner = folder.stat().st_uid if folder.exists() else os.geteuid()
    if os.geteuid() not in (0, owner):
        raise no_permission(folder, f"it belongs to user number {owner}, and this is user number {os.geteuid()}")


def _check_ours(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise ServerTrouble(
            "runtime_folder_taken",
            f"{folder} was made by somebody else or is open to others, so no socket is put there.",
            "Remove it, or set TMPDIR to another folder.",
        )


def no_permission(folder: Path, why: str) -> ServerTrouble:
    return ServerTrouble(
        "no_permission",
        f"The data folder {folder} cannot be used: {why}.",
        "Give this user the right to it, or set VNUM_DATA_DIR to another place.",
    )
