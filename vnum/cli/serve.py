"""`vnum serve`: the API, with as many workers as asked for on one port."""

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from tempfile import TemporaryDirectory

import click
from rich.table import Table

from vnum import meters
from vnum.api.deadlines import HttpLimits
from vnum.api.server import serve as serve_api
from vnum.cli.session import bring_up, command, console, parts, servers
from vnum.engine import Engine, open_engine
from vnum.model.beside import beside
from vnum.model.refusals import Refused
from vnum.servers import Endpoints
from vnum.service.keys import Role
from vnum.service.merchants import NewMerchant
from vnum.settings import Settings

BACKLOG = 1024
DEMO = "demo"
DEMO_SHOP = "demo-shop"
_WHAT_THEY_SEE = (
    "They are tied to no merchant and see all of them; the isv's sees {shop}, which is registered here, and those that "
    "grant it so: PUT /v1/merchants/{{merchant_id}}/grants/{isv}"
)
YOUNG = 50_000
"""So many more objects with references than before, and the garbage collector looks at them: a few hundred requests
under way have ten thousand, and hardly any of theirs needs it."""


@click.command()
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Processes that answer.", show_default=True)
@click.option("--demo", is_flag=True, help="Print a key of each role, good until the server stops.")
@click.option("--inherited", type=int, hidden=True, help="A worker: the listening socket it was given.")
@command
async def serve(workers: int, inherited: int | None, *, demo: bool) -> None:
    """Start the API (VNUM_HOST, VNUM_PORT) and, unless the settings name others, its servers. Stop it with Ctrl-C."""
    async with servers(level=None) as (settings, endpoints):
        if inherited is not None:
            await _worker(settings, endpoints, socket.socket(fileno=inherited))
            return
        await bring_up(settings, endpoints)
        with _listen(settings) as listening:
            async with open_engine(parts(settings, endpoints)) as engine, _demo_keys(engine, wanted=demo):
                if workers == 1:
                    async with _serving(engine, settings, listening):
                        _spare_collector()
                        _announce(settings, endpoints, workers)
                        await _until_stopped()
                    return
                with _children(workers, listening, settings, endpoints) as children:
                    _announce(settings, endpoints, workers)
                    await _until_stopped(children)


@asynccontextmanager
async def _serving(engine: Engine, settings: Settings, listening: socket.socket) -> AsyncIterator[None]:
    """What each worker does: answer, and deliver events (of several each takes the subscriptions no other is at)."""
    async with (
        serve_api(engine, settings.host, settings.port, sock=listening, limits=_limits(settings)),
        beside(engine.deliverer.run),
    ):
        yield


async def _worker(settings: Settings, endpoints: Endpoints, listening: socket.socket) -> None:
    """One of several; it stops with its parent, whose end closes its standard input."""
    async with (
        open_engine(parts(settings, endpoints)) as engine,
        _serving(engine, settings, listening),
    ):
        _spare_collector()
        asyncio.get_running_loop().add_reader(sys.stdin, lambda: os.kill(os.getpid(), signal.SIGTERM))
        await _until_stopped()


def _limits(settings: Settings) -> HttpLimits:
    return HttpLimits(
        body_s=settings.body_timeout_s, request_s=settings.request_timeout_s, proxy_hops=settings.proxy_hops
    )


def _spare_collector() -> None:
    """What is there when serving begins lives until it ends: the garbage collector need not walk over it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)


async def _until_stopped(children: "_children | None" = None) -> None:
    """Until a signal; or until a worker ends by itself, since fewer than were asked for are nobody's wish."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    if children is not None:
        children.watch(stopped)
    await stopped.wait()
    if children is not None and children.failed:
        raise click.ClickException(f"worker {children.failed} ended by itself; see the log above")


