"""Who comes in: by a key that he sends, or by a signature; as often as he may."""

from hashlib import sha256
from ipaddress import IPv6Address
from typing import Final

from aiohttp import hdrs, web

from vnum.api.bodies import read_body
from vnum.api.deadlines import HttpLimits
from vnum.model.refusals import Code, Refused
from vnum.service.keys import Caller, KnownKeys, Role
from vnum.service.limits import Limits
from vnum.service.signing import Signed, Signing

KEY: Final = "X-Vnum-Key"
TIMESTAMP: Final = "X-Vnum-Timestamp"
NONCE: Final = "X-Vnum-Nonce"
SIGNATURE: Final = "X-Vnum-Signature"
CONTENT: Final = "X-Vnum-Content-SHA256"
"""SHA-256 of a body that is a file: it is signed before it is read, and held against what came at its end."""

DIGEST: Final = web.RequestKey("digest", str)
FORWARDED: Final = "X-Forwarded-For"
_UNAUTHORIZED: Final = frozenset({Code.UNAUTHORIZED, Code.SIGNATURE_INVALID})
_NO_BODY: Final = sha256().hexdigest()
_NETWORK: Final = 64


class Gate:
    def __init__(self, keys: KnownKeys, signing: Signing, limits: Limits, http: HttpLimits) -> None:
        self.http = http
        self._keys = keys
        self._signing = signing
        self._limits = limits

    async def caller(self, request: web.Request, roles: frozenset[Role], *, file: bool = False) -> Caller:
        """Raises Refused: unauthorized, signature_invalid, timestamp_out_of_range, nonce_reused, forbidden,
        rate_limited.

        Too many wrong keys from an address: there only keys that were good a moment ago are looked at until it
        pauses, so that one who guesses is slowed down and his neighbours behind the same address are not.
        """
        wary = self._limits.wary and self._limits.suspects(address_of(request, self.http.proxy_hops))
        header = request.headers.get(hdrs.AUTHORIZATION)
        if header is None:
            caller = await self._signer(request, wary=wary, file=file)
        else:
            scheme, _, text = header.partition(" ")
            found = await self._keys.check(text.strip(), only_known=wary) if scheme.lower() == "bearer" else None
            if found is None:
                self._limits.failed(address_of(request, self.http.proxy_hops))
                raise _unauthorized()
            caller = found
        if not self._limits.spend(caller):
            await self._limits.take(caller)
        if caller.role not in roles:
            allowed = ", ".join(sorted(roles))
            raise Refused(Code.FORBIDDEN, f"{_named(caller.role)} key may not call this; it is for {allowed}")
        return caller

    async def _signer(self, request: web.Request, *, wary: bool, file: bool) -> Caller:
        """A signed body is read before it is known whose it is; it is small, and has its time."""
        headers = request.headers
        if SIGNATURE not in headers:
            raise _unauthorized()
        digest = await self._digest(request, file=file)
        path, _, query = request.raw_path.partition("?")
        signed = Signed(
            key_id=headers.get(KEY, ""),
            timestamp=headers.get(TIMESTAMP, ""),
            nonce=headers.get(NONCE, ""),
            signature=headers[SIGNATURE],
            method=request.method,
            path=path,
            query=query,
            digest=digest,
        )
        try:
            caller = await self._signing.check(signed, only_known=wary)
        except Refused as refused:
            if refused.refusal.code in _UNAUTHORIZED:
                self._limits.failed(address_of(request, self.http.proxy_hops))
            raise
        if file:
            request[DIGEST] = digest
        return caller

    async def _digest(self, request: web.Request, *, file: bool) -> str:
        if file:
            return request.headers.get(CONTENT, "")
        if not request.body_exists:
            return _NO_BODY
        return sha256(await read_body(request, self.http.body_s)).hexdigest()


def address_of(request: web.Request, proxy_hops: int) -> str:
    """Where a request comes from: the peer, or what the outermost trusted proxy saw. Of IPv6 the network (/64), since
    whoever has one address there has them all; but an IPv4 address that is written as one is that (::ffff:1.2.3.4)."""
    address = request.remote or ""
    if proxy_hops:
        seen = ",".join(request.headers.getall(FORWARDED, ())).split(",")
        address = seen[-proxy_hops].strip() if len(seen) >= proxy_hops else address
    if ":" in address:
        try:
            six = IPv6Address(address.partition("%")[0])
        except ValueError:
            return address[:_NETWORK]
        return str(six.ipv4_mapped or int(six) >> (128 - _NETWORK))
    return address[:_NETWORK]


def _named(role: Role) -> str:
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"


def _unauthorized() -> Refused:
    return Refused(Code.UNAUTHORIZED, "send Authorization: Bearer and a key in force, or sign the request")
