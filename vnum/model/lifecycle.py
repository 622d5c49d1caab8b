"""The life of an order that follows its parcels: what is told of it, and when its number ends by the policy."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from vnum.model.bindings import life
from vnum.model.orders import OrderStatus, advances


class EventType(StrEnum):
    SHIPPED = "shipped"
    SIGNED = "signed"
    RETURNED = "returned"
    AFTER_SALES_OPENED = "after_sales_opened"
    AFTER_SALES_CLOSED = "after_sales_closed"
    CANCELLED = "cancelled"
    CLOSED = "closed"


OF_PARCELS = frozenset({EventType.SHIPPED, EventType.SIGNED, EventType.RETURNED})
"""What may be told of one parcel; the rest is told of the whole order."""


class ParcelState(StrEnum):
    TRAVELLING = "travelling"
    SIGNED = "signed"
    RETURNED = "returned"


class Parcel(msgspec.Struct, frozen=True):
    """A parcel as far as an order's life goes. `since` = when it was signed for or came back."""

    state: ParcelState = ParcelState.TRAVELLING
    since: datetime | None = None


class Event(msgspec.Struct, frozen=True):
    """`whole` = of the whole order, and not of one parcel."""

    type: EventType
    at: datetime
    whole: bool = True


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Days of 24 hours; None = no such rule.

    end_after_signed_days: after the last parcel was signed for. end_after_closed_days: after the order was cancelled or
    closed, or the last parcel came back. max_reach_days: from an order's first number on, over extensions and
    re-issues.
    """

    end_after_signed_days: int | None = None
    end_after_closed_days: int | None = None
    max_reach_days: int | None = None


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """Where an order stands. `reopened` = after-sales began after it was closed. `ends_at` = when its number ends by
    the policy, if it does not end before; None = the policy ends it nowhere."""

    status: OrderStatus
    after_sales_open: bool
    reopened: bool
    travelling: bool
    ends_at: datetime | None


def course(status: OrderStatus, events: Sequence[Event], parcels: Sequence[Parcel], policy: Policy) -> Course:
    """From what is known of an order: the same, in whatever order its events came in.

    `events` by the instants of their happening; `status` as other messages left it.
    """
    opened = status is OrderStatus.AFTER_SALES
    over: Event | None = None
    quiet_since: datetime | None = None
    reopened = False
    loose = Parcel()
    for event in events:
        match event.type:
            case EventType.SIGNED | EventType.RETURNED if event.whole:
                loose = Parcel(ParcelState(event.type), event.at)
            case EventType.AFTER_SALES_OPENED:
                opened = True
                if over is not None and over.type is EventType.CLOSED:
                    over, reopened = None, True
            case EventType.AFTER_SALES_CLOSED:
                opened, quiet_since = False, event.at
            case EventType.CANCELLED | EventType.CLOSED:
                over, reopened = event, False
            case _:
                pass
    parcels = parcels or [loose]
    return Course(
        status=_status(events, parcels, over),
        after_sales_open=opened and over is None,
        reopened=reopened,
        travelling=over is None and any(parcel.state is ParcelState.TRAVELLING for parcel in parcels),
        ends_at=_ends_at(parcels, policy, over=over, opened=opened, quiet_since=quiet_since),
    )


def moved_on(stored: OrderStatus, now: Course) -> OrderStatus:
    """A late message takes no order back; only after-sales may begin after an order was closed."""
    if advances(stored, now.status):
        return now.status
    if stored is OrderStatus.CLOSED and now.reopened and now.status is OrderStatus.AFTER_SALES:
        return now.status
    return stored


def _status(events: Sequence[Event], parcels: Sequence[Parcel], over: Event | None) -> OrderStatus:
    if over is not None:
        return OrderStatus(over.type)
    told = {event.type for event in events}
    if EventType.AFTER_SALES_OPENED in told:
        return OrderStatus.AFTER_SALES
    if _arrived(parcels) and any(parcel.state is ParcelState.SIGNED for parcel in parcels):
        return OrderStatus.SIGNED
    return OrderStatus.SHIPPED if told & OF_PARCELS else OrderStatus.UNPAID


def _ends_at(
    parcels: Sequence[Parcel], policy: Policy, *, over: Event | None, opened: bool, quiet_since: datetime | None
) -> datetime | None:
    ends: list[datetime] = []
    if over is None and opened:
        return None
    if over is not None and policy.end_after_closed_days is not None:
        ends.append(over.at + life(policy.end_after_closed_days))
    rested = [parcel.since for parcel in parcels if parcel.since is not None]
    if _arrived(parcels) and rested:
        signed = any(parcel.state is ParcelState.SIGNED for parcel in parcels)
        days = policy.end_after_signed_days if signed else policy.end_after_closed_days
        if days is not None:
            ends.append(max([*rested, *([] if quiet_since is None else [quiet_since])]) + life(days))
    return min(ends, default=None)


def _arrived(parcels: Sequence[Parcel]) -> bool:
    return all(parcel.state is not ParcelState.TRAVELLING for parcel in parcels)
