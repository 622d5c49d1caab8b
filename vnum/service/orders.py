"""What a bind is asked for: the request as it comes, and the order that passed the checks."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from vnum.model.acting import SYSTEM
from vnum.model.bindings import MAX_TTL_DAYS, Mode
from vnum.model.fields import Name, PhoneText, Text
from vnum.model.orders import OrderStatus
from vnum.service.supply import Wish


class Parcel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    carrier: Name
    waybill_no: Name


class BindRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a platform asks for. ttl_days are spans of 24 hours."""

    merchant_id: Name
    order_id: Name
    recipient_phone: PhoneText
    order_status: OrderStatus
    ttl_days: Annotated[int, msgspec.Meta(ge=1, le=MAX_TTL_DAYS)] = 30
    city: Name | None = None
    city_strict: bool = False
    mode: Mode = Mode.AXE
    recipient_name: Text | None = None
    parcels: Annotated[list[Parcel], msgspec.Meta(max_length=50)] = []

    def __post_init__(self) -> None:
        if self.city_strict and self.city is None:
            raise ValueError("city_strict needs a city")


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request that passed the checks: its phone in canonical form, and the hashes of phone and order.

    `by` = who asks for it. `under_way` = the number of a parcel under way lapsed, and it gets another: no cap on
    spending keeps it from one.
    """

    merchant_id: str
    order_id: str
    phone: str
    fingerprint: bytes
    holder: int
    order_status: str
    ttl_days: int
    wish: Wish
    mode: str
    recipient_name: str | None = None
    parcels: Sequence[Parcel] = ()
    under_way: bool = False
    by: str = SYSTEM.by
