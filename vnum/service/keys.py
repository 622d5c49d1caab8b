"""API keys: who calls, in which role, and what he is tied to."""

import asyncio
import hmac
import re
import secrets
import time
from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

import msgspec
import structlog
from asyncpg import Record

from vnum.model.refusals import Code, Refused
from vnum.store import keys as stored
from vnum.store.database import Database, is_away

log = structlog.get_logger()

FRESH_S = 3.0
"""How long a look-up is believed: a revoked key works that much longer."""

STALE_S = 600.0
"""How long a key that was good is believed while PostgreSQL, where it would be revoked, does not answer."""

PATIENCE_S = 2.0
MOST_KNOWN = 10_000
LOOK_UPS = 2
"""Look-ups at a time: guessed keys can not take every connection."""

SECRET_BYTES = 20
_KEY = re.compile(r"vk_([0-9a-f]{12})_([0-9a-f]{40})", re.ASCII)
_NOBODY = bytes(sha256().digest_size)


class Role(StrEnum):
    PLATFORM = "platform"
    MERCHANT = "merchant"
    ISV = "isv"
    COURIER = "courier"
    FINANCE = "finance"
    SWITCH = "switch"
    ADMIN = "admin"


TIED_TO_MERCHANTS = frozenset({Role.MERCHANT, Role.ISV, Role.FINANCE})


Tie = Collection[str] | None
"""The merchants whose matters a key may see; None = all."""


def within(tie: Tie, merchant_id: str | None) -> list[str] | None:
    """The merchants asked for (None = all), as far as the key may see them; None = all."""
    if merchant_id is None:
        return None if tie is None else list(tie)
    return [merchant_id] if tie is None or merchant_id in tie else []


class Caller(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The holder of a key. `merchants`, `carrier` None = not tied."""

    key_id: str
    role: Role
    merchants: frozenset[str] | None = None
    carrier: str | None = None


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """`text` is what the caller sends. It is shown this once: only a hash of its secret half is kept."""

    key_id: str
    text: str

    def __repr__(self) -> str:
        return f"NewKey(key_id={self.key_id!r})"


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    key_id: str
    role: Role
    merchants: list[str] | None
    carrier: str | None
    note: str | None
    created_at: datetime
    revoked_at: datetime | None


class _Known(msgspec.Struct, frozen=True, gc=False):
    """What PostgreSQL said of a key id at an instant of the monotonic clock; caller None = no such key."""

    caller: Caller | None
    secret_hash: bytes
    read_at: float


class ApiKeys:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._good: dict[str, _Known] = {}
        self._unknown: dict[str, _Known] = {}
        self._look_ups = asyncio.Semaphore(LOOK_UPS)

    async def make(
        self,
        role: Role,
        *,
        merchants: Collection[str] | None = None,
        carrier: str | None = None,
        note: str | None = None,
    ) -> NewKey:
        """A new key: `vk_<key id>_<secret>`, 160 random bits. Raises Refused (invalid_request)."""
        if merchants is not None and role not in TIED_TO_MERCHANTS:
            raise Refused(Code.INVALID_REQUEST, f"a {role} key is not tied to merchants")
        if carrier is not None and role is not Role.COURIER:
            raise Refused(Code.INVALID_REQUEST, f"a {role} key is not tied to a carrier")
        key_id, secret = secrets.token_hex(6), secrets.token_hex(SECRET_BYTES)
        tied = None if merchants is None else sorted(set(merchants))
        await stored.add(self._database, key_id, _hash(secret), role, tied, carrier, note)
        return NewKey(key_id=key_id, text=f"vk_{key_id}_{secret}")

    async def check(self, text: str) -> Caller | None:
        """Whose key this is; None = nobody's. An unknown key costs what a wrong secret costs."""
        match = _KEY.fullmatch(text)
        if match is None:
            return None
        key_id, secret = match.groups()
        known = self._good.get(key_id)
        if known is None or time.monotonic() - known.read_at > FRESH_S:
            known = await self._look_up(key_id)
        return known.caller if hmac.compare_digest(known.secret_hash, _hash(secret)) else None

    async def revoke(self, key_id: str) -> bool:
        """False = there is no such key in force. Other processes follow within seconds (FRESH_S)."""
        revoked = await stored.revoke(self._database, key_id)
        self._good.pop(key_id, None)
        return revoked

    async def revoke_noted(self, note: str) -> None:
        """Ends every key that was made with this note."""
        await stored.revoke_noted(self._database, note)

    async def list(self) -> list[KeyInfo]:
        """Every key there ever was, without its secret."""
        return [msgspec.convert(dict(record), KeyInfo) for record in await stored.keys(self._database)]

    async def _look_up(self, key_id: str) -> _Known:
        """From PostgreSQL, unless another request has read it meanwhile."""
        async with self._look_ups:
            now = time.monotonic()
            for seen in (self._good, self._unknown):
                known = seen.get(key_id)
                if known is not None and now - known.read_at <= FRESH_S:
                    return known
            try:
                async with asyncio.timeout(PATIENCE_S):
                    known = _known(key_id, await stored.key(self._database, key_id), now)
            except Exception as trouble:
                if is_away(trouble) and (before := self._good.get(key_id)) and now - before.read_at <= STALE_S:
                    return before
                raise
            self._remember(key_id, known)
            return known

    def _remember(self, key_id: str, known: _Known) -> None:
        """Good keys are kept apart from the others, so that guesses do not push them out."""
        self._good.pop(key_id, None)
        self._unknown.pop(key_id, None)
        seen = self._unknown if known.caller is None else self._good
        if len(seen) >= MOST_KNOWN:
            seen.pop(next(iter(seen)))
        seen[key_id] = known


def _known(key_id: str, record: Record | None, now: float) -> _Known:
    if record is None:
        return _Known(None, _NOBODY, now)
    merchants = record["merchants"]
    caller = Caller(
        key_id=key_id,
        role=Role(record["role"]),
        merchants=None if merchants is None else frozenset(merchants),
        carrier=record["carrier"],
    )
    return _Known(caller, record["secret_hash"], now)


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
