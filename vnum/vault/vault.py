"""Seals phones and names, and makes the keyed hashes by which they are compared and looked up."""

from hashlib import blake2b
from os import urandom
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vnum.vault.keys import MasterKey

_NONCE = 12


class SealBroken(Exception):
    """A ciphertext that this key did not make for this row."""


class Vault:
    """AES-256-GCM-SIV (RFC 8452): random nonces stay safe at billions of rows a key.

    A ciphertext is bound to the row and use it was made for: moved elsewhere, it does not open.
    """

    def __init__(self, key: MasterKey) -> None:
        self.key_id = key.key_id
        self._seal = AESGCMSIV(_derive(key, b"seal"))
        self._hash_key = _derive(key, b"hash")
        self._fingerprint = blake2b(key=self._hash_key, digest_size=16, person=b"phone")

    @property
    def proof(self) -> bytes:
        """Tells this key from another without telling the key."""
        return blake2b(b"vnum", key=self._hash_key, digest_size=16, person=b"proof").digest()

    def seal(self, text: str, row: UUID | str, use: bytes = b"phone") -> bytes:
        """nonce (12 bytes) + ciphertext + tag (16 bytes)."""
        nonce = urandom(_NONCE)
        return nonce + self._seal.encrypt(nonce, text.encode(), _context(row, use))

    def open(self, sealed: bytes, row: UUID | str, use: bytes = b"phone") -> str:
        """What was sealed. Raises SealBroken."""
        try:
            return self._seal.decrypt(sealed[:_NONCE], sealed[_NONCE:], _context(row, use)).decode()
        except (InvalidTag, ValueError):
            raise SealBroken(f"the {use.decode()} of {row} does not open with key {self.key_id}") from None

    def fingerprint(self, canonical: str) -> bytes:
        """16 bytes, equal for equal phones; tells nothing without the key."""
        digest = self._fingerprint.copy()  # keyed already: half the time of keying a new one
        digest.update(canonical.encode())
        return digest.digest()

    def holder(self, *parts: str) -> int:
        """A signed 64-bit keyed hash of an order, for the memory of who held a slot last."""
        joined = "\0".join(parts).encode()
        digest = blake2b(joined, key=self._hash_key, digest_size=8, person=b"order").digest()
        return int.from_bytes(digest, "big", signed=True)


def short(fingerprint: bytes) -> int:
    """The first 64 bits of a fingerprint as PostgreSQL's bigint."""
    return int.from_bytes(fingerprint[:8], "big", signed=True)


def _derive(key: MasterKey, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"vnum " + use).derive(key.secret)


def _context(row: UUID | str, use: bytes) -> bytes:
    return use + (row.bytes if isinstance(row, UUID) else row.encode())
