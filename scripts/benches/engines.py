"""An engine on a fresh schema."""

import secrets
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from vnum.engine import Parts, open_engine
from vnum.servers import Endpoints
from vnum.service.hosts import NewHost
from vnum.service.merchants import NewMerchant
from vnum.store.migrate import migrate

CONNECTIONS = 8
HOSTS = 40
MERCHANTS = 20


@asynccontextmanager
async def engine_on(endpoints: Endpoints, folder: Path, hosts: int = HOSTS):
    """A fresh schema with merchants and hosts."""
    schema = f"bench_{secrets.token_hex(4)}"
    await migrate(endpoints.postgres_admin_dsn, schema)
    parts = Parts(
        postgres_dsn=endpoints.postgres_dsn,
        redis_url=endpoints.redis_url,
        key_file=folder / "key",
        schema=schema,
        postgres_connections=CONNECTIONS,
    )
    async with open_engine(parts) as engine:
        for n in range(MERCHANTS):
            await engine.merchants.add(NewMerchant(merchant_id=f"m{n}", name=f"m{n}"))
        for n in range(hosts):
            await engine.hosts.add(NewHost(host=f"184{n:08d}"))
        yield engine
        await engine.pool.drop()
    admin = await asyncpg.connect(endpoints.postgres_admin_dsn)
    await admin.execute(f"DROP SCHEMA {schema} CASCADE")
    await admin.close()
