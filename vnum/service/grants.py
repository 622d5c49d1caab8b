"""Grants: a merchant lets a service provider's key (isv) act for him, until he withdraws it."""

from datetime import datetime

import msgspec
from asyncpg import Record

from vnum.model.acting import acting, untied
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.service.keys import KnownKeys
from vnum.store import audit
from vnum.store import grants as stored
from vnum.store.database import Database

PAGE = 500
_LAST = 2**63 - 1


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """isv = the id of the key that may act for the merchant, unless withdrawn_at is there."""

    merchant_id: str
    isv: str
    granted_at: datetime
    granted_by: str
    withdrawn_at: datetime | None = None
    withdrawn_by: str | None = None


class Grants:
    def __init__(self, database: Database, keys: KnownKeys, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock

    async def give(self, merchant_id: str, isv: str) -> Grant:
        """From now on; one that is in force stays as it is. Raises Refused: merchant_not_found, key_not_found."""
        now = await peek(self._clock, self._database)
        with untied():  # whose grant it is was asked before; keys and the audit are not the merchant's
            return await self._give(merchant_id, isv, now)

    async def _give(self, merchant_id: str, isv: str, now: datetime) -> Grant:
        async with self._database.acquire() as connection, connection.transaction():
            merchant, key = await stored.parties(connection, merchant_id, isv, now)
            if not merchant:
                raise Refused(Code.MERCHANT_NOT_FOUND, "this merchant is not registered")
            if not key:
                raise Refused(Code.KEY_NOT_FOUND, "no key of an isv with this id is in force")
            if await stored.give(connection, merchant_id, isv, now, acting().by):
                await audit.add(connection, 0, now, "grant.given", [isv], f"by merchant {merchant_id}")
            record = await stored.newest(connection, merchant_id, isv)
        self._keys.forget(isv)
        assert record is not None
        return _grant(record)

    async def withdraw(self, merchant_id: str, isv: str) -> Grant:
        """At once, in other processes too (`vnum.store.database`); what was withdrawn stays so. Raises Refused
        (grant_not_found)."""
        now = await peek(self._clock, self._database)
        with untied():
            return await self._withdraw(merchant_id, isv, now)

    async def _withdraw(self, merchant_id: str, isv: str, now: datetime) -> Grant:
        async with self._database.acquire() as connection, connection.transaction():
            if await stored.withdraw(connection, merchant_id, isv, now, acting().by):
                await audit.add(connection, 0, now, "grant.withdrawn", [isv], f"by merchant {merchant_id}")
            record = await stored.newest(connection, merchant_id, isv)
        self._keys.forget(isv)
        if record is None:
            raise Refused(Code.GRANT_NOT_FOUND, "this merchant never granted that key anything")
        return _grant(record)

    async def page(self, merchant_id: str, before: int | None = None) -> tuple[list[Grant], int | None]:
        """A merchant's grants, withdrawn ones too, the newest first; and where the next page begins."""
        records = await stored.page(self._database, merchant_id, _LAST if before is None else before, PAGE)
        return [_grant(record) for record in records], records[-1]["entry"] if len(records) == PAGE else None


def _grant(record: Record) -> Grant:
    return Grant(**{name: record[name] for name in Grant.__struct_fields__})
