"""Recipient tokens: a binding's id for one merchant's eyes, sealed so that it means nothing to anybody else.

AES-SIV (RFC 5297) without a nonce: the same binding has the same token, always. There is no table of them and nothing
of a phone in them; with the recipient's erasure they lead nowhere.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX: Final = "rt_"
CHARACTERS: Final = len(PREFIX) + 43
_KEY_BYTES: Final = 64
"""Two keys of AES-256."""


class Tokens:
    def __init__(self, secret: bytes) -> None:
        key = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=b"vnum recipient token").derive(secret)
        self._seal = AESSIV(key)

    def make(self, binding_id: UUID, merchant_id: str) -> str:
        sealed = self._seal.encrypt(binding_id.bytes, [merchant_id.encode()])
        return PREFIX + urlsafe_b64encode(sealed).decode().rstrip("=")

    def read(self, token: str, merchant_id: str) -> UUID | None:
        """The binding's id; None = this is no token of that merchant's."""
        if len(token) != CHARACTERS or not token.startswith(PREFIX):
            return None
        try:
            sealed = urlsafe_b64decode(token.removeprefix(PREFIX) + "=")
            return UUID(bytes=self._seal.decrypt(sealed, [merchant_id.encode()]))
        except (InvalidTag, Error, ValueError):
            return None
