"""What happened to an order, as it is told: kept once, however often and under whatever id it comes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

import msgspec
from asyncpg import Record

from vnum.model.acting import acting
from vnum.model.fields import Instant, Name
from vnum.model.lifecycle import OF_PARCELS, EventType, ParcelState
from vnum.model.refusals import Code, Refused
from vnum.service.order_change import Locked
from vnum.store import lifecycle as stored

MOST_EVENTS = 500
"""Of one order: more is no order's life."""

TOLERANCE = timedelta(minutes=5)
"""By so much a sender's clock may be ahead."""

Kept = tuple[bool, str, datetime]
"""Whether it is new, its id, and when it happened."""


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happened to an order, or with carrier and waybill_no to one parcel of it. `at` = when (now, if left out);
    `event_id` = the sender's own, unique in the order."""

    type: EventType
    carrier: Name | None = None
    waybill_no: Name | None = None
    at: Instant | None = None
    event_id: Name | None = None

    def __post_init__(self) -> None:
        if (self.carrier is None) != (self.waybill_no is None):
            raise ValueError("carrier and waybill_no go together")
        if self.carrier is not None and self.type not in OF_PARCELS:
            raise ValueError(f"{self.type} is told of the whole order, without carrier and waybill_no")


async def keep(new: NewEvent, locked: Locked) -> Kept:
    """Keeps an event unless it is known. Raises Refused: time_in_future, event_conflict, parcel_not_found."""
    at = _instant(new, locked.now)
    events = locked.known.events
    if (known := _known(new, events)) is not None:
        return known
    event_id = new.event_id or _content_id(new, at, len(events))
    await _write(locked, new, event_id, at)
    return True, event_id, at


async def _write(locked: Locked, new: NewEvent, event_id: str, at: datetime) -> None:
    events, merchant_id, order_id = locked.known.events, locked.merchant_id, locked.order_id
    if new.carrier is not None and (new.carrier, new.waybill_no) not in {
        (row["carrier"], row["waybill_no"]) for row in locked.known.parcels
    }:
        raise Refused(
            Code.PARCEL_NOT_FOUND,
            "the order has no such parcel: add it with POST /v1/orders/{merchant_id}/{order_id}/parcels first",
        )
    if len(events) >= MOST_EVENTS:
        raise Refused(Code.EVENT_CONFLICT, f"{MOST_EVENTS} events of this order are kept already")
    columns = (new.type, new.carrier, new.waybill_no, at, locked.now, acting().by)
    await stored.add_event(locked.connection, locked.cell, merchant_id, order_id, event_id, len(events) + 1, *columns)
    if new.type in (EventType.SIGNED, EventType.RETURNED):
        parcel = (new.carrier, new.waybill_no)
        await stored.rest_parcels(locked.connection, merchant_id, order_id, ParcelState(new.type), at, parcel)


def _instant(new: NewEvent, now: datetime) -> datetime:
    """Raises Refused (time_in_future)."""
    if new.at is not None and new.at > now + TOLERANCE:
        raise Refused(Code.TIME_IN_FUTURE, "at: lies more than five minutes ahead")
    return new.at or now


def _known(new: NewEvent, events: Sequence[Record]) -> Kept | None:
    """The event as it was kept, if it was. Without an id and an instant, it is known if nothing else of its kind
    happened since. Raises Refused (event_conflict)."""
    if new.event_id is not None:
        same = next((row for row in events if row["event_id"] == new.event_id), None)
        if same is not None and (_what(same) != _asked(new) or new.at not in (None, same["at"])):
            raise Refused(Code.EVENT_CONFLICT, "event_id: came with another event of this order before; take a new one")
    elif new.at is not None:
        same = next((row for row in events if _what(row) == _asked(new) and row["at"] == new.at), None)
    else:
        family = [row for row in events if _of_one_kind(row, new)]
        same = family[-1] if family and family[-1]["type"] == new.type else None
    return None if same is None else (False, same["event_id"], same["at"])


def _of_one_kind(row: Record, new: NewEvent) -> bool:
    """What may undo one another: states of the same parcel, after-sales, the order's end."""
    kinds = (
        {EventType.SIGNED, EventType.RETURNED},
        {EventType.AFTER_SALES_OPENED, EventType.AFTER_SALES_CLOSED, EventType.CANCELLED, EventType.CLOSED},
        {EventType.SHIPPED},
    )
    kind = next(kind for kind in kinds if new.type in kind)
    return row["type"] in kind and (row["carrier"], row["waybill_no"]) == (new.carrier, new.waybill_no)


def _what(row: Record) -> tuple[object, ...]:
    return row["type"], row["carrier"], row["waybill_no"]


def _asked(new: NewEvent) -> tuple[object, ...]:
    return str(new.type), new.carrier, new.waybill_no


def _content_id(new: NewEvent, at: datetime, before: int) -> str:
    """An id of the event's own. `before` = how many events came before it: two without an instant may share theirs."""
    content = (*_asked(new), at.isoformat(), before if new.at is None else "")
    return sha256(repr(content).encode()).hexdigest()[:32]
