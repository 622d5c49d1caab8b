"""The two servers for as long as a block runs: the user's own, or the embedded ones."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vnum.servers.embedded import Running, start_or_join
from vnum.servers.external_postgres import examine_postgres
from vnum.servers.external_redis import examine_redis
from vnum.servers.folders import folders_of, make_folders
from vnum.servers.postgres import EmbeddedPostgres
from vnum.servers.roles import APP_ROLE, OWNER_ROLE, dsn
from vnum.servers.trouble import ServerTrouble
from vnum.servers.valkey import EmbeddedValkey, url

POSTGRES_SETTING = "VNUM_POSTGRES_DSN"
POSTGRES_ADMIN_SETTING = "VNUM_POSTGRES_ADMIN_DSN"
REDIS_SETTING = "VNUM_REDIS_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where both servers are. `postgres_admin_dsn` is the owner's, only to migrate; the sources are words."""

    postgres_dsn: str
    postgres_admin_dsn: str
    redis_url: str
    postgres_source: str
    redis_source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """One server; `running` is None if it is the user's own."""

    address: str
    admin_address: str
    source: str
    running: Running | None = None


@asynccontextmanager
async def open_servers(
    data_dir: Path,
    *,
    postgres_dsn: str | None = None,
    postgres_admin_dsn: str | None = None,
    redis_url: str | None = None,
    postgres_settings: Mapping[str, str] | None = None,
    user_namespace: bool = True,
) -> AsyncIterator[Endpoints]:
    """Yields the servers that the user named, or else embedded ones on `data_dir`. Raises ServerTrouble.

    A server that the user named and that does not work is an error, never a reason to take another one.
    Embedded servers that another process runs on `data_dir` are joined, and left running. Those started here
    stop with the block; or with the thread that entered it, should the process be killed, so enter it from a
    thread that lives on. `postgres_settings` override those of the embedded server. `user_namespace=False`
    makes root hand PostgreSQL to `nobody` at once, as it does where namespaces are refused.
    """
    folders = folders_of(data_dir)
    if not (postgres_dsn and redis_url):
        make_folders(folders)
    embedded = EmbeddedPostgres(folders=folders, settings=postgres_settings or {}, user_namespace=user_namespace)
    postgres, pool = await _both(
        _open_postgres(embedded, postgres_dsn, postgres_admin_dsn),
        _open_redis(EmbeddedValkey(folders=folders), redis_url),
    )
    try:
        yield Endpoints(
            postgres_dsn=postgres.address,
            postgres_admin_dsn=postgres.admin_address,
            redis_url=pool.address,
            postgres_source=postgres.source,
            redis_source=pool.source,
        )
    finally:
        await _close(postgres, pool)


async def _both(first: Coroutine[None, None, _Opened], second: Coroutine[None, None, _Opened]) -> Sequence[_Opened]:
    """Both at once. If one fails, or we are cancelled meanwhile, neither is left running.

    Of two troubles the first one's is raised, whichever came sooner: the same fault is told in the same words.
    """
    tasks = [asyncio.create_task(first), asyncio.create_task(second)]
    try:
        await asyncio.wait(tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await _close(*_opened_by(tasks))
        raise
    troubles = [trouble for task in tasks if (trouble := task.exception()) is not None]
    if troubles:
        await _close(*_opened_by(tasks))
        raise troubles[0]
    return [task.result() for task in tasks]


def _opened_by(tasks: Sequence["asyncio.Task[_Opened]"]) -> list[_Opened]:
    return [task.result() for task in tasks if not task.cancelled() and task.exception() is None]


async def _close(*opened: _Opened) -> None:
    await asyncio.gather(*(server.running.close() for server in opened if server.running))


async def _open_postgres(embedded: EmbeddedPostgres, address: str | None, admin_address: str | None) -> _Opened:
    if address:
        await examine_postgres(address, POSTGRES_SETTING)
        if admin_address:
            await examine_postgres(admin_address, POSTGRES_ADMIN_SETTING)
        return _Opened(address=address, admin_address=admin_address or address, source=POSTGRES_SETTING)
    if admin_address:
        raise admin_dsn_alone()
    running = await start_or_join(embedded)
    return _Opened(
        address=dsn(running.socket_folder, APP_ROLE),
        admin_address=dsn(running.socket_folder, OWNER_ROLE),
        source=running.source,
        running=running,
    )


async def _open_redis(embedded: EmbeddedValkey, address: str | None) -> _Opened:
    if address:
        await examine_redis(address, REDIS_SETTING)
        return _Opened(address=address, admin_address=address, source=REDIS_SETTING)
    running = await start_or_join(embedded)
    here = url(running.socket_folder)
    return _Opened(address=here, admin_address=here, source=running.source, running=running)


def admin_dsn_alone() -> ServerTrouble:
    return ServerTrouble(
        "admin_dsn_alone",
        f"{POSTGRES_ADMIN_SETTING} is set but {POSTGRES_SETTING} is not.",
        "Set both, or neither to use the embedded server.",
    )
