"""Examples of requests and answers, made of the fields: the same shop, order and number everywhere.

A field's value is what its name says here, else what its type allows. Fields that may be left out are, unless the
struct names them: `shown: ClassVar[tuple[str, ...]] = ("binding",)`. Where that makes no sense, an endpoint has an
`example` of its own. Each example is read back as its struct, so that none can be wrong.

No phone here can be anybody's: a subscriber's number on a fixed line never begins with 1 (such are service numbers).
"""

from typing import Any, Final

import msgspec
from msgspec import inspect

from vnum.api.openapi.schemas import Json, Struct, fields_of, raw_items

_AT: Final = "2026-10-05T04:00:00Z"
_ID: Final = "0199b2a4-3600-7000-8000-5c1f9e0a7d42"
_BY_NAME: Final[dict[str, object]] = {
    "after": "shop-1",
    "amount": "-0.02",
    "amount_due": "0.04",
    "answer_time": "2026-10-05T04:01:10Z",
    "author": "finance",
    "binding_id": _ID,
    "biz_date": "2026-10-05",
    "bound_at": _AT,
    "call_id": "c-1",
    "call_time": "2026-10-05T04:01:00Z",
    "callee": "+8657112345678",
    "caller": "02112345678",
    "calls": 1,
    "carrier": "SF",
    "city": "Hangzhou",
    "closed_at": "2026-11-01T00:00:00Z",
    "code": "binding_expired",
    "cost": "0.04",
    "detail": "the number expired",
    "display_number": "18400913965",
    "effective_from": "2026-12-01T00:00:00+08:00",
    "ends_at": "2026-11-01T00:00:00Z",
    "event_id": "e-1",
    "expires_at": "2026-11-04T04:00:00Z",
    "digits": 4,
    "ext_digits": 4,
    "extension": "7576",
    "from": _AT,
    "host": "18400913965",
    "kind": "binding",
    "invoice_number": "VN-2026-000001",
    "max_seconds": 10800,
    "merchant_id": "shop-1",
    "migrated": True,
    "minute": "0.02",
    "minutes": 2,
    "month": "2026-10",
    "name": "Shop 1",
    "isv": "5f0c2b7a91de",
    "key_id": "5f0c2b7a91de",
    "granted_by": "09ab3c55e1f2",
    "note": "the shop's order system",
    "rate_per_s": 100,
    "role": "merchant",
    "secret": "vk_5f0c2b7a91de_" + 40 * "0",
    "next": "shop-1",
    "note_number": "VN-NOTE-2026-000001",
    "number": "18400913965-7576",
    "opened_at": "2026-10-06T04:00:00Z",
    "order_id": "A1001",
    "order_status": "shipped",
    "period": "2026-10",
    "phone": "0571-12345678",
    "postgres": "18.3",
    "quarantine_days": 90,
    "rate": "0.00018",
    "reason": "wrong length of the call",
    "recipient_phone": "0571-12345678",
    "redis": "up",
    "release_time": "2026-10-05T04:02:11Z",
    "rental_cost": "0.00018",
    "call_cost": "0.04",
    "seconds": 61,
    "setup_fee": "0",
    "tariff_id": "default",
    "tax_rate": "0.06",
    "to": "2026-10-06T04:00:00Z",
    "version": 1,
    "waybill_no": "SF1234567890",
    "data": {"binding_id": _ID, "merchant_id": "shop-1", "code": "binding_released"},
    "params": {"order": "A1001"},
    "recipient_token": "rt_CVbT4Wn1Z7o8nDq6XfQm0v3k2u5Rr9sYtJpLhGcBaE0",
    "template_id": "parcel-arrived",
    "text": "Parcel of order {order} is at your door.",
    "url": "https://shop.example.com/hook",
    "delivery_id": _ID,
    "webhook_id": _ID,
    "message_id": _ID,
    "failure": "status 500",
}
_OF_STRUCT: Final[dict[tuple[str, str], object]] = {
    ("ChangeRecipient", "reason"): "the buyer has a new phone",
    ("Erase", "reason"): "request 17 of the data protection officer",
    ("KeyOrder", "merchants"): ["shop-1"],
    ("KeyPatch", "note"): "the shop's order system",
    ("LifecyclePolicy", "end_after_signed_days"): 15,
    ("MerchantChange", "spend_cap"): "500",
    ("NewMessage", "params"): {"order": "A1001"},
    ("OpenDispute", "reason"): "nobody answered",
    ("Release", "reason"): "returned",
    ("Resolve", "reason"): "the carrier's file has the same seconds",
    ("RouteRequest", "digits"): "7576",
    ("WebhookChange", "active"): True,
}
"""Where the name alone says too little: what is tried out as it stands should do what one expects, and no harm. These
are shown, also where they may be left out."""

