"""An HTTP client for URLs that others name: checked addresses, no redirects, small answers, short patience."""

import socket
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import aiohttp

from vnum.outside.addresses import Reach, UrlRefused, check_address, check_url

CONNECT_S: Final = 5.0
TOTAL_S: Final = 10.0
MOST_ANSWER: Final = 64 * 1024
"""How much of an answer is read; a longer one is cut off."""


class NoAnswer(Exception):
    """No HTTP answer was had; `why` is a word for people and logs: address_refused, timeout, tls, connection."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Reply:
    """An answer: its status and the beginning of its body."""

    __slots__ = ("body", "status")

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class Client:
    """Sends POSTs. The address is judged at the moment of connecting, so a name that resolves otherwise than when its
    URL was registered changes nothing. There are no proxies, no cookies, and no redirects."""

    def __init__(self, reach: Reach, *, connect_s: float = CONNECT_S, total_s: float = TOTAL_S) -> None:
        self._reach = reach
        self._timeout = aiohttp.ClientTimeout(total=total_s, connect=connect_s)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Raises NoAnswer."""
        try:
            check_url(url, self._reach)
            async with self._opened().post(
                url, data=body, headers=headers, allow_redirects=False, timeout=self._timeout
            ) as response:
                return Reply(response.status, await _beginning(response))
        except UrlRefused:
            raise NoAnswer("address_refused") from None
        except TimeoutError:
            raise NoAnswer("timeout") from None
        except aiohttp.ClientSSLError:
            raise NoAnswer("tls") from None
        except (aiohttp.ClientError, OSError, ValueError) as trouble:
            raise NoAnswer("address_refused" if _was_refused(trouble) else "connection") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, socket_factory=partial(_socket, self._reach))
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"User-Agent": "vnum"},
                trust_env=False,
            )
        return self._session


class _Refused(OSError):
    """What connecting raises for an address that is not allowed: another one of the name may be."""


def _socket(reach: Reach, addr_info: Any) -> socket.socket:
    family, kind, protocol, _, address = addr_info
    try:
        check_address(address[0].partition("%")[0], reach)
    except UrlRefused as refused:
        raise _Refused(str(refused)) from None
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setblocking(False)
    return made


def _was_refused(trouble: BaseException) -> bool:
    chain = [trouble, getattr(trouble, "os_error", None), trouble.__cause__, trouble.__context__]
    return any(isinstance(one, _Refused) for one in chain)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while len(body) < MOST_ANSWER and (piece := await response.content.read(MOST_ANSWER - len(body))):
        body += piece
    return bytes(body)
