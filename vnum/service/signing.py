"""Signed requests: the secret never travels, a request is good for minutes, and once.

The signature is HMAC-SHA256 with the key's secret over six lines, joined by line feeds: method, path and query as they
stand in the request line, timestamp, nonce, and SHA-256 of the body in hex.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from vnum.model.refusals import Code, Refused
from vnum.service.group import Group
from vnum.service.keys import Caller, KnownKeys
from vnum.store import keys as stored
from vnum.store.database import Database, trying_again

WINDOW = timedelta(minutes=5)
"""How far a timestamp may be off PostgreSQL's clock, both ways."""

_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_NONCE = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_EPOCH_MS = re.compile(r"[0-9]{13}", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Signed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request as far as it is signed. digest = SHA-256 of its body, in hex; path and query as they came."""

    key_id: str
    timestamp: str
    nonce: str
    signature: str
    method: str
    path: str
    query: str
    digest: str

    @property
    def text(self) -> bytes:
        """What is signed."""
        lines = (self.method, self.path, self.query, self.timestamp, self.nonce, self.digest)
        return "\n".join(lines).encode("utf-8", "surrogateescape")


class _Nonce(msgspec.Struct, frozen=True):
    key_id: str
    nonce: str
    until: datetime


class Signing:
    """Whether each nonce is new, PostgreSQL decides: what Redis forgets would let requests be sent again."""

    def __init__(self, database: Database, keys: KnownKeys) -> None:
        self._database = database
        self._keys = keys
        self._nonces = Group(self._take, lanes=2)

    async def check(self, signed: Signed, *, only_known: bool = False) -> Caller:
        """Who signed it. Raises Refused: signature_invalid, timestamp_out_of_range, nonce_reused, overloaded.

        One code for an unknown key, a wrong signature and a malformed one: it tells nobody which.
        """
        if not (_NONCE.fullmatch(signed.nonce) and _SIGNATURE.fullmatch(signed.signature)):
            raise _invalid()
        at = _instant(signed.timestamp)
        caller = await self._keys.check_signed(
            signed.key_id, signed.text, bytes.fromhex(signed.signature), only_known=only_known
        )
        if caller is None:
            raise _invalid()
        now = self._keys.pace.now()
        if abs(at - now) > WINDOW:
            raise Refused(
                Code.TIMESTAMP_OUT_OF_RANGE,
                f"the timestamp is off by more than {WINDOW.seconds // 60} minutes; here it is {now:%FT%T%z}",
            )
        if not await self._nonces.submit(_Nonce(signed.key_id, signed.nonce, at + WINDOW)):
            raise Refused(Code.NONCE_REUSED, "this nonce was used before; make a new one for each request")
        return caller

    async def _take(self, batch: Sequence[_Nonce]) -> list[bool]:
        """One statement for all. Of equal ones in a batch the first may be good."""
        first: dict[tuple[str, str], int] = {}
        for n, each in enumerate(batch):
            first.setdefault((each.key_id, each.nonce), n)
        columns = zip(*((*pair, batch[n].until) for pair, n in first.items()), strict=True)
        keys, nonces, until = (list(column) for column in columns)
        good: set[tuple[str, str]] = set()
        async for attempt in trying_again():
            with attempt:
                rows = await stored.take_nonces(self._database, keys, nonces, until)
                good = {(row["key_id"], row["nonce"]) for row in rows}
        return [
            first[each.key_id, each.nonce] == n and (each.key_id, each.nonce) in good for n, each in enumerate(batch)
        ]


def _instant(timestamp: str) -> datetime:
    """RFC 3339 with its offset, or milliseconds since 1970. Raises Refused (signature_invalid)."""
    if not timestamp.isascii():  # bytes that are no text come as halves of pairs, which msgspec takes for a fault
        raise _invalid()
    if _EPOCH_MS.fullmatch(timestamp):
        return datetime.fromtimestamp(int(timestamp) / 1000, UTC)
    try:
        return msgspec.convert(timestamp, _Instant)
    except msgspec.ValidationError:
        raise _invalid() from None


def _invalid() -> Refused:
    return Refused(
        Code.SIGNATURE_INVALID,
        "the request is not signed by a key in force; what is signed, and how, stands in the API's page under Signing",
    )
