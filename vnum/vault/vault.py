"""Seals phones and names, and makes the keyed hashes by which they are compared and looked up."""

from collections.abc import Iterable
from datetime import date, datetime
from hashlib import blake2b
from os import urandom
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from vnum.vault.data_keys import DataKey, KeySource, Purpose, month_of
from vnum.vault.tokens import Tokens

_NONCE = 12


class SealBroken(Exception):
    """A ciphertext that this key did not make for this row."""


class KeyGone(Exception):
    """The key of this id, or of this month, was destroyed (or never was): what it sealed is nobody's any more."""


class Vault:
    """AES-256-GCM-SIV (RFC 8452): random nonces stay safe at billions of rows a key.

    A ciphertext is bound to the row and use it was made for: moved elsewhere, it does not open. What is sealed without
    a key id is sealed by the standing key; what lies in a month's rows, by the month's (`month`), whose id stands
    beside it.
    """

    def __init__(self, keys: Iterable[DataKey], source: KeySource) -> None:
        self._source = source
        self._seals: dict[int, AESGCMSIV] = {}
        self._months: dict[date, int | None] = {}
        self._destroyed: set[int] = set()
        self.take(keys)
        standing, index = (self._only(purpose) for purpose in (Purpose.STANDING, Purpose.INDEX))
        assert index.secret is not None
        assert standing.secret is not None
        self.tokens = Tokens(standing.secret)
        self.key_id = standing.key_id
        self._standing = self._seals[standing.key_id]
        self._hash_key = index.secret
        self._fingerprint = blake2b(key=self._hash_key, digest_size=16, person=b"phone")
        self._holder = blake2b(key=self._hash_key, digest_size=8, person=b"order")

    def take(self, keys: Iterable[DataKey]) -> None:
        """Knows these keys from now on; the destroyed ones among them no more."""
        self._keys = {key.key_id: key for key in keys}
        for key in self._keys.values():
            if key.month is not None:
                self._months[key.month] = None if key.secret is None else key.key_id
            if key.secret is None:
                self._seals.pop(key.key_id, None)
                self._destroyed.add(key.key_id)
            elif key.key_id not in self._seals and key.purpose is not Purpose.INDEX:
                self._seals[key.key_id] = AESGCMSIV(key.secret)

    def _only(self, purpose: Purpose) -> DataKey:
        (key,) = (key for key in self._keys.values() if key.purpose is purpose)
        return key

    async def refresh(self) -> None:
        """Reads the keys again: new ones, and those that were destroyed."""
        self.take(await self._source.read())

    async def know(self, *key_ids: int) -> None:
        """Before `open`: keys that another process made meanwhile are read."""
        if any(key_id not in self._seals and key_id not in self._destroyed for key_id in key_ids):
            await self.refresh()

    def opens(self, key_id: int) -> bool:
        """Whether what this key sealed can still be read."""
        return key_id in self._seals

    async def month(self, at: datetime) -> int:
        """The id of the key of the month of `at` (UTC), made if there is none yet. Raises KeyGone, KeyFileError."""
        key_id = (await self.months((at,)))[month_of(at)]
        if key_id is None:
            raise KeyGone(f"the key of {at:%Y-%m} was destroyed")
        return key_id

    async def months(self, instants: Iterable[datetime]) -> dict[date, int | None]:
        """The same for many; None = destroyed, so that nothing can be sealed for that month any more."""
        wanted = {month_of(at) for at in instants}
        if missing := wanted - self._months.keys():
            self.take(await self._source.make(missing))
        return {month: self._months[month] for month in wanted}

    def seal(self, text: str, row: UUID | str, use: bytes = b"phone", key_id: int | None = None) -> bytes:
        """nonce (12 bytes) + ciphertext + tag (16 bytes). Raises KeyGone."""
        nonce = urandom(_NONCE)
        return nonce + self._by(key_id).encrypt(nonce, text.encode(), _context(row, use))

    def open(self, sealed: bytes, row: UUID | str, use: bytes = b"phone", key_id: int | None = None) -> str:
        """What was sealed. Raises SealBroken, KeyGone."""
        try:
            return self._by(key_id).decrypt(sealed[:_NONCE], sealed[_NONCE:], _context(row, use)).decode()
        except (InvalidTag, ValueError):
            raise SealBroken(f"the {use.decode()} of {row} does not open with key {key_id or self.key_id}") from None

    def _by(self, key_id: int | None) -> AESGCMSIV:
        if key_id is None:
            return self._standing
        try:
            return self._seals[key_id]
        except KeyError:
            raise KeyGone(f"there is no key {key_id} (any more)") from None

    def fingerprint(self, canonical: str) -> bytes:
        """16 bytes, equal for equal phones; tells nothing without the key."""
        digest = self._fingerprint.copy()  # keyed already: half the time of keying a new one
        digest.update(canonical.encode())
        return digest.digest()

    def holder(self, *parts: str) -> int:
        """A signed 64-bit keyed hash of an order, for the memory of who held a slot last."""
        digest = self._holder.copy()
        digest.update("\0".join(parts).encode())
        return int.from_bytes(digest.digest(), "big", signed=True)


def short(fingerprint: bytes) -> int:
    """The first 64 bits of a fingerprint as PostgreSQL's bigint."""
    return int.from_bytes(fingerprint[:8], "big", signed=True)


def _context(row: UUID | str, use: bytes) -> bytes:
    return use + (row.bytes if isinstance(row, UUID) else row.encode())
