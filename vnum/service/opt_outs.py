"""The recipient's no: said for him by the platform, or by his own complaints; obeyed by the very next route.

Kept under the keyed hash of his phone alone. What was said and taken back stays on record, with who did it.
"""

from datetime import datetime
from enum import StrEnum
from os import urandom

import msgspec

from vnum.meters import OPT_OUTS
from vnum.model.acting import acting
from vnum.model.fields import Name, PhoneText
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.model.phones import PhoneError, parse_recipient
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.store import audit
from vnum.store import merchants as stored_merchants
from vnum.store import opt_outs as stored
from vnum.store.database import Connection, Database
from vnum.vault import Vault


class Scope(StrEnum):
    """What the recipient does not want."""

    MERCHANT = "merchant"  # calls of the shop's agents, ISVs and robots; the courier with the parcel may ring
    EVERYTHING = "everything"  # no call at all, and no new number


class Withdrawn(StrEnum):
    """What he takes back; `caller` = every caller that a complaint of his blocked."""

    MERCHANT = "merchant"
    EVERYTHING = "everything"
    CALLER = "caller"


BLOCKED = Withdrawn.CALLER.value


class OptOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """merchant_id null = of all shops."""

    phone: PhoneText
    merchant_id: Name | None = None
    scope: Scope = Scope.MERCHANT


class OptIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to take back, as it was said: of one shop, or (merchant_id null) of all."""

    phone: PhoneText
    merchant_id: Name | None = None
    scope: Withdrawn = Withdrawn.MERCHANT


class OptOuts:
    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    async def say(self, asked: OptOut) -> datetime:
        """Since when it holds; committed, and said again it changes nothing. Raises Refused (invalid_phone,
        merchant_not_found)."""
        recipient = self._recipient(asked.phone)
        await self._check(asked.merchant_id)
        now = await peek(self._clock, self._database)
        merchant_id = asked.merchant_id or stored.ALL
        async with self._database.acquire() as connection, connection.transaction():
            if await say(connection, now, recipient, asked.scope, merchant_id):
                return now
            return await stored.said_at(connection, recipient, asked.scope, merchant_id) or now

    async def withdraw(self, asked: OptIn) -> int:
        """How many were in force; 0 = none, and nothing changed. Raises Refused (invalid_phone)."""
        recipient = self._recipient(asked.phone)
        now = await peek(self._clock, self._database)
        merchant_id = asked.merchant_id or stored.ALL
        async with self._database.acquire() as connection, connection.transaction():
            gone = await stored.withdraw(connection, recipient, asked.scope, merchant_id, at=now, by=acting().by)
            if gone:
                await audit.add(connection, 0, now, "opt_out.withdrawn", [str(one) for one in gone])
                OPT_OUTS.labels(asked.scope, "withdrawn").inc()
            return len(gone)

    async def wants_no_texts(self, recipient: bytes, merchant_id: str) -> bool:
        """Whether he, by the fingerprint of his phone, said no to the shop or to everything."""
        return await stored.wants_no_texts(self._database, recipient, merchant_id)

    def _recipient(self, phone: str) -> bytes:
        try:
            return self._vault.fingerprint(parse_recipient(phone).canonical)
        except PhoneError as error:
            raise Refused(Code.INVALID_PHONE, f"phone: {error}") from None

    async def _check(self, merchant_id: str | None) -> None:
        if merchant_id is not None and not await stored_merchants.has(self._database, merchant_id):
            raise Refused(Code.MERCHANT_NOT_FOUND, f"merchant {merchant_id} is not registered")


async def say(
    connection: Connection,
    now: datetime,
    recipient: bytes,
    scope: str,
    merchant_id: str,
    caller: bytes = stored.NO_CALLER,
    why: str | None = None,
) -> bool:
    """Says it in the transaction of `connection`, with its audit entry; False = it was said before."""
    opt_out_id = new_id(0, now, urandom(RANDOM_BYTES))
    new = await stored.say(
        connection, opt_out_id, recipient, scope, merchant_id, caller, at=now, by=acting().by, why=why
    )
    if new:
        await audit.add(connection, 0, now, "opt_out.said", [str(opt_out_id)], why)
        OPT_OUTS.labels(scope, "said").inc()
    return new
