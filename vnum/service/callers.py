"""Registered callers: phones that somebody answers for. Shown are their last four digits, never more."""

from collections.abc import Collection
from datetime import datetime, timedelta
from os import urandom
from typing import ClassVar, Literal
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.acting import acting, untied
from vnum.model.call_policy import CallerClass
from vnum.model.fields import Name, PhoneText
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.model.phones import ANONYMOUS, PhoneError, parse_caller
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.service.keys import Tie, within
from vnum.store import audit
from vnum.store import callers as stored
from vnum.store import merchants as stored_merchants
from vnum.store.callers import Row
from vnum.store.database import Database
from vnum.vault import Vault

PAGE = 1_000
COUNTED = timedelta(days=30)
"""Complaints of that time are shown with a caller."""

USE = b"caller"


class NewCaller(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Agents and robots are a merchant's; a courier is a carrier's, and may be one of a merchant's own besides.
    `group` = a name by which a policy or a binding picks callers of the merchant out. `verified` counts only by the
    word of platform or admin."""

    shown: ClassVar[tuple[str, ...]] = ("merchant_id", "group")

    phone: PhoneText
    caller_class: Literal["merchant_agent", "courier", "robot"] = msgspec.field(name="class")
    merchant_id: Name | None = None
    carrier: Name | None = None
    group: Name | None = None
    verified: bool = False

    def __post_init__(self) -> None:
        if self.caller_class == "courier":
            if self.carrier is None:
                raise ValueError("a courier needs a carrier")
        elif self.merchant_id is None or self.carrier is not None:
            raise ValueError("agents and robots need a merchant_id, and no carrier")
        if self.group is not None and self.merchant_id is None:
            raise ValueError("a group is a merchant's: it needs a merchant_id")


class Caller(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`phone` = its last four digits. `complaints` = of recipients, about calls from it within 30 days."""

    caller_id: UUID
    caller_class: CallerClass = msgspec.field(name="class")
    verified: bool
    phone: str
    created_at: datetime
    merchant_id: str | None = None
    carrier: str | None = None
    group: str | None = None
    complaints: int = 0


class Callers:
    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    async def register(self, new: NewCaller, *, tie: Tie = None, may_verify: bool = True) -> Caller:
        """Registered again: the group changes, and `verified` where the key may say so.

        Raises Refused (invalid_caller, merchant_not_found).
        """
        await self._check(new.merchant_id, tie)
        phone = _phone(new.phone)
        now = await peek(self._clock, self._database)
        caller_id = new_id(0, now, urandom(RANDOM_BYTES))
        row = Row(
            caller_id,
            self._vault.fingerprint(phone),
            new.caller_class,
            new.merchant_id or "",
            new.carrier or "",
            new.group,
            new.verified if may_verify else None,
            self._vault.seal(phone, caller_id, USE),
            now,
            acting().by,
        )
        with untied():  # whose it is was looked at
            record = await self._write(row, new)
        return self._caller(record, record["phone"])

    async def _write(self, row: Row, new: NewCaller) -> Record:
        async with self._database.acquire() as connection, connection.transaction():
            record = await stored.register(connection, row)
            subject = f"caller={record['caller_id']} merchant={new.merchant_id} verified={record['verified']}"
            await audit.add(connection, 0, row.created_at, "caller.registered", [subject])
        return record

    async def page(self, merchant_id: str | None, after: UUID | None, *, tie: Tie = None) -> list[Caller]:
        """Up to 1,000, in order of registration, behind `after`."""
        now = await peek(self._clock, self._database)
        merchants = within(tie, merchant_id)
        records = await stored.page(self._database, merchants, after or UUID(int=0), PAGE)
        with untied():  # phones of entries that he was shown; he gets to see their ends
            known = await stored.known_of(self._database, [record["caller_id"] for record in records], now - COUNTED)
        return [self._caller(record, *known[record["caller_id"]]) for record in records if record["caller_id"] in known]

    async def remove(self, caller_id: UUID, *, tie: Tie = None) -> None:
        """Its phone is forgotten with it. Raises Refused (caller_not_found), also for another's."""
        now = await peek(self._clock, self._database)
        with untied():  # the statement looks whose it is
            async with self._database.acquire() as connection, connection.transaction():
                if not await stored.remove(connection, caller_id, within(tie, None)):
                    raise Refused(Code.CALLER_NOT_FOUND, f"there is no caller {caller_id}")
                await audit.add(connection, 0, now, "caller.removed", [str(caller_id)])

    async def _check(self, merchant_id: str | None, tie: Tie) -> None:
        await check_merchant(self._database, merchant_id, tie)

    def _caller(self, record: Record, phone: bytes, complaints: int = 0) -> Caller:
        return Caller(
            caller_id=record["caller_id"],
            caller_class=CallerClass(record["class"]),
            verified=record["verified"],
            phone=last_four(self._vault.open(phone, record["caller_id"], USE)),
            created_at=record["created_at"],
            merchant_id=record["merchant_id"] or None,
            carrier=record["carrier"] or None,
            group=record["caller_group"],
            complaints=complaints,
        )


async def check_merchant(database: Database, merchant_id: str | None, tie: Collection[str] | None) -> None:
    """Raises Refused: forbidden for what a tied key may not say of everybody, merchant_not_found for another's too."""
    if merchant_id is None:
        if tie is not None:
            raise Refused(Code.FORBIDDEN, "merchant_id: name a merchant of yours; what holds for all is the platform's")
        return
    foreign = tie is not None and merchant_id not in tie
    if foreign or not await stored_merchants.has(database, merchant_id):
        raise Refused(Code.MERCHANT_NOT_FOUND, f"merchant {merchant_id} is not registered")


def last_four(phone: str) -> str:
    """The last four digits of a number of eight or more; of a shorter one none."""
    number = phone.partition(";")[0]
    return "*" * 4 + (number[-4:] if len(number) >= 8 else "")


def _phone(text: str) -> str:
    try:
        phone = parse_caller(text)
    except PhoneError as error:
        raise Refused(Code.INVALID_CALLER, f"phone: {error}") from None
    if phone == ANONYMOUS:
        raise Refused(Code.INVALID_CALLER, "phone: nobody can answer for withheld numbers")
    return phone
