"""What both checks of a user's own server share: where it is, who answers there, what to tell.

No message repeats a DSN, a URL or a driver's own text about one: a password may stand in any part of a
mistyped one.
"""

import asyncio
import os
import re
import socket
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from vnum.servers.trouble import ServerTrouble

CONNECT_LIMIT_S = 10.0
_KNOCK_LIMIT_S = 2.0
_HOSTS = re.compile(r"[\w.,:\-\[\]%]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an external server said about itself. `product` is PostgreSQL, Valkey or Redis.

    Of PostgreSQL: `superuser` = the user is one; `closed` = vnum's roles that he may not become; `unbound` = those whom
    row-level security does not hold.
    """

    product: str
    version: str
    superuser: bool = False
    closed: tuple[str, ...] = ()
    unbound: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """`reply` is None if nothing was said in time, empty if the other side hung up; `failure` is why nobody
    opened."""

    reply: bytes | None = None
    failure: str | None = None


def place(url: str) -> str | None:
    """Host and port, or the socket, for a message; empty if none is named.

    None if the text is so odd that a part of a password may stand where the host should be.
    """
    try:
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2] or parse_qs(parts.query).get("host", [""])[0]
    except ValueError:
        return None
    if "@" in parts.path + parts.query + parts.fragment:
        return None
    if parts.scheme == "unix":
        return unquote(parts.path)
    return hosts if not hosts or hosts.startswith("/") or _HOSTS.fullmatch(hosts) else None


def address(where: str, default_port: int, socket_name: str) -> str | tuple[str, int]:
    """The first of the hosts that `place` found, or the path of its socket."""
    first = where.split(",")[0]
    if first.startswith("/"):
        return f"{first}/{socket_name}" if socket_name else first
    host, _, port = first.rpartition(":") if re.search(r":\d+$", first) else (first, "", str(default_port))
    return host.strip("[]") or "localhost", int(port)


async def knock(target: str | tuple[str, int], *greetings: bytes) -> Knock:
    """Says each greeting on a connection of its own until one is replied to."""
    heard = Knock()
    for greeting in greetings:
        heard = await _greet(target, greeting)
        if heard.reply is not None or heard.failure:
            break
    return heard


async def _greet(target: str | tuple[str, int], greeting: bytes) -> Knock:
    opening = asyncio.open_unix_connection(target) if isinstance(target, str) else asyncio.open_connection(*target)
    try:
        async with asyncio.timeout(_KNOCK_LIMIT_S):
            reader, writer = await opening
    except OSError as trouble:
        return Knock(failure=reason(trouble))
    try:
        writer.write(greeting)
        async with asyncio.timeout(_KNOCK_LIMIT_S):
            return Knock(reply=await reader.read(64))
    except TimeoutError:
        return Knock()
    except OSError:
        return Knock(reply=b"")
    finally:
        writer.close()


def reason(trouble: BaseException) -> str:
    """An operating system's reason in words, without addresses."""
    match trouble:
        case TimeoutError():
            return "no answer in time"
        case socket.gaierror():
            return "no such host"
        case OSError() if trouble.errno:
            return os.strerror(trouble.errno).lower()
        case _:
            return "the connection failed"


def refused(code: str, setting: str, where: str, why: str, advice: str) -> ServerTrouble:
    return ServerTrouble(code, f"{setting} leads to {where or 'a server'}, but {why}.", advice)


def malformed(setting: str, example: str) -> ServerTrouble:
    return ServerTrouble(
        "malformed_address",
        f"{setting} cannot be understood.",
        f"It should look like {example}; characters such as @ / : # ? in a password must be percent-encoded.",
    )


def unreachable(code: str, setting: str, where: str, why: str) -> ServerTrouble:
    return ServerTrouble(
        code,
        f"{setting} leads to {where or 'a server'}, which cannot be reached: {why}.",
        f"Start that server, correct {setting}, or unset it to use the embedded server.",
    )


def stranger(code: str, product: str, setting: str, where: str) -> ServerTrouble:
    return ServerTrouble(
        code,
        f"{setting} leads to {where or 'a server'}: something listens there, but it is no {product} (or it "
        "insists on TLS). Another program has taken that address.",
        f"Correct {setting}, or stop that program.",
    )
