"""The embedded Valkey (or a system's Redis): its folder, its settings and how it is run."""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from vnum.servers.accounts import account_of
from vnum.servers.binaries import choose_redis
from vnum.servers.embedded import StopSteps
from vnum.servers.folders import VALKEY_SOCKET, Folders, check_owner, make_socket_folder
from vnum.servers.processes import Command
from vnum.servers.reach import within_reach


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedValkey:
    """Fills in `embedded.Embedded`."""

    folders: Folders
    name: str = "valkey"
    stop_steps: StopSteps = ((signal.SIGTERM, 30.0), (signal.SIGKILL, 10.0))

    async def prepare(self, lock: int) -> Command:
        self.folders.valkey.mkdir(mode=0o700, exist_ok=True)
        check_owner(self.folders.valkey)
        account = account_of(self.folders.valkey)
        binary = await asyncio.to_thread(lambda: within_reach(choose_redis(), account, self.folders))
        make_socket_folder(self.folders, self.name, account.files_of)
        return Command(
            program=binary.program,
            arguments=self._settings(),
            source=binary.source,
            account=account,
            folder=self.folders.valkey,
            log=self.folders.log(self.name),
            lock=lock,
            death_signal=signal.SIGTERM,
        )

    async def answers(self, socket_folder: Path) -> bool:
        client = redis.asyncio.Redis.from_url(url(socket_folder), socket_timeout=10, retry=Retry(NoBackoff(), 0))
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False  # not there yet, or still reading its file
        finally:
            await client.aclose()

    async def furnish(self, socket_folder: Path) -> bool:
        return await self.answers(socket_folder)

    def _settings(self) -> list[str]:
        # The append-only file alone: a snapshot besides would write everything twice.
        settings = {
            "--port": "0",
            "--unixsocket": str(self.folders.socket_folder(self.name) / VALKEY_SOCKET),
            "--unixsocketperm": "700",
            "--dir": str(self.folders.valkey),
            "--appendonly": "yes",
            "--appendfsync": "everysec",
            "--save": "",
            "--daemonize": "no",
        }
        return [word for pair in settings.items() for word in pair]


def url(socket_folder: Path) -> str:
    return f"unix://{quote(str(socket_folder / VALKEY_SOCKET), safe='/')}?db=0"
