"""How API keys are made, listed, rotated, changed and revoked."""

import secrets
from collections.abc import Awaitable, Callable, Collection
from datetime import date, datetime, timedelta
from hashlib import sha256

import msgspec
from asyncpg import Record

from vnum.model.phones import holds_phone
from vnum.model.refusals import Code, Refused
from vnum.service.clock import peek
from vnum.service.keys import SECRET_BYTES, SIGNING, TIED_TO_MERCHANTS, KnownKeys, Role
from vnum.store import audit
from vnum.store import keys as stored
from vnum.store.database import Connection

OVERLAP = timedelta(days=7)
"""How long the former secret goes on after a rotation, unless something else is asked for."""

MOST_OVERLAP = timedelta(days=90)
MOST_RATE_PER_S = 1_000_000
MOST_NOTE = 200
PAGE = 1_000
SIGNING_BYTES = 32


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """`text` is what the caller sends, or what he signs with if the key is `signed`. It is shown this once: of the one
    only a hash is kept, of the other what the vault sealed."""

    key_id: str
    text: str
    signed: bool = False

    def __repr__(self) -> str:
        return f"NewKey(key_id={self.key_id!r})"


Also = Callable[[Connection, NewKey], Awaitable[None]]
"""What else is written in the transaction that makes a secret."""


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """One of a key's secrets in force. ends_at null = when the key is revoked."""

    begins_at: datetime
    ends_at: datetime | None


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """secrets: when those in force began and end, the present one first; they themselves are told to nobody again.
    used_on: the last day (UTC) on which it was used. rate_per_s null = as the settings say."""

    key_id: str
    role: Role
    merchants: list[str] | None
    carrier: str | None
    note: str | None
    signed: bool
    rate_per_s: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_on: date | None
    secrets: list[Secret]


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is UNSET stays as it is."""

    note: str | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: datetime | msgspec.UnsetType | None = msgspec.UNSET
    rate_per_s: int | msgspec.UnsetType | None = msgspec.UNSET


class ApiKeys(KnownKeys):
    async def make(
        self,
        role: Role,
        *,
        merchants: Collection[str] | None = None,
        carrier: str | None = None,
        note: str | None = None,
        expires_at: datetime | None = None,
        rate_per_s: int | None = None,
        signed: bool = False,
        also: Also | None = None,
    ) -> NewKey:
        """A new key: `vk_<key id>_<secret>`, 160 random bits; or a secret to sign with, 256 bits. Raises Refused
        (invalid_request)."""
        _check_tie(role, merchants, carrier)
        now = await peek(self._clock, self._database)
        _check_terms(now, note, expires_at, rate_per_s)
        made, kept = self._new_secret(secrets.token_hex(6), signed=signed)
        tied = None if merchants is None else sorted(set(merchants))
        async with self._database.acquire() as connection, connection.transaction():
            columns = (made.key_id, *kept, role, tied, carrier, note, now, expires_at, rate_per_s)
            await stored.add(connection, *columns)
            await audit.add(connection, 0, now, "key.made", [made.key_id], f"role {role}")
            if also is not None:
                await also(connection, made)
        self.forget(made.key_id)
        return made

    async def rotate(self, key_id: str, overlap: timedelta = OVERLAP, also: Also | None = None) -> NewKey:
        """A second secret of the same key; the one of before ends after the overlap, and an earlier one now. Raises
        Refused: invalid_request, key_not_found."""
        if not timedelta(0) <= overlap <= MOST_OVERLAP:
            raise Refused(Code.INVALID_REQUEST, f"the overlap is 0 to {MOST_OVERLAP.days} days")
        found = await stored.keys(self._database, "", 1, key_id)
        if not found:
            raise _none_in_force()
        now = await peek(self._clock, self._database)
        made, kept = self._new_secret(key_id, signed=found[0]["signed"])
        async with self._database.acquire() as connection, connection.transaction():
            if not await stored.rotate(connection, key_id, kept, now, now + overlap):
                raise _none_in_force()
            await audit.add(connection, 0, now, "key.rotated", [key_id], f"former secret until {now + overlap:%FT%TZ}")
            if also is not None:
                await also(connection, made)
        self.forget(key_id)
        return made

    async def change(self, key_id: str, change: KeyChange) -> KeyInfo:
        """Raises Refused: invalid_request, key_not_found."""
        now = await peek(self._clock, self._database)
        fields = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
        _check_terms(now, fields.get("note"), fields.get("expires_at"), fields.get("rate_per_s"))
        changes = [(name in fields, fields.get(name)) for name in ("note", "expires_at", "rate_per_s")]
        async with self._database.acquire() as connection, connection.transaction():
            if not await stored.change(connection, key_id, now, changes):
                raise _none_in_force()
            await audit.add(connection, 0, now, "key.changed", [key_id], ", ".join(fields) or None)
        self.forget(key_id)
        return await self.get(key_id)

    async def revoke(self, key_id: str) -> bool:
        """Ends all its secrets at once; False = there is no such key in force. Of an untied key other processes follow
        within seconds (FRESH_S)."""
        now = await peek(self._clock, self._database)
        async with self._database.acquire() as connection, connection.transaction():
            revoked = await stored.revoke(connection, key_id, now)
            if revoked:
                await audit.add(connection, 0, now, "key.revoked", [key_id])
        self.forget(key_id)
        return revoked

    async def revoke_noted(self, note: str) -> None:
        """Ends every key that was made with this note."""
        now = await peek(self._clock, self._database)
        async with self._database.acquire() as connection, connection.transaction():
            revoked = await stored.revoke_noted(connection, note, now)
            if revoked:
                await audit.add(connection, 0, now, "key.revoked", revoked, f"note {note}")
        for key_id in revoked:
            self.forget(key_id)

    async def get(self, key_id: str) -> KeyInfo:
        """Raises Refused (key_not_found)."""
        found = await stored.keys(self._database, "", 1, key_id)
        if not found:
            raise Refused(Code.KEY_NOT_FOUND, "there is no such key")
        return _info(found[0], await peek(self._clock, self._database))

    async def page(self, after: str = "") -> list[KeyInfo]:
        """Up to 1,000 keys behind `after`, by id, without their secrets."""
        now = await peek(self._clock, self._database)
        return [_info(record, now) for record in await stored.keys(self._database, after, PAGE)]

    async def list(self) -> list[KeyInfo]:
        """Every key there ever was, without its secrets; the oldest first."""
        found = page = await self.page()
        while len(page) == PAGE:
            page = await self.page(page[-1].key_id)
            found = found + page
        return sorted(found, key=lambda key: (key.created_at, key.key_id))

    def _new_secret(self, key_id: str, *, signed: bool) -> tuple[NewKey, tuple[bytes | None, bytes | None]]:
        """What is shown, and what is kept: (hash, sealed)."""
        if signed:
            secret = secrets.token_hex(SIGNING_BYTES)
            return NewKey(key_id=key_id, text=secret, signed=True), (None, self._vault.seal(secret, key_id, SIGNING))
        secret = secrets.token_hex(SECRET_BYTES)
        return NewKey(key_id=key_id, text=f"vk_{key_id}_{secret}"), (sha256(secret.encode()).digest(), None)


def _check_tie(role: Role, merchants: Collection[str] | None, carrier: str | None) -> None:
    if merchants is not None and role not in TIED_TO_MERCHANTS:
        raise Refused(Code.INVALID_REQUEST, f"a {role} key is not tied to merchants")
    if carrier is not None and role is not Role.COURIER:
        raise Refused(Code.INVALID_REQUEST, f"a {role} key is not tied to a carrier")


def _check_terms(now: datetime, note: str | None, expires_at: datetime | None, rate_per_s: int | None) -> None:
    if note is not None and not (0 < len(note) <= MOST_NOTE and note.isprintable()):
        raise Refused(Code.INVALID_REQUEST, f"a note has 1 to {MOST_NOTE} characters in one line")
    if note is not None and holds_phone(note):
        raise Refused(Code.INVALID_REQUEST, "note: no phone numbers here, please")
    if expires_at is not None and expires_at <= now:
        raise Refused(Code.INVALID_REQUEST, "expires_at lies in the past; revoke a key to end it now")
    if rate_per_s is not None and not 0 <= rate_per_s <= MOST_RATE_PER_S:
        raise Refused(Code.INVALID_REQUEST, f"rate_per_s is 0 (no limit) to {MOST_RATE_PER_S}")


def _none_in_force() -> Refused:
    return Refused(Code.KEY_NOT_FOUND, "no such key is in force")


def _info(record: Record, now: datetime) -> KeyInfo:
    fields = {name: record[name] for name in KeyInfo.__struct_fields__ if name != "secrets"}
    return msgspec.convert(fields | {"secrets": _secrets(record, now)}, KeyInfo)


def _secrets(record: Record, now: datetime) -> list[Secret]:
    expires_at, ends_at = record["expires_at"], record["former_ends_at"]
    if record["revoked_at"] is not None or (expires_at is not None and expires_at <= now):
        return []
    present = Secret(begins_at=record["secret_at"], ends_at=expires_at)
    if ends_at is None or ends_at <= now:
        return [present]
    return [present, Secret(begins_at=record["former_at"], ends_at=min(ends_at, expires_at or ends_at))]
