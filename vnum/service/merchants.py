"""Merchants: who pays for the numbers of their orders."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from asyncpg import Record

from vnum.finance import BillingRefusal, Period, TariffId, load_book
from vnum.model.phones import PhoneError, parse_recipient
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.service.orders import Name, Text
from vnum.store import merchants as stored
from vnum.store.database import Database

PAGE = 1_000


class MerchantState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


Phone = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class NewMerchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """service_number: the merchant's own line, which recipients who call back may reach."""

    merchant_id: Name
    name: Annotated[Text, msgspec.Meta(min_length=1)]
    invoice_title: Text | None = None
    tax_no: Text | None = None
    tariff_id: Name = "default"
    service_number: Phone | None = None
    state: MerchantState = MerchantState.ACTIVE


class MerchantChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    merchant_id: Name | None = None
    name: Annotated[Text, msgspec.Meta(min_length=1)] | None = None
    invoice_title: Text | None = None
    tax_no: Text | None = None
    tariff_id: Name | None = None
    service_number: Phone | None = None
    state: MerchantState | None = None


class Merchant(msgspec.Struct, frozen=True, kw_only=True):
    merchant_id: str
    name: str
    invoice_title: str | None
    tax_no: str | None
    tariff_id: str
    service_number: str | None
    state: MerchantState
    created_at: datetime


class Merchants:
    def __init__(self, database: Database, clock: Clock, cells: int) -> None:
        self._database = database
        self._clock = clock
        self._cells = cells

    async def add(self, new: NewMerchant) -> Merchant:
        """Raises Refused: merchant_exists, tariff_not_found, invalid_phone."""
        await self._check_tariff(new.tariff_id)
        record = await stored.add(
            self._database,
            new.merchant_id,
            new.name,
            new.invoice_title,
            new.tax_no,
            new.tariff_id,
            _line(new.service_number),
            new.state,
            now=self._clock.simulated(),
        )
        if record is None:
            raise Refused(Code.MERCHANT_EXISTS, f"merchant {new.merchant_id} is registered already")
        return _merchant(record)

    async def change(self, merchant_id: str, change: MerchantChange) -> Merchant:
        """Raises Refused: merchant_not_found, tariff_not_found, tariff_in_use, invalid_phone, invalid_request."""
        if change.merchant_id not in (None, merchant_id):
            raise Refused(Code.INVALID_REQUEST, "merchant_id can not be changed")
        if change.tariff_id is not None:
            await self._choose(merchant_id, change.tariff_id)
        record = await stored.change(
            self._database,
            merchant_id,
            change.name,
            change.invoice_title,
            change.tax_no,
            change.tariff_id,
            _line(change.service_number),
            change.state,
        )
        if record is None:
            raise Refused(Code.MERCHANT_NOT_FOUND, f"merchant {merchant_id} is not registered")
        return _merchant(record)

    async def page(self, after: str = "", only: Collection[str] | None = None) -> list[Merchant]:
        """Up to 1,000 merchants behind `after`, by id; `only` = those a tied key may see."""
        tied = None if only is None else list(only)
        return [_merchant(record) for record in await stored.page(self._database, after, PAGE, tied)]

    async def _choose(self, merchant_id: str, tariff_id: str) -> None:
        """A close prices rental by the merchant's tariff, so another one would reprice days that have begun.

        Prices change by a new version of the tariff, from its own instant on.
        """
        known = await stored.merchant(self._database, merchant_id)
        if known is None or known["tariff_id"] == tariff_id:
            return
        await self._check_tariff(tariff_id, known["created_at"])
        if await stored.has_orders(self._database, self._cells, merchant_id):
            raise Refused(
                Code.TARIFF_IN_USE,
                f"numbers were bound for merchant {merchant_id} under tariff {known['tariff_id']}; "
                "give that tariff a new version instead",
            )

    async def _check_tariff(self, tariff_id: str, opened_at: datetime | None = None) -> None:
        """A merchant without a price for a part of a month could not be closed: from its begin, or his own."""
        book = await load_book(self._database)
        now = await peek(self._clock, self._database)
        begin = max(Period.of(now).starts_at, opened_at or now)
        try:
            book.at(TariffId(tariff_id), begin)
        except BillingRefusal as refusal:
            raise Refused(Code.TARIFF_NOT_FOUND, f"no tariff {tariff_id} has a price for this month") from refusal


def _line(service_number: str | None) -> str | None:
    if service_number is None:
        return None
    try:
        return parse_recipient(service_number).canonical
    except PhoneError as error:
        raise Refused(Code.INVALID_PHONE, f"service_number: {error}") from error


def _merchant(record: Record) -> Merchant:
    return msgspec.convert(dict(record), Merchant)
