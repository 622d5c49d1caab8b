"""Labels: the number that is current now, for many orders or parcels in one call."""

import base64
import binascii
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, ClassVar, Final, Literal
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as, utc
from vnum.api.auth import PRINTERS, READERS
from vnum.api.bindings import IN_A_BATCH, number_of
from vnum.api.bodies import MALFORMED, decode, storable
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.api.problems import ItemError, item_error
from vnum.engine import Engine
from vnum.finance import ZONE
from vnum.model.bindings import State
from vnum.model.fields import Name
from vnum.model.numbers import Extension, Host, VirtualNumber, format_number
from vnum.model.refusals import Code, Refusal, Refused
from vnum.service.keys import Caller
from vnum.service.labels import Found, Label, LabelItem, Reader
from vnum.service.prints import PAGE, Printed, StaleLabel, Why

UNPRINTED: Final = (
    Code.BINDING_NOT_FOUND,
    Code.BINDING_EXPIRED,
    Code.BINDING_RELEASED,
    Code.RECIPIENT_ERASED,
    *IN_A_BATCH,
)
"""Why there is no number to print; what keeps an order from a number keeps it from a new one."""

_ITEM: Final = msgspec.json.Decoder(LabelItem)


class Current(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reissue` = bind lapsed orders anew, as they were bound before."""

    items: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=200, extra={"item": LabelItem})]
    reissue: bool = False


class LabelResult(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`orders`: of a parcel that carries several orders, each of them, the newest first; the result itself is then the
    first of them that lives, since a label bears one number and any of these reaches the recipient."""

    shown: ClassVar[tuple[str, ...]] = (
        "merchant_id",
        "order_id",
        "binding_id",
        "host",
        "extension",
        "number",
        "state",
        "expires_at",
    )

    status: int
    merchant_id: str | None = None
    order_id: str | None = None
    binding_id: UUID | None = None
    host: str | None = None
    extension: str | None = None
    number: str | None = None
    state: State | None = None
    expires_at: datetime | None = None
    error: ItemError | None = None
    orders: "list[LabelResult] | None" = None


class LabelResults(msgspec.Struct, frozen=True):
    results: list[LabelResult]


class LabelQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`format`: how the label is given."""

    format: Literal["json"]


class ParcelView(msgspec.Struct, frozen=True, gc=False):
    carrier: str
    waybill_no: str


class LabelView(msgspec.Struct, frozen=True, kw_only=True):
    """What a label bears. `valid_until` = the day (Asia/Shanghai) on which it expires."""

    merchant_id: str
    order_id: str
    binding_id: UUID
    host: str
    extension: str
    number: str
    expires_at: datetime
    valid_until: date
    printed_at: datetime
    parcels: list[ParcelView]


class StaleQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`days` ahead; `after` = `next` of the page before."""

    merchant_id: Name | None = None
    carrier: Name | None = None
    days: Annotated[int, msgspec.Meta(ge=0, le=90)] = 3
    after: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None


class StaleView(msgspec.Struct, frozen=True, kw_only=True):
    """`number` = as printed. `ends_at` = when the number of the order ended or ends: with `replaced` its new one's.
    `parcels`: those that travel."""

    merchant_id: str
    order_id: str
    binding_id: UUID
    number: str
    printed_at: datetime
    why: Why
    ends_at: datetime
    parcels: list[ParcelView]


class StaleList(msgspec.Struct, frozen=True, omit_defaults=True):
    labels: list[StaleView]
    next: str | None = None


class Labels:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/labels/current", READERS, self.current, Current, audited=True),
            Endpoint("GET", "/v1/labels/stale", READERS, self.stale, StaleQuery),
            Endpoint("GET", "/v1/labels/{merchant_id}/{order_id}", READERS, self.label, LabelQuery),
        ]

    @answers(LabelResults, within=UNPRINTED)
    async def current(self, call: Call, asked: Current) -> Answer:
        """A result an item, in order. What a tied key may not see is not found."""
        read = [_read(item) for item in asked.items]
        items = [item for item in read if isinstance(item, LabelItem)]
        found = iter(
            await self._engine.labels.found(items, reissue=asked.reissue, reader=reader_of(call.caller))
            if items
            else []
        )
        results = [_found(next(found)) if isinstance(item, LabelItem) else result_of(item) for item in read]
        return json_answer(200, LabelResults(results), final=all(result.status < 500 for result in results))

    @answers(
        LabelView,
        refuses=(
            Code.BINDING_NOT_FOUND,
            Code.BINDING_EXPIRED,
            Code.BINDING_RELEASED,
            Code.ORDER_NOT_SHIPPED,
        ),
    )
    async def label(self, call: Call, asked: LabelQuery) -> Answer:
        """The label of one order; every one given out is written down. Of others' parcels a tied courier sees none."""
        merchant_id, order_id = order_in(call)
        printed = await self._engine.prints.label(merchant_id, order_id, asked.format, reader_of(call.caller))
        return json_answer(200, _label_view(printed))

    @answers(StaleList)
    async def stale(self, call: Call, asked: StaleQuery) -> Answer:
        """Labels out there whose number lapsed, was replaced, or lapses within `days`, while a parcel travels; 200 at a
        time, by merchant and order."""
        found = await self._engine.prints.stale(
            reader_of(call.caller),
            days=asked.days,
            merchant_id=asked.merchant_id,
            carrier=asked.carrier,
            after=_position(asked.after),
        )
        more = _text_of(found[-1]) if len(found) == PAGE else None
        return json_answer(200, StaleList([_stale_view(label) for label in found], more))


def order_in(call: Call) -> tuple[str, str]:
    """(merchant_id, order_id) of the path. Raises Refused (binding_not_found): what is no name names no order."""
    merchant_id, order_id = call.named("merchant_id"), call.named("order_id")
    if not (storable(merchant_id) and storable(order_id)):
        raise Refused(Code.BINDING_NOT_FOUND, "no order has such a name")
    return merchant_id, order_id


def reader_of(caller: Caller) -> Reader:
    return Reader(merchants=caller.merchants, carrier=caller.carrier, prints=caller.role in PRINTERS)


def _read(item: msgspec.Raw) -> LabelItem | Refusal:
    try:
        return decode(_ITEM, item)
    except Refused as refused:
        return refused.refusal


def _found(found: Found) -> LabelResult:
    result = result_of(found.label)
    if not found.orders:
        return result
    return msgspec.structs.replace(result, orders=[_named(order, label) for order, label in found.orders])


def _named(order: tuple[str, str], label: Label | Refusal) -> LabelResult:
    """Also a refusal names the order here."""
    return msgspec.structs.replace(result_of(label), merchant_id=order[0], order_id=order[1])


def result_of(label: Label | Refusal) -> LabelResult:
    if isinstance(label, Refusal):
        status, error = item_error(label)
        return LabelResult(status, error=error)
    binding = label.binding
    return LabelResult(
        200,
        binding.merchant_id,
        binding.order_id,
        binding.binding_id,
        binding.host,
        binding.extension,
        number_of(binding),
        binding.state(label.now),
        utc(binding.expires_at),
    )


def _label_view(printed: Printed) -> LabelView:
    binding = printed.label.binding
    return shown_as(
        LabelView,
        binding,
        number=number_of(binding),
        valid_until=binding.expires_at.astimezone(ZONE).date(),
        printed_at=utc(printed.label.now),
        parcels=_parcels(printed.parcels),
    )


def _stale_view(label: StaleLabel) -> StaleView:
    number = format_number(VirtualNumber(host=Host(label.host), extension=Extension(label.extension)))
    return shown_as(StaleView, label, number=number, parcels=_parcels(label.parcels))


def _parcels(parcels: Sequence[tuple[str, str]]) -> list[ParcelView]:
    return [ParcelView(*parcel) for parcel in parcels]


def _text_of(label: StaleLabel) -> str:
    """Where a list goes on, as text that needs no escaping in a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode((label.merchant_id, label.order_id))).decode()


def _position(after: str | None) -> tuple[str, str]:
    """Raises Refused (invalid_request)."""
    if after is None:
        return "", ""
    try:
        merchant_id, order_id = msgspec.json.decode(base64.urlsafe_b64decode(after), type=tuple[str, str])
    except (*MALFORMED, binascii.Error, ValueError):
        merchant_id, order_id = "\0", ""
    if not (storable(merchant_id) and storable(order_id)):
        raise Refused(Code.INVALID_REQUEST, "after: the `next` of the page before")
    return merchant_id, order_id
