"""Answers kept for 24 hours, so that a POST repeated under its Idempotency-Key is answered alike."""

from hashlib import sha256

import msgspec

from vnum.model.acting import acting, untied
from vnum.store import idempotency as stored
from vnum.store.database import Connection, Database
from vnum.vault import Vault

_TIE_BYTES = 16


class Kept(msgspec.Struct, frozen=True):
    """`digest` tells whether the repeat asks the same, `tie` what who asked was tied to then (None = nothing)."""

    digest: bytes
    status: int
    body: bytes
    tie: bytes | None = None


class Answers:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def digest(self, request: bytes) -> bytes:
        """16 bytes, equal for equal requests. Keyed: a plain hash would let a phone be found by trying them all."""
        return self._vault.fingerprint(sha256(request).hexdigest())

    def tie(self) -> bytes | None:
        """Tells the tie of who acts from another; None = he is not tied."""
        who = acting()
        if not who.tied:
            return None
        merchants = None if who.merchants is None else sorted(who.merchants)
        return sha256(msgspec.json.encode([merchants, who.carrier])).digest()[:_TIE_BYTES]

    async def claim(self, scope: str, key: str, digest: bytes) -> Kept | None:
        """None = the key was free and is this request's; else whose it is (status 0 = without an answer yet)."""
        tie = self.tie()
        with untied():  # the scope begins with the key's own id
            record = await stored.claim(self._database, scope, key, digest, tie)
        return None if record is None else Kept(record["body_hash"], record["status"], record["body"], record["tie"])

    async def keep(self, scope: str, key: str, kept: Kept, connection: Connection | None = None) -> bool:
        """False = an answer stands there already, and counts. `connection` = in the transaction of the effect."""
        with untied():
            return await stored.keep(connection or self._database, scope, key, kept.digest, kept.status, kept.body)
