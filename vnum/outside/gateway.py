"""The gateway that texts go out by: what it is told, and an adapter for one that takes JSON over HTTP."""

from pathlib import Path
from stat import S_IMODE
from typing import Protocol
from uuid import UUID

import msgspec

from vnum.outside.addresses import Reach, UrlRefused, check_url
from vnum.outside.client import Client, NoAnswer


class GatewayError(Exception):
    """The gateway's settings can not be used; says what is wrong and what to do."""


class Text(msgspec.Struct, frozen=True):
    """What a gateway is sent. A repeat bears the same `message_id`: it sends that once. `phone` in E.164."""

    message_id: UUID
    phone: str
    text: str
    template_id: str

    def __repr__(self) -> str:
        return f"Text({self.message_id})"


class Gateway(Protocol):
    """Another gateway is another class with these two."""

    async def send(self, text: Text) -> str | None:
        """None = it took the text; else why not, in a word or two."""

    async def close(self) -> None: ...


class HttpGateway:
    """POSTs each text as JSON, with the key as a bearer; 2xx = taken. Its answer is not looked at any further."""

    def __init__(self, url: str, key: str) -> None:
        try:
            check_url(url, Reach.ALLOW)
        except UrlRefused as refused:
            raise GatewayError(f"VNUM_SMS_GATEWAY_URL: {refused}") from None
        self._url = url
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        self._client = Client(Reach.ALLOW)

    async def send(self, text: Text) -> str | None:
        try:
            reply = await self._client.post(self._url, msgspec.json.encode(text), self._headers)
        except NoAnswer as trouble:
            return trouble.why
        return None if 200 <= reply.status < 300 else f"status {reply.status}"

    async def close(self) -> None:
        await self._client.close()


def open_gateway(url: str | None, key_file: Path | None) -> Gateway | None:
    """The gateway of the settings; None = there is none. Raises GatewayError."""
    if url is None and key_file is None:
        return None
    if url is None or key_file is None:
        raise GatewayError("VNUM_SMS_GATEWAY_URL and VNUM_SMS_GATEWAY_KEY_FILE go together")
    try:
        if S_IMODE(key_file.stat().st_mode) & 0o077:
            raise GatewayError(f"{key_file}: readable by others; run chmod 600 on it")
        key = key_file.read_text().strip()
    except OSError as trouble:
        raise GatewayError(f"{key_file}: {trouble.strerror}; VNUM_SMS_GATEWAY_KEY_FILE names it") from None
    if not key or not key.isascii() or not key.isprintable():
        raise GatewayError(f"{key_file}: a gateway's key is one line of printable ASCII")
    return HttpGateway(url, key)
