"""The check of a Redis or Valkey that the user named."""

from collections.abc import Mapping

import redis.asyncio
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from vnum.servers import external
from vnum.servers.binaries import REDIS_MAJOR_MIN
from vnum.servers.external import Found, refused
from vnum.servers.trouble import ServerTrouble

_EXAMPLE = "redis://user:password@host:6379/0"


async def examine_redis(url: str, setting: str) -> Found:
    """`setting` is the name that the user knows the URL by. Raises ServerTrouble."""
    try:
        client = redis.asyncio.Redis.from_url(
            url,
            socket_connect_timeout=external.CONNECT_LIMIT_S,
            socket_timeout=external.CONNECT_LIMIT_S,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        raise external.malformed(setting, _EXAMPLE) from None
    try:
        return judge(await client.info("server"), setting)
    except (exceptions.RedisError, OSError) as trouble:
        raise await _trouble(trouble, url, setting) from None
    finally:
        await client.aclose()


def judge(info: Mapping[str, object], setting: str) -> Found:
    """Raises ServerTrouble `redis_version`.

    Valkey says redis_version 7.2.4, so that old clients trust it; its own number stands beside.
    """
    product = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    if int(version.split(".")[0]) < REDIS_MAJOR_MIN:
        raise ServerTrouble(
            "redis_version",
            f"{setting} leads to {product} {version}.",
            f"vnum needs Redis >= {REDIS_MAJOR_MIN} or any Valkey.",
        )
    return Found(product=product, version=version)


async def _trouble(trouble: Exception, url: str, setting: str) -> ServerTrouble:
    where = external.place(url) or ""
    if isinstance(trouble, exceptions.ConnectionError) and isinstance(trouble.__cause__, exceptions.RedisError):
        trouble = trouble.__cause__  # the driver wraps what the server says to its first commands
    match trouble:
        case exceptions.AuthenticationError() | exceptions.AuthorizationError() | exceptions.NoPermissionError():
            why, advice = "the server does not accept this user or password", "Correct them."
            return refused("redis_login", setting, where, why, advice)
        case exceptions.BusyLoadingError():
            why, advice = "the server is still reading its file", "Try again soon."
            return refused("redis_not_ready", setting, where, why, advice)
        case exceptions.ResponseError():
            why, advice = (
                "the server refused our first commands",
                f"vnum needs Redis >= {REDIS_MAJOR_MIN} or Valkey.",
            )
            return refused("redis_refused", setting, where, why, advice)
        case _:
            return await _no_connection(trouble, url, setting)


async def _no_connection(trouble: Exception, url: str, setting: str) -> ServerTrouble:
    where = external.place(url)
    if where is None:
        return external.malformed(setting, _EXAMPLE)
    heard = await external.knock(external.address(where, 6379, ""), b"PING\r\n")
    if heard.reply is not None and heard.reply[:1] not in (b"+", b"-"):
        return external.stranger("not_redis", "Redis", setting, where)
    return external.unreachable("redis_unreachable", setting, where, heard.failure or external.reason(trouble))
