"""API keys: who calls, in which role, and what he is tied to. How keys are made and changed: `key_ring`."""

import asyncio
import hmac
import math
import re
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

import msgspec
from asyncpg import Record

from vnum.service.clock import Clock, Pace
from vnum.store import keys as stored
from vnum.store.database import Database, is_away
from vnum.vault import Vault

FRESH_S = 3.0
"""How long a look-up is believed: a revoked key that is not tied works that much longer in other processes. What a
tied one may see is asked again with each connection (`vnum.store.database`)."""

STALE_S = 600.0
"""How long a key that was good is believed while PostgreSQL, where it would be revoked, does not answer."""

PATIENCE_S = 2.0
MOST_KNOWN = 10_000
LOOK_UPS = 2
"""Look-ups at a time: guessed keys can not take every connection. As many renew what is known and was proved: these
wait for no guesses."""

SECRET_BYTES = 20
SIGNING = b"signing"
"""What the vault seals the secrets of signed keys for."""

_KEY = re.compile(r"vk_([0-9a-f]{12})_([0-9a-f]{40})", re.ASCII)
_KEY_ID = re.compile(r"[0-9a-f]{12}", re.ASCII)
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
    """The holder of a key. `merchants`, `carrier` None = not tied; an isv is always tied, to who granted him so.

    rate_per_s: requests a second; 0 = any number, None = as the settings say.
    """

    key_id: str
    role: Role
    merchants: frozenset[str] | None = None
    carrier: str | None = None
    rate_per_s: int | None = None


class _Secret(msgspec.Struct, frozen=True, gc=False):
    """What a secret is compared with: its hash, or of a signed key itself. ends_at None = with the key."""

    value: bytes
    ends_at: datetime | None

    def __repr__(self) -> str:
        return f"_Secret(ends_at={self.ends_at!r})"


class _Known(msgspec.Struct, frozen=True):
    """What PostgreSQL said of a key id at an instant of the monotonic clock; caller None = no such key in force."""

    caller: Caller | None
    signed: bool
    secrets: Sequence[_Secret]
    read_at: float
    used: bool = False


_NO_SECRETS = (_Secret(_NOBODY, None),)
_STRANGER = _Known(None, False, _NO_SECRETS, -math.inf)


