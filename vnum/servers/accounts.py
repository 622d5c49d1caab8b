"""Who a server runs as. PostgreSQL refuses root; `launch.py` knows three ways, this module picks one."""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vnum.servers.launch import ACCOUNT_REFUSED, NOT_READABLE
from vnum.servers.trouble import ServerTrouble

LAUNCHER = Path(__file__).with_name("launch.py")
_OVERFLOW_UID = 65534  # stands for every unmapped user in a namespace, so it must not be ours there
_FAVOURITE_UID = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """`spec` is launch.py's ACCOUNT; `files_of` is (uid, gid) if the folders must belong to another user."""

    spec: str
    files_of: tuple[int, int] | None = None


SAME = Account(spec="same")


def account_of(folder: Path) -> Account:
    """Root keeps a folder that another user made before in that user's hands; nobody else can choose."""
    if os.geteuid() != 0 or not folder.exists() or folder.stat().st_uid == 0:
        return SAME
    owner = folder.stat()
    return Account(spec=f"{owner.st_uid}:{owner.st_gid}", files_of=(owner.st_uid, owner.st_gid))


def postgres_account(folder: Path, *, user_namespace: bool) -> Account:
    """The account for PostgreSQL with this data folder. Raises ServerTrouble `no_account`.

    A user without an entry in the user database (a container started under a bare number) needs a namespace
    too: initdb insists on a name.
    """
    account = account_of(folder)
    if account != SAME or (os.geteuid() != 0 and _is_known(os.geteuid())):
        return account
    namespace = Account(spec=f"namespace:{_uid_with_a_name()}")
    if user_namespace and unreadable(namespace, [folder.parent]) is not None:
        return namespace
    return _nobody()


def unreadable(account: Account, paths: Iterable[Path]) -> list[str] | None:
    """The paths that this account cannot reach; None if the account itself is refused here."""
    command = [*launch_words(account, signal.SIGKILL), "--readable", *map(str, paths)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30)  # noqa: S603 - our launcher
    if answer.returncode in (0, NOT_READABLE):
        return answer.stdout.splitlines() if answer.returncode else []
    if answer.returncode == ACCOUNT_REFUSED:
        return None
    raise ServerTrouble(
        "launcher_failed",
        f"{LAUNCHER} did not run: {answer.stderr.strip()}",
        "Check the installation of vnum.",
    )


def launch_words(account: Account, death_signal: signal.Signals) -> list[str]:
    """The command line up to, not including, the program."""
    return [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal)), account.spec]


def _nobody() -> Account:
    try:
        nobody = pwd.getpwnam("nobody")
        if os.geteuid() != 0:
            raise KeyError
    except KeyError:
        raise ServerTrouble(
            "no_account",
            f"PostgreSQL cannot run as user number {os.geteuid()}: it runs neither as root nor as a user "
            "without a name, and user namespaces are refused here.",
            "Start vnum as an ordinary user, or name a server in VNUM_POSTGRES_DSN.",
        ) from None
    return Account(spec=f"{nobody.pw_uid}:{nobody.pw_gid}", files_of=(nobody.pw_uid, nobody.pw_gid))


def _uid_with_a_name() -> int:
    """A number other than root's that the user database knows, as initdb looks itself up there."""
    known = {entry.pw_uid for entry in pwd.getpwall()} - {0, _OVERFLOW_UID}
    return _FAVOURITE_UID if not known or _FAVOURITE_UID in known else min(known)


def _is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
