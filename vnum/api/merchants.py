"""Merchants: who pays."""

from datetime import datetime
from decimal import Decimal

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as
from vnum.api.auth import PLATFORMS
from vnum.api.bodies import storable
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.finance import plain
from vnum.model.fields import Name
from vnum.model.refusals import Code, Refused
from vnum.service.merchants import PAGE, MerchantChange, MerchantState, NewMerchant


class MerchantQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    after: Name | None = None


class MerchantView(msgspec.Struct, frozen=True, kw_only=True):
    """tariff_id = the one he pays now. spend_cap, spend_alert: CNY a calendar month, with added tax; null = none."""

    merchant_id: str
    name: str
    invoice_title: str | None
    tax_no: str | None
    tariff_id: str
    next_tariff_id: str | None
    next_tariff_from: datetime | None
    service_number: str | None
    state: MerchantState
    spend_cap: str | None
    spend_alert: str | None
    created_at: datetime


class MerchantList(msgspec.Struct, frozen=True, omit_defaults=True):
    """`next` = what to send as `after` for more."""

    merchants: list[MerchantView]
    next: str | None = None


class Merchants:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/merchants", PLATFORMS, self.add, NewMerchant),
            Endpoint("GET", "/v1/merchants", PLATFORMS, self.list, MerchantQuery),
            Endpoint("PATCH", "/v1/merchants/{merchant_id}", PLATFORMS, self.change, MerchantChange),
        ]

    @answers(
        MerchantView,
        status=(201,),
        refuses=(Code.INVALID_PHONE, Code.TARIFF_NOT_FOUND, Code.MERCHANT_EXISTS, "tariff_invalid"),
    )
    async def add(self, call: Call, new: NewMerchant) -> Answer:
        """Registers a merchant; 201."""
        return json_answer(201, shown_as(MerchantView, await self._engine.merchants.add(new, call.caller.key_id)))

    @answers(MerchantList)
    async def list(self, call: Call, asked: MerchantQuery) -> Answer:
        """Up to 1,000 at a time, by id."""
        found = await self._engine.merchants.page(asked.after or "")
        more = found[-1].merchant_id if len(found) == PAGE else None
        return json_answer(200, MerchantList([shown_as(MerchantView, merchant) for merchant in found], more))

    @answers(
        MerchantView, refuses=(Code.INVALID_PHONE, Code.MERCHANT_NOT_FOUND, Code.TARIFF_NOT_FOUND, "tariff_invalid")
    )
    async def change(self, call: Call, change: MerchantChange) -> Answer:
        """What is left out stays as it is."""
        merchant_id = call.named("merchant_id")
        if not storable(merchant_id):
            raise Refused(Code.MERCHANT_NOT_FOUND, "no merchant has such an id")
        return json_answer(
            200, shown_as(MerchantView, await self._engine.merchants.change(merchant_id, change, call.caller.key_id))
        )


def limit_text(limit: Decimal | None) -> str | None:
    """A limit as every answer shows it; null = none."""
    return None if limit is None else plain(limit)
