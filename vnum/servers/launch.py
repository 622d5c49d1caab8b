"""Becomes a server that cannot outlive its parent.

Run as `python -I -S launch.py`; nothing but its exit codes is imported.

    launch.py PARENT_PID DEATH_SIGNAL ACCOUNT PROGRAM [ARGUMENT...]
    launch.py PARENT_PID DEATH_SIGNAL ACCOUNT --readable PATH [PATH...]

ACCOUNT is who the program runs as:
    same            whoever calls
    namespace:UID   a new user namespace, in which the caller alone exists, under the number UID: PostgreSQL
                    refuses to run as number 0, yet files stay the caller's and folders of mode 0700 stay open
    UID:GID         that user (only root can)

--readable starts nothing: it prints the paths that the account cannot reach, one a line.

It uses nothing but the standard library, so that it starts in a few milliseconds and needs no package path.
"""

import ctypes
import os
import stat
import sys

PARENT_GONE = 96
ACCOUNT_REFUSED = 97
NOT_READABLE = 98
NOT_STARTED = 99

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Returns an exit code only when it could not become the program."""
    parent, death_signal, account, program, *rest = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        become(account, libc)
    except OSError as trouble:
        print(f"launch: cannot run as {account}: {trouble}", file=sys.stderr)
        return ACCOUNT_REFUSED
    # After the change of account, never before: a change of credentials clears the death signal.
    libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != int(parent):
        return PARENT_GONE  # it died before the signal was set, so none would ever come
    return show_unreadable(rest) if program == "--readable" else execute(program, rest)


def become(account: str, libc: ctypes.CDLL) -> None:
    if account == "same":
        return
    kind, _, number = account.partition(":")
    if kind == "namespace":
        enter_namespace(int(number), libc)
    else:
        os.setgroups([])
        os.setgid(int(number))
        os.setuid(int(kind))


def enter_namespace(uid: int, libc: ctypes.CDLL) -> None:
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are refused here")
    # The kernel takes a group map from an ordinary user only once setgroups() is given up.
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{uid} {outer_uid} 1")
    write("/proc/self/gid_map", f"{uid} {outer_gid} 1")


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def show_unreadable(paths: list[str]) -> int:
    unreadable = [path for path in paths if not is_readable(path)]
    print("\n".join(unreadable))
    return NOT_READABLE if unreadable else 0


def is_readable(path: str) -> bool:
    """A folder need only be entered; a program is read and run; anything else is read."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    if stat.S_ISDIR(mode):
        return os.access(path, os.X_OK)
    return os.access(path, os.R_OK | (os.X_OK if mode & 0o111 else 0))


def execute(program: str, rest: list[str]) -> int:
    try:
        os.execv(program, [program, *rest])  # noqa: S606 - the caller's own choice of program
    except OSError as trouble:
        print(f"launch: cannot start {program}: {trouble}", file=sys.stderr)
    return NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