class KnownKeys:
    """Checks what callers send against what PostgreSQL said a moment ago."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self.pace = Pace(clock)
        self._good: dict[str, _Known] = {}
        self._unknown: dict[str, _Known] = {}
        self._changes = 0
        self._look_ups = asyncio.Semaphore(LOOK_UPS)
        self._renewals = asyncio.Semaphore(LOOK_UPS)

    async def check(self, text: str, *, only_known: bool = False) -> Caller | None:
        """Whose key this is; None = nobody's.

        `only_known` = nothing is looked up for who was not good a moment ago.
        """
        match = _KEY.fullmatch(text)
        if match is None:
            return None
        key_id, secret = match.groups()
        sent = sha256(secret.encode()).digest()
        return await self._proved(key_id, lambda known: self._matches(known, sent), only_known=only_known)

    async def check_signed(
        self, key_id: str, text: bytes, signature: bytes, *, only_known: bool = False
    ) -> Caller | None:
        """Who signed the text (HMAC-SHA256, raw); None = nobody who may. Does not look at time and nonce."""
        if not _KEY_ID.fullmatch(key_id):
            return None
        return await self._proved(key_id, lambda known: self._signs(known, text, signature), only_known=only_known)

    async def _proved(self, key_id: str, proves: Callable[[_Known], bool], *, only_known: bool) -> Caller | None:
        """Who is refused was looked up in this very request, whether there is such a key or not: the time of a refusal
        tells nothing of ids, and a secret that another process made a moment ago is good here."""
        known = self._good.get(key_id, _STRANGER)
        good, began = proves(known), time.monotonic()
        if not good and only_known:
            return None
        if not good or began - known.read_at > FRESH_S:
            known = await self._look_up(key_id, began, self._renewals if good else self._look_ups)
            good = proves(known)
        if not good:
            return None
        if not known.used:
            await self._use(key_id, known)
        return known.caller

    def forget(self, key_id: str) -> None:
        """Something about the key has changed: it is read again before it is believed again."""
        self._changes += 1
        self._good.pop(key_id, None)
        self._unknown.pop(key_id, None)

    def _signs(self, known: _Known, text: bytes, signature: bytes) -> bool:
        good = [
            hmac.compare_digest(hmac.digest(secret.value, text, "sha256"), signature) and self._stands(secret)
            for secret in (known.secrets if known.signed else _NO_SECRETS)
        ]
        return known.signed and any(good)

    def _matches(self, known: _Known, sent: bytes) -> bool:
        for secret in _NO_SECRETS if known.signed else known.secrets:
            if hmac.compare_digest(secret.value, sent):
                return self._stands(secret)
        return False

    def _stands(self, secret: _Secret) -> bool:
        return secret.ends_at is None or self.pace.now() < secret.ends_at

    async def _use(self, key_id: str, known: _Known) -> None:
        """Files that the key was used today: once a day, with a look-up. It is no reason to refuse anybody."""
        if self._good.get(key_id) is known:
            self._good[key_id] = msgspec.structs.replace(known, used=True)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await stored.used(self._database, key_id, self.pace.now().date())
        except Exception as trouble:
            if not is_away(trouble):
                raise

    async def _look_up(self, key_id: str, since: float, few: asyncio.Semaphore) -> _Known:
        """From PostgreSQL, unless another request has read it since then."""
        async with few:
            now = time.monotonic()
            for seen in (self._good, self._unknown):
                known = seen.get(key_id)
                if known is not None and known.read_at > since:
                    return known
            changes = self._changes
            try:
                async with asyncio.timeout(PATIENCE_S):
                    record = await stored.key(self._database, key_id, self._clock.simulated())
            except Exception as trouble:
                if is_away(trouble) and (before := self._good.get(key_id)) and now - before.read_at <= STALE_S:
                    return before
                raise
            known = self._known(key_id, record, now)
            if changes == self._changes:  # else it may be of before a change that counts at once
                self._remember(key_id, known)
            return known

    def _known(self, key_id: str, record: Record | None, now: float) -> _Known:
        if record is None:
            return _Known(None, False, _NO_SECRETS, now)
        self.pace.hear(record["server_now"])
        if record["expires_at"] is not None and record["expires_at"] <= record["server_now"]:
            return _Known(None, False, _NO_SECRETS, now)
        used = record["used_on"] is not None and record["used_on"] >= record["server_now"].date()
        return _Known(_caller(key_id, record), record["signed"], self._secrets(key_id, record), now, used)

    def _secrets(self, key_id: str, record: Record) -> tuple[_Secret, ...]:
        """The present one, and the former one while it has not ended."""
        expires_at, ends_at = record["expires_at"], record["former_ends_at"]
        names = ("secret_sealed", "former_sealed") if record["signed"] else ("secret_hash", "former_hash")
        present, former = (
            self._vault.open(record[name], key_id, SIGNING).encode()
            if record["signed"] and record[name] is not None
            else record[name]
            for name in names
        )
        if former is None:
            return (_Secret(present, expires_at),)
        return _Secret(present, expires_at), _Secret(former, min(ends_at, expires_at or ends_at))

    def _remember(self, key_id: str, known: _Known) -> None:
        """Good keys are kept apart from the others, so that guesses do not push them out."""
        self._good.pop(key_id, None)
        self._unknown.pop(key_id, None)
        seen = self._unknown if known.caller is None else self._good
        if len(seen) >= MOST_KNOWN:
            seen.pop(next(iter(seen)))
        seen[key_id] = known


def _caller(key_id: str, record: Record) -> Caller:
    return Caller(
        key_id=key_id,
        role=Role(record["role"]),
        merchants=_tie(record["merchants"], record["granted"]),
        carrier=record["carrier"],
        rate_per_s=record["rate_per_s"],
    )


def _tie(merchants: list[str] | None, granted: list[str] | None) -> frozenset[str] | None:
    """An isv's grants in force, less what his key was not made for; None = not tied."""
    if granted is None:
        return None if merchants is None else frozenset(merchants)
    return frozenset(granted) if merchants is None else frozenset(granted) & frozenset(merchants)
