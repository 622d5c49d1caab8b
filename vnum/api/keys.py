"""API keys: for operators, and platforms that have no shell here."""

from datetime import timedelta
from typing import Annotated

import msgspec

from vnum.api.answers import Answer, json_answer
from vnum.api.auth import ADMINS
from vnum.api.bodies import Nothing, storable
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.fields import Instant, Name
from vnum.model.refusals import Code, Refused
from vnum.service.key_ring import MOST_OVERLAP, MOST_RATE_PER_S, OVERLAP, PAGE, Also, KeyChange, KeyInfo, NewKey
from vnum.service.keys import Role
from vnum.store.database import Connection

Note = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Rate = Annotated[int, msgspec.Meta(ge=0, le=MOST_RATE_PER_S)]


class KeyOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """merchants: what a merchant, isv or finance key is tied to, left out = to none: it sees all (an
    isv's those that grant it so). carrier: the same of a courier key. signed: it signs requests.
    rate_per_s: requests a second; 0 = no limit, left out = as the settings say."""

    role: Role
    merchants: Annotated[list[Name], msgspec.Meta(max_length=1000)] | None = None
    carrier: Name | None = None
    note: Note | None = None
    expires_at: Instant | None = None
    rate_per_s: Rate | None = None
    signed: bool = False


class KeyPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is; null = no note, no end, as the settings say."""

    note: Note | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: Instant | msgspec.UnsetType | None = msgspec.UNSET
    rate_per_s: Rate | msgspec.UnsetType | None = msgspec.UNSET


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """overlap_s: how long the former secret goes on, in seconds; 0 = it ends now."""

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=int(MOST_OVERLAP.total_seconds()))] = int(OVERLAP.total_seconds())


class KeyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = the last key_id of the page before."""

    after: Name | None = None


class SecretShown(msgspec.Struct, frozen=True, kw_only=True):
    """secret: what to send as Bearer, or to sign with. It is shown this once; null in the answer to a repeat."""

    key_id: str
    secret: str | None


class KeyList(msgspec.Struct, frozen=True, omit_defaults=True):
    """`next` = what to send as `after` for more."""

    keys: list[KeyInfo]
    next: str | None = None


class Keys:
    def __init__(self, engine: Engine) -> None:
        self._keys = engine.keys

    def endpoints(self) -> list[Endpoint]:
        path = "/v1/keys/{key_id}"
        return [
            Endpoint("POST", "/v1/keys", ADMINS, self.make, KeyOrder, audited=True),
            Endpoint("GET", "/v1/keys", ADMINS, self.list, KeyQuery),
            Endpoint("GET", path, ADMINS, self.get),
            Endpoint("PATCH", path, ADMINS, self.change, KeyPatch, audited=True),
            Endpoint("POST", f"{path}/rotate", ADMINS, self.rotate, Rotation, audited=True),
            Endpoint("POST", f"{path}/revoke", ADMINS, self.revoke, audited=True),
        ]

    @answers(SecretShown, status=(201,))
    async def make(self, call: Call, new: KeyOrder) -> Answer:
        """Makes a key; 201, with its `secret` this once: a repeat under the Idempotency-Key has none."""
        made = await self._keys.make(
            new.role,
            merchants=new.merchants,
            carrier=new.carrier,
            note=new.note,
            expires_at=new.expires_at,
            rate_per_s=new.rate_per_s,
            signed=new.signed,
            also=_keeping(call, 201),
        )
        return _told(call, made, 201)

    @answers(SecretShown, refuses=(Code.KEY_NOT_FOUND,))
    async def rotate(self, call: Call, asked: Rotation) -> Answer:
        """A second `secret` of the key, shown this once; the former one goes on for overlap_s seconds."""
        made = await self._keys.rotate(_key_id(call), timedelta(seconds=asked.overlap_s), _keeping(call, 200))
        return _told(call, made, 200)

    @answers(KeyList)
    async def list(self, call: Call, asked: KeyQuery) -> Answer:
        """Every key there ever was, by id, up to 1,000 at a time; no secrets."""
        found = await self._keys.page(asked.after or "")
        more = found[-1].key_id if len(found) == PAGE else None
        return json_answer(200, KeyList(found, more))

    @answers(KeyInfo, refuses=(Code.KEY_NOT_FOUND,))
    async def get(self, call: Call, asked: Nothing) -> Answer:
        """One key, without its secrets."""
        return json_answer(200, await self._keys.get(_key_id(call)))

    @answers(KeyInfo, refuses=(Code.KEY_NOT_FOUND,))
    async def change(self, call: Call, change: KeyPatch) -> Answer:
        """Its note, end and rate; what is left out stays as it is."""
        changed = KeyChange(note=change.note, expires_at=change.expires_at, rate_per_s=change.rate_per_s)
        return json_answer(200, await self._keys.change(_key_id(call), changed))

    @answers(KeyInfo, refuses=(Code.KEY_NOT_FOUND,))
    async def revoke(self, call: Call, asked: Nothing) -> Answer:
        """Ends a key with all its secrets, at once; one that was revoked stays so."""
        key_id = _key_id(call)
        await self._keys.revoke(key_id)
        return json_answer(200, await self._keys.get(key_id))


def _told(call: Call, made: NewKey, status: int) -> Answer:
    return json_answer(status, SecretShown(key_id=made.key_id, secret=made.text), kept=call.once is not None)


def _keeping(call: Call, status: int) -> Also | None:
    """Under an Idempotency-Key: what a repeat is answered, kept with the key itself, and without the secret."""
    once = call.once
    if once is None:
        return None

    async def keep(connection: Connection, made: NewKey) -> None:
        await once.keep(json_answer(status, SecretShown(key_id=made.key_id, secret=None)), connection)

    return keep


def _key_id(call: Call) -> str:
    """Raises Refused (key_not_found)."""
    key_id = call.named("key_id")
    if not storable(key_id):
        raise Refused(Code.KEY_NOT_FOUND, "there is no such key")
    return key_id
