"""The blacklist: phones that may not ring through vnum, or may not be rung, for one merchant or for all."""

from datetime import datetime
from enum import StrEnum
from os import urandom
from typing import ClassVar
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.acting import acting, untied
from vnum.model.fields import Name, PhoneText, Reason
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.model.phones import ANONYMOUS, PhoneError, holds_phone, parse_caller, parse_recipient
from vnum.model.refusals import Code, Refused
from vnum.service.callers import check_merchant, last_four
from vnum.service.clock import Clock, peek
from vnum.service.keys import Tie, within
from vnum.store import audit
from vnum.store import blacklist as stored
from vnum.store.blacklist import Row
from vnum.store.database import Database
from vnum.vault import Vault

PAGE = 1_000
USE = b"blacklist"


class Direction(StrEnum):
    CALLER = "caller"  # may not ring
    CALLEE = "callee"  # may not be rung


class NewListing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """merchant_id null = for all merchants, by platform and admin only."""

    shown: ClassVar[tuple[str, ...]] = ("merchant_id",)

    phone: PhoneText
    direction: Direction
    merchant_id: Name | None = None
    reason: Reason | None = None


class Listing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`phone` = its last four digits."""

    blacklist_id: UUID
    direction: Direction
    phone: str
    created_at: datetime
    merchant_id: str | None = None
    reason: str | None = None


class Blacklist:
    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    async def add(self, new: NewListing, *, tie: Tie = None, may_list_callees: bool = True) -> tuple[Listing, bool]:
        """The entry, and whether it is new; listed again it stays as it was. A shop lists no callees: it could find out
        whom an order's number reaches, by listing guesses and dialling.

        Raises Refused (forbidden, invalid_phone, invalid_caller, invalid_request, merchant_not_found).
        """
        if new.reason is not None and holds_phone(new.reason):
            raise Refused(Code.INVALID_REQUEST, "reason: no phone numbers here, please")
        if new.direction is Direction.CALLEE and not may_list_callees:
            raise Refused(Code.FORBIDDEN, "whom nobody may ring the platform lists; release the order's number instead")
        await check_merchant(self._database, new.merchant_id, tie)
        phone = _phone(new)
        now = await peek(self._clock, self._database)
        blacklist_id = new_id(0, now, urandom(RANDOM_BYTES))
        row = Row(
            blacklist_id,
            self._vault.fingerprint(phone),
            new.direction,
            new.merchant_id or "",
            self._vault.seal(phone, blacklist_id, USE),
            new.reason,
            now,
            acting().by,
        )
        with untied():  # whose it is was looked at
            record, added = await self._write(row, new)
        return self._listing(record, record["phone"]), added

    async def _write(self, row: Row, new: NewListing) -> tuple[Record, bool]:
        async with self._database.acquire() as connection, connection.transaction():
            record, added = await stored.add(connection, row)
            if added:
                subject = f"blacklist={row.blacklist_id} merchant={new.merchant_id} direction={new.direction}"
                await audit.add(connection, 0, row.created_at, "blacklist.added", [subject], new.reason)
        return record, added

    async def page(self, merchant_id: str | None, after: UUID | None, *, tie: Tie = None) -> list[Listing]:
        """Up to 1,000, in order of entry, behind `after`."""
        records = await stored.page(self._database, within(tie, merchant_id), after or UUID(int=0), PAGE)
        with untied():  # phones of entries that he was shown; he gets to see their ends
            phones = await stored.phones(self._database, [record["blacklist_id"] for record in records])
        return [
            self._listing(record, phones[record["blacklist_id"]])
            for record in records
            if record["blacklist_id"] in phones
        ]

    async def remove(self, blacklist_id: UUID, *, tie: Tie = None) -> None:
        """Raises Refused (blacklist_not_found), also for another's."""
        now = await peek(self._clock, self._database)
        with untied():  # the statement looks whose it is
            async with self._database.acquire() as connection, connection.transaction():
                if not await stored.remove(connection, blacklist_id, within(tie, None)):
                    raise Refused(Code.BLACKLIST_NOT_FOUND, f"there is no entry {blacklist_id}")
                await audit.add(connection, 0, now, "blacklist.removed", [str(blacklist_id)])

    def _listing(self, record: Record, phone: bytes) -> Listing:
        return Listing(
            blacklist_id=record["blacklist_id"],
            direction=Direction(record["direction"]),
            phone=last_four(self._vault.open(phone, record["blacklist_id"], USE)),
            created_at=record["created_at"],
            merchant_id=record["merchant_id"] or None,
            reason=record["reason"],
        )


def _phone(new: NewListing) -> str:
    try:
        if new.direction is Direction.CALLEE:
            return parse_recipient(new.phone).canonical
        phone = parse_caller(new.phone)
    except PhoneError as error:
        raise Refused(Code(error.code), f"phone: {error}") from None
    if phone == ANONYMOUS:
        raise Refused(Code.INVALID_CALLER, "phone: withheld numbers are allowed or not by a call policy")
    return phone
