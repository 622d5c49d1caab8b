"""Bindings: the rules of their life, as plain functions of (state, command, now)."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from vnum.model.refusals import Code, Refusal

MAX_TTL_DAYS = 90
MAX_LIFE = timedelta(hours=24 * 180)
EXTENSIONS_OF_LIFE = (7, 15, 30)
"""Days by which a binding may be extended at a time."""


class Mode(StrEnum):
    AXE = "axe"
    """Anyone dials the host, keys in the extension and reaches the recipient."""


class State(StrEnum):
    LIVE = "live"
    EXPIRED = "expired"
    RELEASED = "released"


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """One lease of one slot to one order. Live iff bound_at <= now < ended_at, by the clock alone."""

    binding_id: UUID
    merchant_id: str
    order_id: str
    host: str
    extension: str
    mode: Mode
    bound_at: datetime
    expires_at: datetime
    ended_at: datetime
    released: bool = False

    def state(self, now: datetime) -> State:
        if now < self.ended_at:
            return State.LIVE
        return State.RELEASED if self.released else State.EXPIRED


def life(ttl_days: int) -> timedelta:
    """Days of life are spans of 24 hours, not calendar days."""
    return timedelta(hours=24 * ttl_days)


def extend(binding: Binding, days: int, now: datetime) -> datetime | Refusal:
    """The new expiry, or why not: live ones only, and at most 180 days in all."""
    if binding.state(now) is not State.LIVE:
        return ended(binding, now)
    expires_at = binding.expires_at + life(days)
    if expires_at - binding.bound_at > MAX_LIFE:
        left = MAX_LIFE - (binding.expires_at - binding.bound_at)
        return Refusal(
            code=Code.EXTEND_LIMIT, detail=f"a binding lives at most 180 days in all; {left.days} may be added"
        )
    return expires_at


def beyond_reach(expires_at: datetime, first_bound_at: datetime, max_reach_days: int | None) -> Refusal | None:
    """Why a number may not live until then: an order's recipient is reached for so many days from its first number
    on. None = it may."""
    if max_reach_days is None:
        return None
    until = first_bound_at + life(max_reach_days)
    if expires_at <= until:
        return None
    return Refusal(
        code=Code.REACH_WINDOW_OVER,
        detail=f"the recipient of an order may be reached for {max_reach_days} days in all, of this one until "
        f"{until:%FT%TZ}",
    )


def release(binding: Binding, now: datetime) -> bool | Refusal:
    """True = release it now; False = it is released already; an expired one can not be released."""
    match binding.state(now):
        case State.LIVE:
            return True
        case State.RELEASED:
            return False
        case State.EXPIRED:
            return ended(binding, now)


def ended(binding: Binding, now: datetime) -> Refusal:
    """The refusal that names how a binding ended."""
    if binding.state(now) is State.RELEASED:
        return Refusal(
            code=Code.BINDING_RELEASED,
            detail=f"the binding was released at {binding.ended_at:%FT%TZ}; for a new number bind the order again",
        )
    return Refusal(
        code=Code.BINDING_EXPIRED,
        detail=f"the binding expired at {binding.ended_at:%FT%TZ} and is never revived; bind the order again",
    )
