"""Whether this process can serve."""

import asyncio

import msgspec
import structlog

from vnum.pool.redis_pool import PoolDown, RedisPool
from vnum.store import migrate as stored
from vnum.store.database import Database

log = structlog.get_logger()

PATIENCE_S = 2.0


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Without Redis binding goes on, more slowly: so that is told, and no reason to take no requests."""

    postgres: str
    migrated: bool
    redis: str

    @property
    def ready(self) -> bool:
        return self.migrated


class Health:
    def __init__(self, database: Database, pool: RedisPool) -> None:
        self._database = database
        self._pool = pool
        self._needed = {migration.name for migration in stored.needed()}

    async def look(self) -> Readiness:
        """Asks both servers, and waits for neither longer than two seconds."""
        applied, redis = await asyncio.gather(self._applied(), self._redis())
        migrated = applied is not None and applied >= self._needed
        return Readiness(postgres="down" if applied is None else "up", migrated=migrated, redis=redis)

    async def _applied(self) -> set[str] | None:
        """The migrations there are; None = PostgreSQL does not answer."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await stored.applied(self._database)
        except Exception as trouble:
            log.warning("postgres_not_ready", trouble=type(trouble).__name__)
            return None

    async def _redis(self) -> str:
        try:
            await self._pool.ping()
        except PoolDown:
            return "down"
        return "up"
