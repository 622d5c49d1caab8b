"""Tariffs: make price lists, look at them, and choose which of them a merchant pays from when on."""

from contextlib import suppress
from datetime import datetime, time, timedelta
from typing import Annotated

import msgspec

from vnum.finance import (
    LEAD,
    NO_TAX,
    ZONE,
    Assignment,
    Increments,
    Listed,
    Period,
    RentalPrice,
    TariffBook,
    TariffId,
    TariffInvalid,
    TariffNotFound,
    TariffVersion,
    Tax,
    add_version,
    assign,
    assignments,
    list_versions,
    load_book,
)
from vnum.model.fields import Instant, Name, Text
from vnum.model.phones import holds_phone
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.store import merchants as stored
from vnum.store.database import Connection, Database

PAGE = 1_000


class NewTariff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next version of a tariff, or the first of a new one. Money in CNY as text; tax rate 0.06 = 6 %."""

    tariff_id: Name
    effective_from: Instant
    rental: RentalPrice
    calls: Increments
    free_minutes: Annotated[int, msgspec.Meta(ge=0)] = 0
    tax: Tax = NO_TAX
    note: Text | None = None


class Tariffs:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def book(self) -> TariffBook:
        """Every version of every tariff."""
        return await load_book(self._database)

    async def listing(self) -> list[Listed]:
        """The same with who added them, by tariff, oldest first."""
        async with self._database.acquire() as connection:
            return await list_versions(connection)

    async def add(self, new: NewTariff, author: str) -> TariffVersion:
        """Raises Refused (invalid_request), BillingRefusal (tariff_invalid), with every problem found."""
        if holds_phone(new.note or ""):
            raise Refused(Code.INVALID_REQUEST, "note: no phone numbers here, please")
        version = TariffVersion(
            tariff_id=TariffId(new.tariff_id),
            version=len((await self.book()).versions(TariffId(new.tariff_id))) + 1,
            effective_from=new.effective_from,
            rental=new.rental,
            calls=new.calls,
            free_minutes=new.free_minutes,
            tax=new.tax,
        )
        now = await peek(self._clock, self._database)
        async with self._database.acquire() as connection:
            await add_version(connection, version, now=now, author=author, note=new.note)
        return version

    async def of_merchant(self, merchant_id: str) -> list[Assignment]:
        """His assignments, oldest first; none = always the default. Raises Refused (merchant_not_found)."""
        await self._check_merchant(merchant_id)
        async with self._database.acquire() as connection:
            return await assignments(connection, [merchant_id])

    async def assign(
        self, merchant_id: str, tariff_id: str, effective_from: datetime | None, author: str
    ) -> Assignment:
        """From an instant on; None = from this month on, or from the next midnight on if he has any usage.

        Raises Refused (merchant_not_found), BillingRefusal (tariff_not_found, tariff_invalid).
        """
        await self._check_merchant(merchant_id)
        now = await peek(self._clock, self._database)
        async with self._database.acquire() as connection:
            return await choose(connection, merchant_id, tariff_id, effective_from, now, author)

    async def _check_merchant(self, merchant_id: str) -> None:
        if not await stored.has(self._database, merchant_id):
            raise Refused(Code.MERCHANT_NOT_FOUND, f"merchant {merchant_id} is not registered")


async def choose(
    connection: Connection,
    merchant_id: str,
    tariff_id: str,
    effective_from: datetime | None,
    now: datetime,
    author: str,
) -> Assignment:
    """The same on a connection of the caller's, who read the clock before he took it: who holds one and waits for a
    second, as all others do, waits for ever."""
    if effective_from is not None:
        return await _assign(connection, merchant_id, tariff_id, effective_from, now, author)
    for soonest in (Period.of(now).starts_at, now):
        with suppress(TariffInvalid, TariffNotFound):
            return await _assign(connection, merchant_id, tariff_id, soonest, now, author)
    return await _assign(connection, merchant_id, tariff_id, next_midnight(now + LEAD), now, author)


async def _assign(
    connection: Connection, merchant_id: str, tariff_id: str, effective_from: datetime, now: datetime, author: str
) -> Assignment:
    new = Assignment(merchant_id=merchant_id, effective_from=effective_from, tariff_id=TariffId(tariff_id))
    await assign(connection, new, now=now, author=author)
    return new


def next_midnight(instant: datetime) -> datetime:
    """The first midnight of the billing zone at or after an instant."""
    local = instant.astimezone(ZONE)
    midnight = datetime.combine(local.date(), time.min, ZONE)
    return midnight if midnight >= local else midnight + timedelta(days=1)