def _listen(settings: Settings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port), backlog=BACKLOG)
    except OSError as trouble:
        raise click.ClickException(
            f"cannot listen on {settings.host}:{settings.port}: {trouble.strerror}; "
            "set VNUM_PORT to a free port and VNUM_HOST to an address of this machine"
        ) from trouble


class _children:  # noqa: N801 - a context manager
    """Several workers, with the servers' addresses in their environment, and one folder for what they count."""

    def __init__(self, count: int, listening: socket.socket, settings: Settings, endpoints: Endpoints) -> None:
        self._count = count
        self._fd = listening.fileno()
        self._counts = TemporaryDirectory(prefix="vnum-meters-")
        self._environment = os.environ | {
            meters.FOLDER: self._counts.name,
            "VNUM_POSTGRES_DSN": endpoints.postgres_dsn,
            "VNUM_REDIS_URL": endpoints.redis_url,
        }
        if settings.key_place.is_file:
            self._environment["VNUM_MASTER_KEY_FILE"] = str(settings.key_file)
        self._running: list[subprocess.Popen[bytes]] = []
        self.failed: int | None = None

    def watch(self, stopped: asyncio.Event) -> None:
        """Stops the server when a worker ends by itself. uvloop keeps SIGCHLD, so a thread waits for each."""
        loop = asyncio.get_running_loop()

        def ended(child: subprocess.Popen[bytes]) -> None:
            if not stopped.is_set():
                self.failed = child.pid
                stopped.set()

        def wait(child: subprocess.Popen[bytes]) -> None:
            child.wait()
            with suppress(RuntimeError):  # the loop is closed: it stopped in the usual way
                loop.call_soon_threadsafe(ended, child)

        for child in self._running:
            threading.Thread(target=wait, args=(child,), daemon=True).start()

    def __enter__(self) -> "_children":
        arguments = [sys.executable, "-m", "vnum.cli", "serve", "--inherited", str(self._fd)]
        for _ in range(self._count):
            self._running.append(
                subprocess.Popen(  # noqa: S603 - ourselves
                    arguments, env=self._environment, stdin=subprocess.PIPE, pass_fds=[self._fd]
                )
            )
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._running:
            child.terminate()
        for child in self._running:
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=15)
            child.kill()
        self._counts.cleanup()


@asynccontextmanager
async def _demo_keys(engine: Engine, *, wanted: bool) -> AsyncIterator[None]:
    """A key of each role, printed once and revoked at the end."""
    await engine.keys.revoke_noted(DEMO)  # those of a server that was killed
    if not wanted:
        yield
        return
    made = {role: await engine.keys.make(role, note=DEMO) for role in Role}
    await _let_act(engine, made[Role.ISV].key_id)
    table = Table(title="demo keys: shown this once, good until this server stops")
    table.add_column("role")
    table.add_column("Authorization: Bearer", no_wrap=True)
    for role, key in made.items():
        table.add_row(role, key.text)
    console.print(table)
    said = _WHAT_THEY_SEE.format(shop=DEMO_SHOP, isv=made[Role.ISV].key_id)
    console.print(said, highlight=False, markup=False, soft_wrap=True)
    try:
        yield
    finally:
        for key in made.values():
            await engine.keys.revoke(key.key_id)


async def _let_act(engine: Engine, isv: str) -> None:
    """An isv sees nothing without a merchant's grant."""
    with suppress(Refused):  # it is there since the last time
        await engine.merchants.add(NewMerchant(merchant_id=DEMO_SHOP, name="Demo shop"))
    await engine.grants.give(DEMO_SHOP, isv)


def _announce(settings: Settings, endpoints: Endpoints, workers: int) -> None:
    console.print(f"PostgreSQL  {endpoints.postgres_source}", highlight=False, soft_wrap=True)
    console.print(f"Redis       {endpoints.redis_source}", highlight=False, soft_wrap=True)
    console.print(f"http://{settings.host}:{settings.port}  ({workers} workers); Ctrl-C stops it", highlight=False)
