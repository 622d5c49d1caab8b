"""What most commands need: settings, servers, an engine; and troubles told in a line instead of a traceback."""

import getpass
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar

import asyncpg
import click
import uvloop
from rich.console import Console

from vnum.cli.logs import set_up_logs as set_up_logs
from vnum.engine import Engine, Parts, open_engine
from vnum.finance import BillingRefusal
from vnum.model.acting import Acting, act
from vnum.model.masking import masked_text
from vnum.model.refusals import Refused, UnusableFile
from vnum.outside.addresses import Reach
from vnum.outside.gateway import GatewayError
from vnum.pool.redis_pool import PoolDown
from vnum.servers import Endpoints, ServerTrouble, open_servers
from vnum.service.route import Policy
from vnum.settings import Settings, SettingsError, read
from vnum.store.database import open_database
from vnum.store.migrate import migrate, missing
from vnum.vault import KeyFileError

P = ParamSpec("P")
R = TypeVar("R")

console = Console(markup=False, emoji=False)
"""What is printed holds others' words (reasons, names of files): brackets in them are no styles, and stop no table."""

TROUBLES = (
    SettingsError,
    ServerTrouble,
    KeyFileError,
    GatewayError,
    Refused,
    PoolDown,
    UnusableFile,
    asyncpg.PostgresError,
)


def command(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """Runs an async command on uvloop; expected troubles end it with a line and exit code 1."""
    return _run(function, 1)


def judging_command(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """The same, for a command whose exit code 1 is an answer: troubles end it with 2."""
    return _run(function, 2)


def _run(function: Callable[P, Coroutine[Any, Any, R]], exit_code: int) -> Callable[P, R]:
    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        act(Acting(f"operator:{_account()}"))
        try:
            return uvloop.run(function(*args, **kwargs))
        except BillingRefusal as refused:
            raise _Told(f"{refused.code}: {refused.message}", exit_code) from refused
        except TROUBLES as trouble:
            raise _Told(str(trouble), exit_code) from trouble
        except OSError as trouble:
            where = f"{trouble.filename}: " if trouble.filename else ""
            raise _Told(f"{where}{trouble.strerror or trouble}", exit_code) from trouble

    return run


def _account() -> str:
    """Whose hands are on the keyboard, as far as the machine knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


class _Told(click.ClickException):
    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance


@contextmanager
def replacing(out: Path) -> Iterator[BinaryIO]:
    """A file that is there when it is whole; until then, and if it never is, the one of before."""
    draft = out.with_name(f"{out.name}.part")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)


@asynccontextmanager
async def servers(*, level: str | None = "warning") -> AsyncIterator[tuple[Settings, Endpoints]]:
    """The servers that the settings name, or embedded ones for as long as the command runs.

    `level` None = as VNUM_LOG_LEVEL says.
    """
    settings = read()
    set_up_logs(level or settings.log_level)
    if settings.postgres_dsn is None and not settings.data_dir.exists():
        click.echo(f"new databases in {settings.data_dir} (VNUM_DATA_DIR)", err=True)
    async with open_servers(
        settings.data_dir,
        postgres_dsn=settings.postgres_dsn,
        postgres_admin_dsn=settings.postgres_admin_dsn,
        redis_url=settings.redis_url,
    ) as endpoints:
        yield settings, endpoints


@asynccontextmanager
async def engine(*, level: str = "warning") -> AsyncIterator[Engine]:
    """An engine for one command. Before a command that changes something is done, the audit has it."""
    async with servers(level=level) as (settings, endpoints):
        await bring_up(settings, endpoints)
        async with open_engine(parts(settings, endpoints)) as opened:
            context = click.get_current_context(silent=True)
            path = "" if context is None else context.command_path.partition(" ")[2]
            if context is not None and path not in READING:
                await opened.audit.note(f"vnum {path}", [_subject(context.params)])
            yield opened


READING = frozenset(
    {
        *("pool", "records reviews", "reconcile", "disputes", "bills", "usage", "retention show"),
        *("invoice draft", "invoice list", "invoice export", "invoice notes", "tariff list", "keys list"),
        *("calls show", "calls unrecorded"),
        *("webhooks list", "webhooks dead", "audit verify", "audit list", "callers list", "blacklist list"),
        "subject export",  # has an entry of its own, with what was told
    }
)
"""Commands that change nothing. Of every other one that opens an engine the audit tells who ran it, and on what."""

_SUBJECTS = (
    "key_id",
    "merchant_id",
    "period",
    "tariff_id",
    "review_id",
    "dispute_id",
    "number",
    "webhook_id",
    "caller_id",
    "blacklist_id",
)


def _subject(options: Mapping[str, Any]) -> str:
    """The ids that a command was given; no reasons, and no phones."""
    named = (f"{name}={options[name]}" for name in _SUBJECTS if options.get(name) is not None)
    return masked_text(" ".join(named)) or "-"


async def bring_up(settings: Settings, endpoints: Endpoints) -> None:
    """The embedded database is migrated by itself; the user's own only by `vnum migrate`."""
    if settings.embedded:
        await migrate(endpoints.postgres_admin_dsn, settings.schema)
        return
    database = await open_database(endpoints.postgres_dsn, settings.schema, connections=1)
    try:
        if names := await missing(database):
            raise SettingsError(f"the database lacks {', '.join(names)}: run `vnum migrate` first")
    finally:
        await database.close()


def parts(settings: Settings, endpoints: Endpoints) -> Parts:
    return Parts(
        postgres_dsn=endpoints.postgres_dsn,
        redis_url=endpoints.redis_url,
        key_file=settings.key_file,
        key_text=settings.master_key,
        key_command=settings.master_key_command,
        may_make_key=settings.embedded,
        schema=settings.schema,
        cells=settings.cells,
        postgres_connections=settings.postgres_connections,
        statement_timeout_s=settings.statement_timeout_s,
        policy=Policy(
            max_seconds=settings.max_call_seconds,
            calls=settings.calls,
            call_back=timedelta(hours=settings.call_back_hours),
            dials_per_minute=settings.dials_per_minute,
        ),
        rate_per_s=settings.rate_per_s,
        auth_failures_per_min=settings.auth_failures_per_min,
        keep=settings.keep,
        issuer=settings.issuer,
        issuer_name=settings.issuer_name,
        issuer_tax_no=settings.issuer_tax_no,
        fapiao_item=settings.fapiao_item,
        sms_gateway_url=settings.sms_gateway_url,
        sms_gateway_key_file=settings.sms_gateway_key_file,
        webhook_reach=Reach(settings.webhook_http),
        keep_deliveries_days=settings.keep_deliveries_days,
        pool_low_percent=settings.pool_low_percent,
    )
