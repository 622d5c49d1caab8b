"""Merchants: who pays for the numbers of their orders."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

import msgspec
from asyncpg import Record

from vnum.finance import BEGINNING, DEFAULT_TARIFF, Assignment, TariffId, assign
from vnum.model.fields import Instant, Name, PhoneText, Text
from vnum.model.phones import PhoneError, parse_recipient
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.service.tariffs import choose
from vnum.store import merchants as stored
from vnum.store.database import Connection, Database

PAGE = 1_000


class MerchantState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


MOST = 1_000_000_000
MOST_PLACES = 12


class NewMerchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """service_number: the merchant's own line, which recipients who call back may reach. spend_cap, spend_alert: CNY a
    calendar month (Asia/Shanghai), with added tax; null = no limit."""

    merchant_id: Name
    name: Annotated[Text, msgspec.Meta(min_length=1)]
    invoice_title: Text | None = None
    tax_no: Text | None = None
    tariff_id: Name = "default"
    service_number: PhoneText | None = None
    state: MerchantState = MerchantState.ACTIVE
    spend_cap: Decimal | None = None
    spend_alert: Decimal | None = None

    def __post_init__(self) -> None:
        _check_limits(self)


class MerchantChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. tariff_id holds from tariff_from on; without it this month, or from
    the next midnight (Asia/Shanghai) on for a merchant who has any usage. A spend_cap or spend_alert of null = no
    limit."""

    shown: ClassVar[tuple[str, ...]] = ("spend_cap",)

    merchant_id: Name | None = None
    name: Annotated[Text, msgspec.Meta(min_length=1)] | None = None
    invoice_title: Text | None = None
    tax_no: Text | None = None
    tariff_id: Name | None = None
    tariff_from: Instant | None = None
    service_number: PhoneText | None = None
    state: MerchantState | None = None
    spend_cap: Decimal | msgspec.UnsetType | None = msgspec.UNSET
    spend_alert: Decimal | msgspec.UnsetType | None = msgspec.UNSET

    def __post_init__(self) -> None:
        _check_limits(self)


class Merchant(msgspec.Struct, frozen=True, kw_only=True):
    """tariff_id = the one he pays now."""

    merchant_id: str
    name: str
    invoice_title: str | None
    tax_no: str | None
    tariff_id: str
    next_tariff_id: str | None
    next_tariff_from: datetime | None
    service_number: str | None
    state: MerchantState
    spend_cap: Decimal | None
    spend_alert: Decimal | None
    created_at: datetime


class Merchants:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, new: NewMerchant, author: str = "") -> Merchant:
        """Raises Refused: merchant_exists, invalid_phone; BillingRefusal: tariff_not_found."""
        line = _line(new.service_number)
        columns = (new.merchant_id, new.name, new.invoice_title, new.tax_no, line, new.state)
        async with self._database.acquire() as connection, connection.transaction():
            created_at = await stored.add(
                connection, *columns, now=self._clock.simulated(), limits=(new.spend_cap, new.spend_alert)
            )
            if created_at is None:
                raise Refused(Code.MERCHANT_EXISTS, f"merchant {new.merchant_id} is registered already")
            await self._first_tariff(connection, new, created_at, author)
        return await self._get(new.merchant_id)

    async def change(self, merchant_id: str, change: MerchantChange, author: str = "") -> Merchant:
        """Raises Refused: merchant_not_found, invalid_phone, invalid_request; BillingRefusal: tariff_not_found,
        tariff_invalid."""
        if change.merchant_id not in (None, merchant_id):
            raise Refused(Code.INVALID_REQUEST, "merchant_id can not be changed")
        line = _line(change.service_number)
        columns = (change.name, change.invoice_title, change.tax_no, line, change.state)
        limits = [_limit(change.spend_cap), _limit(change.spend_alert)]
        now = await peek(self._clock, self._database)  # before a connection is held: nobody waits for a second one
        async with self._database.acquire() as connection, connection.transaction():
            if not await stored.change(connection, merchant_id, *columns, limits=limits):
                raise Refused(Code.MERCHANT_NOT_FOUND, f"merchant {merchant_id} is not registered")
            await _next_tariff(connection, merchant_id, change, now, author)
        return await self._get(merchant_id)

    async def page(self, after: str = "", only: Collection[str] | None = None) -> list[Merchant]:
        """Up to 1,000 merchants behind `after`, by id; `only` = those a tied key may see."""
        tied = None if only is None else list(only)
        now = await peek(self._clock, self._database)
        return [_merchant(record) for record in await stored.page(self._database, after, PAGE, tied, now)]

    async def _get(self, merchant_id: str) -> Merchant:
        return (await self.page(only=[merchant_id]))[0]

    async def _first_tariff(self, connection: Connection, new: NewMerchant, now: datetime, author: str) -> None:
        """Of the default there is no need to keep a row."""
        if new.tariff_id != DEFAULT_TARIFF:
            first = Assignment(merchant_id=new.merchant_id, effective_from=BEGINNING, tariff_id=TariffId(new.tariff_id))
            await assign(connection, first, now=now, author=author, first=True)


async def _next_tariff(
    connection: Connection, merchant_id: str, change: MerchantChange, now: datetime, author: str
) -> None:
    if change.tariff_id is None:
        if change.tariff_from is not None:
            raise Refused(Code.INVALID_REQUEST, "tariff_from goes with a tariff_id")
        return
    (known,) = await stored.page(connection, "", 1, [merchant_id], now)
    if change.tariff_from is None and change.tariff_id == (known["next_tariff_id"] or known["tariff_id"]):
        return
    await choose(connection, merchant_id, change.tariff_id, change.tariff_from, now, author)


def _line(service_number: str | None) -> str | None:
    if service_number is None:
        return None
    try:
        return parse_recipient(service_number).canonical
    except PhoneError as error:
        raise Refused(Code.INVALID_PHONE, f"service_number: {error}") from error


def _check_limits(given: NewMerchant | MerchantChange) -> None:
    """Raises ValueError."""
    for name in ("spend_cap", "spend_alert"):
        limit = getattr(given, name)
        if isinstance(limit, Decimal) and not (
            limit.is_finite() and 0 <= limit < MOST and _places(limit) <= MOST_PLACES
        ):
            raise ValueError(f"{name} is an amount from 0 to below {MOST}, with at most {MOST_PLACES} places")


def _places(amount: Decimal) -> int:
    return -int(amount.as_tuple().exponent)


def _limit(limit: Decimal | msgspec.UnsetType | None) -> tuple[bool, Decimal | None]:
    """Whether it is changed, and to what."""
    return (False, None) if isinstance(limit, msgspec.UnsetType) else (True, limit)


def _merchant(record: Record) -> Merchant:
    return msgspec.convert(dict(record), Merchant)