_IN_PATH: Final = {
    "blacklist_id": _ID,
    "caller_id": _ID,
    "dispute_id": "1",
    "invoice_id": "VN-2026-000001",
    "review_id": "1",
}
_PROSE: Final = {"string": "text", "invoices": "VN-2026-000001"}


class NoExample(Exception):
    """A field that neither its name nor its type gives a value; the message says where to put one."""


def example_of(struct: Struct) -> Json:
    """Raises NoExample."""
    shown = getattr(struct, "shown", ())
    raw = raw_items(struct)
    made: Json = {}
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    if info.tag_field is not None:
        made[info.tag_field] = info.tag
    for field in fields_of(struct):
        name = field.encode_name
        if name in raw:
            made[name] = [example_of(raw[name])]
        elif field.required or field.name in shown or (struct.__name__, name) in _OF_STRUCT:
            made[name] = _value(struct, name, field.type)
    try:
        check(made, struct)
    except msgspec.ValidationError as error:
        raise NoExample(f"the example of {struct.__name__} is no such struct: {error}") from error
    return made


def in_path(name: str) -> str:
    """Of a part of a path. Raises NoExample."""
    value = _IN_PATH.get(name, _BY_NAME.get(name))
    if not isinstance(value, str):
        raise NoExample(f"{{{name}}} of the path has no example: name a value in vnum/api/openapi/examples.py")
    return value


def _value(struct: Struct, name: str, kind: inspect.Type) -> Any:
    for value in _candidates(struct, name, kind):
        if _fits(value, struct, name):
            return value
    raise NoExample(f"{struct.__name__}.{name} has no example: name a value in vnum/api/openapi/examples.py")


def _candidates(struct: Struct, name: str, kind: inspect.Type) -> list[Any]:
    told = [_OF_STRUCT[struct.__name__, name]] if (struct.__name__, name) in _OF_STRUCT else []
    named = [*told, *([_BY_NAME[name]] if name in _BY_NAME else [])]
    return [*named, *_by_type(struct, name, kind)]


def _fits(value: object, struct: Struct, name: str) -> bool:
    kind = next((field.type for field in msgspec.structs.fields(struct) if field.encode_name == name), Any)
    try:
        check(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def check(value: object, kind: Any) -> None:
    """As a body is read. Raises msgspec.ValidationError."""
    msgspec.json.decode(msgspec.json.encode(value), type=kind)


def _by_type(struct: Struct, name: str, kind: inspect.Type) -> list[Any]:
    match kind:
        case inspect.Metadata():
            return _by_type(struct, name, kind.type)
        case inspect.UnionType():
            return [value for part in kind.types for value in _by_type(struct, name, part)]
        case inspect.EnumType():
            return [next(iter(kind.cls)).value]
        case inspect.LiteralType():
            return [kind.values[0]]
        case inspect.StructType():
            return [example_of(kind.cls)]
        case inspect.ListType():
            return [[item] for item in _candidates(struct, "", kind.item_type)]
        case inspect.DictType():
            return [{}]
        case inspect.IntType():
            return [kind.ge or 0]
        case inspect.StrType():
            return [] if name.endswith("_id") else ["0", _PROSE["string"]]
    return list(_PLAIN.get(type(kind), []))


_PLAIN: Final[dict[type[inspect.Type], list[Any]]] = {
    inspect.BoolType: [False],
    inspect.DateTimeType: [_AT],
    inspect.DateType: ["2026-10-05"],
    inspect.DecimalType: ["0.02"],
    inspect.NoneType: [None],
    inspect.UUIDType: [_ID],
}
