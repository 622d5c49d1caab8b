"""Orders: what happens to them and their parcels, and what shops do with the numbers of their own."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as, utc
from vnum.api.auth import PLATFORMS, READERS, SHOPS
from vnum.api.bindings import BindingView, Extend, extended, number_of, view
from vnum.api.bodies import Nothing, decode, storable
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.api.labels import UNPRINTED, order_in, reader_of
from vnum.api.problems import ItemError, item_error
from vnum.engine import Engine
from vnum.model.acting import untied
from vnum.model.fields import Name
from vnum.model.lifecycle import EventType, ParcelState
from vnum.model.orders import OrderStatus
from vnum.model.refusals import Code, Refusal, Refused
from vnum.service.decrypt import Scene
from vnum.service.labels import Label, LabelItem, Reader
from vnum.service.lifecycle import Filed, Told
from vnum.service.order_events import NewEvent
from vnum.service.orders import Parcel


class OrderItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    merchant_id: Name
    order_id: Name


class Decrypted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`scene`: what the number is asked for; it is written down."""

    scene: Scene
    items: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=20, extra={"item": OrderItem})]


ENDED: Final = (Code.BINDING_NOT_FOUND, Code.BINDING_EXPIRED, Code.BINDING_RELEASED, Code.ORDER_NOT_SHIPPED)
"""Why a shop has no live number of an order."""

_ITEM: Final = msgspec.json.Decoder(OrderItem)


class DecryptResult(msgspec.Struct, frozen=True, omit_defaults=True):
    status: int
    merchant_id: str | None = None
    order_id: str | None = None
    number: str | None = None
    extension: str | None = None
    expires_at: datetime | None = None
    error: ItemError | None = None


class DecryptResults(msgspec.Struct, frozen=True):
    results: list[DecryptResult]


class Parcels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    parcels: Annotated[list[Parcel], msgspec.Meta(min_length=1, max_length=50)]


