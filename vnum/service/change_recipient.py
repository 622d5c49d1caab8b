"""Another phone behind a live number: label, expiry and rental stay, and the next route uses it."""

from datetime import datetime
from os import urandom
from uuid import UUID

from vnum.model import bindings as rules
from vnum.model.acting import acting
from vnum.model.bindings import State
from vnum.model.ids import RANDOM_BYTES, cell_in, new_id
from vnum.model.phones import holds_phone
from vnum.model.refusals import Code, Refusal, Refused
from vnum.service.batch import OPTED_OUT
from vnum.service.bind import recipient
from vnum.service.clock import Clock
from vnum.service.lifetime import Lifetime, Seen
from vnum.service.registry import Registry
from vnum.store import audit
from vnum.store import lifecycle as stored
from vnum.store.database import Database, trying_again, writer_of
from vnum.vault import Vault
from vnum.vault.vault import KeyGone, short

ATTEMPTS = 4


class RecipientChanger:
    def __init__(self, database: Database, vault: Vault, registry: Registry, lifetime: Lifetime, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._registry = registry
        self._lifetime = lifetime
        self._clock = clock

    async def change(self, binding_id: UUID, recipient_phone: str, reason: str) -> Seen:
        """The binding, with the phone behind it; the same phone changes nothing. Raises Refused: invalid_phone,
        invalid_request, binding_not_found, binding_expired, binding_released, recipient_opted_out, recipient_erased,
        clock_jump.

        The old phone is gone with its ciphertext. Its slot goes on remembering the old recipient by a short hash, so
        that it never goes back to him.
        """
        if holds_phone(reason):
            raise Refused(Code.INVALID_REQUEST, "reason: no phone numbers here, please")
        for _ in range(ATTEMPTS):
            seen = await self._lifetime.read(binding_id)
            if seen.binding.state(seen.now) is not State.LIVE:
                raise _refused(rules.ended(seen.binding, seen.now))
            phone = recipient(recipient_phone, self._registry)
            if isinstance(phone, Refusal):
                raise _refused(phone)
            if await self._has(seen, phone) or await self._write(seen, phone, reason):
                return seen
        raise Refused(Code.STORE_UNAVAILABLE, "the binding is being changed by others; nothing was done, try again")

    async def _has(self, seen: Seen, phone: str) -> bool:
        """Raises Refused (recipient_opted_out): no number is lent for who wants none, and none is led to him."""
        binding, fingerprint = seen.binding, self._vault.fingerprint(phone)
        found = await stored.recipient(
            self._database,
            cell_in(binding.binding_id),
            binding.merchant_id,
            binding.order_id,
            binding.binding_id,
            fingerprint,
        )
        if found["opted_out"] and not found["same"]:
            raise _refused(OPTED_OUT)
        return bool(found["same"])

    async def _write(self, seen: Seen, phone: str, reason: str) -> bool:
        binding_id, cell, done = seen.binding.binding_id, cell_in(seen.binding.binding_id), False
        new = await self._new(seen, phone, reason)
        async for attempt in trying_again():
            with attempt:
                async with self._database.acquire() as connection, connection.transaction():
                    writer = writer_of(connection)
                    done = await stored.change_recipient(
                        connection, cell, seen.now, writer, new, self._clock.simulated()
                    )
                    if done:
                        await audit.add(
                            connection, cell, seen.now, "binding.recipient_changed", [str(binding_id)], reason
                        )
        return done

    async def _new(self, seen: Seen, phone: str, reason: str) -> stored.NewRecipient:
        """Sealed by the key of the binding's month, with whose end it goes."""
        binding_id, key_id = seen.binding.binding_id, await self._key_of(seen.binding.bound_at)
        fingerprint = self._vault.fingerprint(phone)
        return stored.NewRecipient(
            binding_id=binding_id,
            key_id=key_id,
            recipient=self._vault.seal(phone, binding_id, b"phone", key_id),
            recipient_hash=fingerprint,
            holder=short(fingerprint),
            change_id=new_id(cell_in(binding_id), seen.now, urandom(RANDOM_BYTES)),
            changed_by=acting().by,
            reason=reason,
        )

    async def _key_of(self, bound_at: datetime) -> int:
        """Raises Refused (recipient_erased)."""
        try:
            return await self._vault.month(bound_at)
        except KeyGone:
            raise Refused(
                Code.RECIPIENT_ERASED, "what was kept of the month of this binding is gone; bind the order again"
            ) from None


def _refused(refusal: Refusal) -> Refused:
    return Refused(refusal.code, refusal.detail, refusal.reason)
