"""Answers kept for 24 hours, so that a POST repeated under its Idempotency-Key is answered alike."""

from hashlib import sha256

import msgspec

from vnum.model.acting import untied
from vnum.store import idempotency as stored
from vnum.store.database import Connection, Database
from vnum.vault import Vault


class Kept(msgspec.Struct, frozen=True):
    """`digest` tells whether the repeat asks the same."""

    digest: bytes
    status: int
    body: bytes


class Answers:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def digest(self, request: bytes) -> bytes:
        """16 bytes, equal for equal requests. Keyed: a plain hash would let a phone be found by trying them all."""
        return self._vault.fingerprint(sha256(request).hexdigest())

    async def claim(self, scope: str, key: str, digest: bytes) -> Kept | None:
        """None = the key was free and is this request's; else whose it is (status 0 = without an answer yet)."""
        with untied():  # the scope begins with the key's own id
            record = await stored.claim(self._database, scope, key, digest)
        return None if record is None else Kept(record["body_hash"], record["status"], record["body"])

    async def keep(self, scope: str, key: str, kept: Kept, connection: Connection | None = None) -> bool:
        """False = an answer stands there already, and counts. `connection` = in the transaction of the effect."""
        with untied():
            return await stored.keep(connection or self._database, scope, key, kept.digest, kept.status, kept.body)
