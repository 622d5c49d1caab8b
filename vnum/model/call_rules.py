"""Whether a call goes through: one table of rules, the first that says no counts. Pure.

To who rings, every no is the same (docs/decisions/0028); the code is for the switch's log and the merchant's.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from vnum.model.call_policy import PURPOSES, CallerClass, CallPolicy, PlatformPolicy, WhoMayRing
from vnum.model.refusals import Code

GRACE: Final = timedelta(days=7)
"""How long after its expiry a number tells those who were connected through it that it lapsed."""

NO_CAP: Final = 2_147_483_647


class Facts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a call is decided by. bound_at None = the digits are no slot's. `reached` = this caller was connected by
    this very binding before; it is looked up of lapsed ones only. registered = verified, and of this merchant's or a
    carrier's. wanted_group = of this binding alone."""

    now: datetime
    policy: CallPolicy
    locked: bool = False
    withheld: bool = False
    caller: CallerClass = CallerClass.UNKNOWN
    registered: bool = False
    group: str | None = None
    caller_listed: bool = False
    bound_at: datetime | None = None
    ended_at: datetime | None = None
    released: bool = False
    erased: bool = False
    order_status: str | None = None
    wanted_group: str | None = None
    opted_out_of_all: bool = False
    opted_out_of_shop: bool = False
    blocks_caller: bool = False
    callee_listed: bool = False
    reached: bool = False


def _over(facts: Facts) -> bool:
    assert facts.bound_at is not None
    assert facts.ended_at is not None
    return not facts.bound_at <= facts.now < facts.ended_at


def _opted_out(facts: Facts) -> bool:
    """A courier that a carrier answers for brings the parcel; whom nobody answers for may be the shop's."""
    return facts.opted_out_of_all or (facts.opted_out_of_shop and facts.caller is not CallerClass.COURIER)


def _chosen(facts: Facts) -> bool:
    """Whether the caller is among those whom the policy, or the binding, picks out."""
    if facts.wanted_group is not None:
        return facts.registered and facts.group == facts.wanted_group
    match facts.policy.who:
        case WhoMayRing.ANYONE:
            return False
        case WhoMayRing.REGISTERED:
            return facts.registered
        case WhoMayRing.GROUP:
            return facts.registered and facts.group == facts.policy.group


def _may_not_ring(facts: Facts) -> bool:
    anyone = facts.wanted_group is None and facts.policy.who is WhoMayRing.ANYONE
    return not anyone and not _chosen(facts)


def _no_purpose(facts: Facts) -> bool:
    return facts.order_status is None or PURPOSES.get(facts.order_status) not in facts.policy.purposes


def _exempt(facts: Facts) -> bool:
    return facts.registered and facts.caller in facts.policy.exempt


def _quiet(facts: Facts) -> bool:
    quiet = facts.policy.quiet
    return quiet is not None and not _exempt(facts) and quiet.covers(facts.now)


Rule = tuple[Code, Callable[[Facts], bool]]

BEFORE_ALL: Final[tuple[Rule, ...]] = (
    (Code.CALLER_LOCKED_OUT, lambda facts: facts.locked),
    (Code.NO_BINDING, lambda facts: facts.bound_at is None),
)
LIFE: Final[tuple[Rule, ...]] = (
    (Code.RECIPIENT_ERASED, lambda facts: facts.erased and facts.released and _over(facts)),
    (Code.BINDING_RELEASED, lambda facts: facts.released and _over(facts)),
    (Code.BINDING_EXPIRED, _over),
)
PERSONS: Final[tuple[Rule, ...]] = (
    (Code.RECIPIENT_ERASED, lambda facts: facts.erased),
    (Code.RECIPIENT_OPTED_OUT, _opted_out),
    (Code.CALLER_BLOCKED, lambda facts: facts.blocks_caller),
    (Code.CALLER_BLACKLISTED, lambda facts: facts.caller_listed),
    (Code.RECIPIENT_BLACKLISTED, lambda facts: facts.callee_listed),
    (Code.CALLER_WITHHELD, lambda facts: facts.withheld and not facts.policy.withheld),
    (Code.CALLER_NOT_ALLOWED, _may_not_ring),
    (Code.PURPOSE_NOT_ALLOWED, _no_purpose),
    (Code.QUIET_HOURS, _quiet),
)
RULES: Final = (*BEFORE_ALL, *LIFE, *PERSONS)
"""In order. One more, calls_capped, is decided where calls are counted: in the statement that files the call."""


def refusal(facts: Facts) -> Code | None:
    """Why the call does not go through; None = it does, as far as its recipient's caps allow."""
    for code, says_no in RULES:
        if says_no(facts):
            return code
    return None


def tells_expiry(facts: Facts) -> bool:
    """Whether the caller of an expired number may hear that it expired: less than 7 days ago, and he was connected
    through it before or is among those picked out for it; and nothing else would have kept him from its recipient but
    the hour, and what the parcel's journey came to."""
    if facts.ended_at is None or facts.locked or facts.released or facts.now >= facts.ended_at + GRACE:
        return False
    if not _over(facts) or not ((facts.reached and not facts.withheld) or _chosen(facts)):
        return False
    passing = {Code.QUIET_HOURS, Code.PURPOSE_NOT_ALLOWED}
    return not any(says_no(facts) for code, says_no in PERSONS if code not in passing)


def counts(facts: Facts) -> bool:
    """Whether a refusal counts towards locking the caller out: not while he is, and not for a live number of the
    merchant whose own he is, who can read it anyway."""
    if facts.locked:
        return False
    own = facts.registered and facts.caller is not CallerClass.COURIER
    return not (own and facts.bound_at is not None and not _over(facts))


_OF_OTHERS = {code.value for code in (Code.CALLER_BLOCKED, Code.RECIPIENT_BLACKLISTED, Code.CALLS_CAPPED_BY_ALL)}


def told(code: str, *, tied: bool) -> str:
    """What a merchant hears: what may come of a recipient's dealings with other merchants has one code for him."""
    return Code.RECIPIENT_UNAVAILABLE.value if tied and str(code) in _OF_OTHERS else code


def caps(facts: Facts, platform: PlatformPolicy) -> list[int] | None:
    """At most so many connected calls to the recipient: this merchant's within an hour and a day, everybody's within an
    hour and a day; None = the call is neither capped nor counted."""
    policy = facts.policy
    most = (
        policy.calls_per_hour,
        policy.calls_per_day,
        platform.all_calls_per_hour,
        platform.all_calls_per_day,
    )
    return None if _exempt(facts) else _caps(most)


def text_caps(policy: CallPolicy, platform: PlatformPolicy) -> list[int] | None:
    """The same of texts, whoever sends them."""
    return _caps((policy.texts_per_hour, policy.texts_per_day, platform.all_texts_per_hour, platform.all_texts_per_day))


def _caps(most: tuple[int | None, ...]) -> list[int] | None:
    if all(cap is None for cap in most):
        return None
    return [NO_CAP if cap is None else cap for cap in most]
