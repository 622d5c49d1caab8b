"""What `vnum doctor` says about the servers.

It looks and starts nothing: a server started for a look would be joined by a process that happens to start
meanwhile, and then be taken away from it.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from vnum.servers.doctor_embedded import examine_embedded
from vnum.servers.external import Found, place
from vnum.servers.external_postgres import examine_postgres
from vnum.servers.external_redis import examine_redis
from vnum.servers.findings import Finding, bad, good, warning
from vnum.servers.folders import FREE_BYTES_MIN, Folders, check_access, disk_full, folders_of
from vnum.servers.opening import POSTGRES_ADMIN_SETTING, POSTGRES_SETTING, REDIS_SETTING, admin_dsn_alone
from vnum.servers.trouble import ServerTrouble

_FOLDER = "data folder"
_MEGABYTE = 2**20


async def examine(
    data_dir: Path,
    *,
    postgres_dsn: str | None = None,
    postgres_admin_dsn: str | None = None,
    redis_url: str | None = None,
) -> list[Finding]:
    """Which servers are or would be used, and what is wrong with them. Takes what `open_servers` takes."""
    folders = folders_of(data_dir)
    findings: list[Finding] = []
    if postgres_dsn:
        findings += await _external_postgres(postgres_dsn, postgres_admin_dsn)
    elif postgres_admin_dsn:
        findings.append(bad("PostgreSQL", admin_dsn_alone()))
    if redis_url:
        findings += await _external_redis(redis_url)
    if postgres_dsn and redis_url:
        return findings
    findings += await asyncio.to_thread(lambda: list(_data_folder(folders)))
    if all(finding.ok for finding in findings if finding.name == _FOLDER):
        findings += await examine_embedded(folders, postgres=not postgres_dsn, redis=not redis_url)
    return findings


def _data_folder(folders: Folders) -> Iterator[Finding]:
    existing = next(path for path in (folders.data_dir, *folders.data_dir.parents) if path.exists())
    try:
        check_access(existing)
    except ServerTrouble as trouble:
        yield bad(_FOLDER, trouble)
        return
    yield good(_FOLDER, _size_in_words(folders.data_dir, existing))
    yield _free_space(existing, is_first_start=not folders.postgres.exists())


def _size_in_words(data_dir: Path, existing: Path) -> str:
    if existing != data_dir:
        return f"{data_dir} does not exist yet; the first start makes it."
    return f"{data_dir} takes {_bytes_below(data_dir) // _MEGABYTE} MB."


def _bytes_below(folder: Path) -> int:
    """What it takes on the disk. Files that vanish meanwhile, or that are not ours to see, do not count."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                continue
    return total


def _free_space(folder: Path, *, is_first_start: bool) -> Finding:
    free = shutil.disk_usage(folder).free
    message = f"{free // _MEGABYTE} MB are free on the disk of {folder}"
    if free >= FREE_BYTES_MIN:
        return good("disk space", f"{message}.")
    if is_first_start or free == 0:
        return bad("disk space", disk_full(folder, message))
    return warning("disk space", f"Only {message}.", "Make room before the servers have to stop.")


async def _external_postgres(dsn: str, admin_dsn: str | None) -> list[Finding]:
    try:
        found = await examine_postgres(dsn, POSTGRES_SETTING)
        admin = await examine_postgres(admin_dsn, POSTGRES_ADMIN_SETTING) if admin_dsn else None
    except ServerTrouble as trouble:
        return [bad("PostgreSQL", trouble)]
    findings = [_reached("PostgreSQL", POSTGRES_SETTING, found, dsn)]
    if admin_dsn and admin:
        findings.append(_reached("PostgreSQL, owner", POSTGRES_ADMIN_SETTING, admin, admin_dsn))
    if found.superuser:
        findings.append(_superuser())
    findings += [_closed(role) for role in found.closed] + [_unbound(role) for role in found.unbound]
    return findings


def _closed(role: str) -> Finding:
    return bad(
        f"PostgreSQL, {role}",
        ServerTrouble(
            "postgres_role",
            f"the user of {POSTGRES_SETTING} may not become {role}, in which requests are served.",
            f"As the owner: GRANT {role} TO that user (WITH SET TRUE from PostgreSQL 16 on).",
        ),
    )


def _unbound(role: str) -> Finding:
    return warning(
        f"PostgreSQL, {role}",
        f"{role} is a superuser or has BYPASSRLS, so row-level security holds nothing back from it.",
        f"ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS.",
    )


def _superuser() -> Finding:
    return warning(
        "PostgreSQL, role",
        f"{POSTGRES_SETTING} logs in as a superuser, so no privilege protects what is closed.",
        f"Name a role without rights of its own in {POSTGRES_SETTING}, and the owner in {POSTGRES_ADMIN_SETTING}.",
    )


async def _external_redis(url: str) -> list[Finding]:
    try:
        return [_reached("Redis", REDIS_SETTING, await examine_redis(url, REDIS_SETTING), url)]
    except ServerTrouble as trouble:
        return [bad("Redis", trouble)]


def _reached(name: str, setting: str, found: Found, url: str) -> Finding:
    return good(name, f"{setting}: {found.product} {found.version} at {place(url) or 'a server'} answers.")
