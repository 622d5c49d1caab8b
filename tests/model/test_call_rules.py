"""The rules of a call, as a table: what is known of it, and why it does not go through."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vnum.model.call_policy import CallerClass, CallPolicy, PlatformPolicy, Purpose, Quiet, WhoMayRing
from vnum.model.call_rules import GRACE, NO_CAP, Facts, caps, counts, refusal, tells_expiry
from vnum.model.refusals import Code

NOW = datetime(2026, 10, 10, 4, tzinfo=UTC)  # noon in Shanghai
TICK = timedelta(microseconds=1)
NOON = CallPolicy(quiet=Quiet(since="11:00", until="13:00"))
REGISTERED = CallPolicy(who=WhoMayRing.REGISTERED)
GROUP = CallPolicy(who=WhoMayRing.GROUP, group="g")
LAPSED = {"ended_at": NOW - TICK}
AGENT: dict[str, Any] = {"caller": CallerClass.MERCHANT_AGENT, "registered": True}
ROBOT: dict[str, Any] = {"caller": CallerClass.ROBOT, "registered": True}
COURIER: dict[str, Any] = {"caller": CallerClass.COURIER, "registered": True}


def facts(**more: Any) -> Facts:
    """Of a call that goes through: anyone rings a live number of a shipped order."""
    known: dict[str, Any] = {
        "now": NOW,
        "policy": CallPolicy(),
        "bound_at": NOW - timedelta(days=1),
        "ended_at": NOW + TICK,
        "order_status": "shipped",
    }
    return Facts(**known | more)


@pytest.mark.parametrize(
    ("known", "code"),
    [
        ({}, None),
        ({"bound_at": NOW}, None),
        ({"bound_at": NOW + TICK}, Code.BINDING_EXPIRED),
        ({"ended_at": NOW}, Code.BINDING_EXPIRED),
        ({"ended_at": NOW, "released": True}, Code.BINDING_RELEASED),
        ({"bound_at": None, "ended_at": None, "erased": True, "order_status": None}, Code.NO_BINDING),
        ({"locked": True}, Code.CALLER_LOCKED_OUT),
        ({"locked": True, "bound_at": None}, Code.CALLER_LOCKED_OUT),
        ({"erased": True}, Code.RECIPIENT_ERASED),
        # the recipient's no
        ({"opted_out_of_all": True}, Code.RECIPIENT_OPTED_OUT),
        ({"opted_out_of_all": True, **COURIER}, Code.RECIPIENT_OPTED_OUT),
        ({"opted_out_of_shop": True}, Code.RECIPIENT_OPTED_OUT),
        ({"opted_out_of_shop": True, **AGENT}, Code.RECIPIENT_OPTED_OUT),
        ({"opted_out_of_shop": True, **ROBOT}, Code.RECIPIENT_OPTED_OUT),
        ({"opted_out_of_shop": True, **COURIER}, None),
        ({"blocks_caller": True, **COURIER}, Code.CALLER_BLOCKED),
        # who rings
        ({"caller_listed": True}, Code.CALLER_BLACKLISTED),
        ({"callee_listed": True}, Code.RECIPIENT_BLACKLISTED),
        ({"withheld": True}, None),
        ({"withheld": True, "policy": CallPolicy(withheld=False)}, Code.CALLER_WITHHELD),
        ({"policy": REGISTERED}, Code.CALLER_NOT_ALLOWED),
        ({"policy": REGISTERED, **AGENT}, None),
        ({"policy": REGISTERED, **AGENT, "registered": False}, Code.CALLER_NOT_ALLOWED),
        ({"policy": REGISTERED, **COURIER}, None),
        ({"policy": GROUP, **COURIER}, Code.CALLER_NOT_ALLOWED),
        ({"policy": GROUP, **AGENT, "group": "g"}, None),
        ({"policy": GROUP, **AGENT, "group": "h"}, Code.CALLER_NOT_ALLOWED),
        ({"wanted_group": "h", **AGENT, "group": "h"}, None),
        ({"wanted_group": "h"}, Code.CALLER_NOT_ALLOWED),
        ({"wanted_group": "h", "policy": GROUP, **AGENT, "group": "g"}, Code.CALLER_NOT_ALLOWED),
        # what for, and when
        ({"order_status": "waybill_issued"}, None),
        ({"order_status": "signed"}, None),
        ({"order_status": "cancelled"}, Code.PURPOSE_NOT_ALLOWED),
        ({"order_status": "closed"}, Code.PURPOSE_NOT_ALLOWED),
        ({"order_status": "signed", "policy": CallPolicy(purposes=[Purpose.DELIVERY])}, Code.PURPOSE_NOT_ALLOWED),
        ({"order_status": "shipped", "policy": CallPolicy(purposes=[Purpose.AFTER_SALES])}, Code.PURPOSE_NOT_ALLOWED),
        ({"policy": NOON}, Code.QUIET_HOURS),
        ({"policy": NOON, **AGENT}, Code.QUIET_HOURS),
        ({"policy": NOON, **COURIER}, None),
        # the first no counts
        ({"opted_out_of_all": True, "policy": NOON, "caller_listed": True}, Code.RECIPIENT_OPTED_OUT),
        ({"opted_out_of_all": True, "locked": True}, Code.CALLER_LOCKED_OUT),
        ({"opted_out_of_all": True, **LAPSED}, Code.BINDING_EXPIRED),
    ],
)
def test_a_call(known: dict[str, Any], code: Code | None) -> None:
    assert refusal(facts(**known)) is code


@pytest.mark.parametrize(
    ("known", "tells"),
    [
        ({"reached": True}, True),
        ({}, False),
        ({"reached": True, "ended_at": NOW - GRACE + TICK}, True),
        ({"reached": True, "ended_at": NOW - GRACE}, False),
        ({"reached": True, "released": True}, False),
        ({"reached": True, "locked": True}, False),
        ({"reached": True, "withheld": True}, False),
        ({"reached": True, "opted_out_of_all": True}, False),
        ({"reached": True, "opted_out_of_shop": True}, False),
        ({"reached": True, "opted_out_of_shop": True, **COURIER}, True),
        ({"reached": True, "blocks_caller": True}, False),
        ({"reached": True, "policy": REGISTERED}, False),
        ({"reached": True, "policy": NOON}, True),
        ({"reached": True, "order_status": "closed"}, True),
        ({"policy": REGISTERED, **AGENT}, True),
        ({"policy": GROUP, **AGENT, "group": "g"}, True),
        ({"wanted_group": "g", **AGENT, "group": "g"}, True),
        ({"wanted_group": "g", **AGENT, "group": "h"}, False),
        ({"reached": True, "ended_at": NOW + TICK}, False),
    ],
)
def test_who_hears_that_a_number_expired(known: dict[str, Any], *, tells: bool) -> None:
    assert tells_expiry(facts(**LAPSED | known)) is tells


@pytest.mark.parametrize(
    ("known", "counted"),
    [
        ({}, True),
        ({"locked": True}, False),
        ({**AGENT}, False),
        ({**ROBOT}, False),
        ({**COURIER}, True),
        ({**AGENT, "registered": False}, True),
        ({**AGENT, **LAPSED}, True),
        ({"bound_at": None}, True),
    ],
)
def test_what_counts_towards_a_lock(known: dict[str, Any], *, counted: bool) -> None:
    assert counts(facts(**known)) is counted


@pytest.mark.parametrize(
    ("policy", "platform", "known", "most"),
    [
        ({}, {}, {}, None),
        ({"calls_per_hour": 1}, {}, {}, [1, NO_CAP, NO_CAP, NO_CAP]),
        ({"calls_per_day": 2}, {"all_calls_per_hour": 3, "all_calls_per_day": 4}, {}, [NO_CAP, 2, 3, 4]),
        ({"calls_per_day": 2}, {}, COURIER, None),
        ({"calls_per_day": 2}, {}, AGENT, [NO_CAP, 2, NO_CAP, NO_CAP]),
        ({"calls_per_day": 2, "exempt": []}, {}, COURIER, [NO_CAP, 2, NO_CAP, NO_CAP]),
    ],
)
def test_caps(policy: dict[str, Any], platform: dict[str, Any], known: dict[str, Any], most: list[int] | None) -> None:
    assert caps(facts(policy=CallPolicy(**policy), **known), PlatformPolicy(**platform)) == most