class FiledView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parcel. `since` = when it was signed for or came back."""

    carrier: str
    waybill_no: str
    state: ParcelState
    since: datetime | None = None


class ParcelList(msgspec.Struct, frozen=True):
    parcels: list[FiledView]


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """The order after an event. `ends_at` = when its number ends, or ended."""

    event_id: str
    merchant_id: str
    order_id: str
    type: EventType
    at: datetime
    order_status: OrderStatus
    binding_id: UUID
    live: bool
    ends_at: datetime


class CarriedOrder(msgspec.Struct, frozen=True, omit_defaults=True):
    """An order that a parcel carries; `state` of the parcel as told for this order."""

    merchant_id: str
    order_id: str
    state: ParcelState
    since: datetime | None = None


class WaybillView(msgspec.Struct, frozen=True):
    carrier: str
    waybill_no: str
    orders: list[CarriedOrder]


class Orders:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def endpoints(self) -> list[Endpoint]:
        order = "/v1/orders/{merchant_id}/{order_id}"
        return [
            Endpoint("POST", "/v1/orders/decrypt", SHOPS, self.decrypt, Decrypted, audited=True),
            Endpoint("POST", f"{order}/extend", SHOPS, self.extend, Extend, audited=True),
            Endpoint("POST", f"{order}/reissue", SHOPS, self.reissue, Nothing, audited=True),
            Endpoint("POST", f"{order}/events", PLATFORMS, self.tell, NewEvent, audited=True),
            Endpoint("GET", f"{order}/parcels", SHOPS, self.parcels),
            Endpoint("POST", f"{order}/parcels", PLATFORMS, self.add_parcels, Parcels, audited=True),
            Endpoint("DELETE", f"{order}/parcels", PLATFORMS, self.take_parcels, Parcels, audited=True),
            Endpoint("GET", "/v1/waybills/{carrier}/{waybill_no}", READERS, self.waybill),
        ]

    @answers(DecryptResults, within=(Code.INVALID_REQUEST, *ENDED))
    async def decrypt(self, call: Call, asked: Decrypted) -> Answer:
        """The virtual numbers of up to 20 orders, from shipped on; a result an item, in order. Never a phone."""
        read = [_read(item) for item in asked.items]
        items = [item for item in read if isinstance(item, LabelItem)]
        answers = iter(await self._engine.decrypter.decrypt(asked.scene, items, _shop(call)) if items else [])
        results = [_result(next(answers) if isinstance(item, LabelItem) else item) for item in read]
        return json_answer(200, DecryptResults(results), final=all(result.status < 500 for result in results))

    @answers(BindingView, refuses=(*ENDED, Code.EXTEND_LIMIT, Code.REACH_WINDOW_OVER, Code.HOST_LOCKED))
    async def extend(self, call: Call, asked: Extend) -> Answer:
        """Adds days of 24 hours to the live binding of an order that is shipped, as the platform's extend does."""
        binding_id = await self._engine.labels.named(*order_in(call), _shop(call))
        if isinstance(binding_id, Refusal):
            raise _refused(binding_id)
        if binding_id is None:
            raise Refused(Code.BINDING_NOT_FOUND, "no number was ever bound for this order")
        with untied():  # it is his own order's, as was just seen; what is written is written by the service
            return await extended(self._engine, call.once, binding_id, asked.days)

    @answers(BindingView, refuses=UNPRINTED)
    async def reissue(self, call: Call, asked: Nothing) -> Answer:
        """A new number for an order whose number expired, as it was bound before; while one lives, that one. The body
        is `{}`."""
        merchant_id, order_id = order_in(call)
        item = LabelItem(merchant_id=merchant_id, order_id=order_id)
        (label,) = await self._engine.labels.current([item], reissue=True, reader=_shop(call))
        if isinstance(label, Refusal):
            raise _refused(label)
        return json_answer(200, view(label.binding, label.now, self._engine.vault.tokens))

    @answers(
        EventView,
        status=(201, 200),
        refuses=(Code.BINDING_NOT_FOUND, Code.PARCEL_NOT_FOUND, Code.EVENT_CONFLICT, Code.TIME_IN_FUTURE),
    )
    async def tell(self, call: Call, new: NewEvent) -> Answer:
        """Something happened to an order or to one parcel of it: 201, or 200 if it was known. Its status goes forward,
        and its number ends when the policy says so."""
        merchant_id, order_id = order_in(call)
        told = await self._engine.lifecycle.tell(merchant_id, order_id, new)
        return json_answer(201 if told.new else 200, _event(merchant_id, order_id, new, told))

    @answers(ParcelList, refuses=(Code.BINDING_NOT_FOUND,))
    async def parcels(self, call: Call, asked: Nothing) -> Answer:
        """The parcels of an order, in the order they became known."""
        merchant_id, order_id = order_in(call)
        if await self._engine.labels.named(merchant_id, order_id, _anytime(call)) is None:
            raise Refused(Code.BINDING_NOT_FOUND, "no number was ever bound for this order")
        return _shown(await self._engine.lifecycle.parcels(merchant_id, order_id))

    @answers(ParcelList, refuses=(Code.BINDING_NOT_FOUND,))
    async def add_parcels(self, call: Call, asked: Parcels) -> Answer:
        """More parcels of a bound order; all that it has. One that is known stays as it is."""
        return _shown(await self._engine.lifecycle.add_parcels(*order_in(call), asked.parcels))

    @answers(ParcelList, refuses=(Code.BINDING_NOT_FOUND,))
    async def take_parcels(self, call: Call, asked: Parcels) -> Answer:
        """Takes back parcels that were filed for the wrong order; all that it still has."""
        return _shown(await self._engine.lifecycle.take_parcels(*order_in(call), asked.parcels))

    @answers(WaybillView, refuses=(Code.PARCEL_NOT_FOUND,))
    async def waybill(self, call: Call, asked: Nothing) -> Answer:
        """Which orders a parcel carries, the newest first. What a tied key may not see is not found."""
        carrier, waybill_no = call.named("carrier"), call.named("waybill_no")
        reader = reader_of(call.caller)
        rows = (
            await self._engine.labels.carried_by(carrier, waybill_no, reader)
            if storable(carrier) and storable(waybill_no)
            else []
        )
        if not rows:
            raise Refused(Code.PARCEL_NOT_FOUND, "no order is known for this waybill")
        carried = [
            CarriedOrder(row["merchant_id"], row["order_id"], ParcelState(row["state"]), row["since"]) for row in rows
        ]
        return json_answer(200, WaybillView(carrier, waybill_no, carried))


def _shop(call: Call) -> Reader:
    """Whoever asks as a shop does, reads a number from shipped on."""
    return Reader(merchants=call.caller.merchants, prints=False)


def _anytime(call: Call) -> Reader:
    return Reader(merchants=call.caller.merchants)


def _refused(refusal: Refusal) -> Refused:
    return Refused(refusal.code, refusal.detail, refusal.reason)


def _read(item: msgspec.Raw) -> LabelItem | Refusal:
    try:
        order = decode(_ITEM, item)
    except Refused as refused:
        return refused.refusal
    return LabelItem(merchant_id=order.merchant_id, order_id=order.order_id)


def _result(label: Label | Refusal) -> DecryptResult:
    if isinstance(label, Refusal):
        status, error = item_error(label)
        return DecryptResult(status, error=error)
    binding = label.binding
    return DecryptResult(
        200,
        binding.merchant_id,
        binding.order_id,
        number_of(binding),
        binding.extension,
        utc(binding.expires_at),
    )


def _event(merchant_id: str, order_id: str, new: NewEvent, told: Told) -> EventView:
    return shown_as(EventView, told, merchant_id=merchant_id, order_id=order_id, type=new.type)


def _shown(parcels: list[Filed]) -> Answer:
    return json_answer(200, ParcelList([shown_as(FiledView, parcel) for parcel in parcels]))
