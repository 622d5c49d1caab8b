"""Call policies: quiet hours by the recipient's clock, a merchant's fields over the platform's, and what is none."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from vnum.model.call_policy import CallerClass, CallPolicy, PlatformPolicy, Policies, PolicyFields, Purpose, Quiet


def shanghai(time: str) -> datetime:
    return datetime.fromisoformat(f"2026-10-10T{time}+08:00").astimezone(UTC)


@pytest.mark.parametrize(
    ("since", "until", "time", "covered"),
    [
        ("21:00", "08:00", "20:59:59.999999", False),
        ("21:00", "08:00", "21:00:00", True),
        ("21:00", "08:00", "23:59:59", True),
        ("21:00", "08:00", "00:00:00", True),
        ("21:00", "08:00", "07:59:59.999999", True),
        ("21:00", "08:00", "08:00:00", False),
        ("12:00", "14:00", "11:59:59", False),
        ("12:00", "14:00", "12:00:00", True),
        ("12:00", "14:00", "14:00:00", False),
        ("00:00", "08:00", "00:00:00", True),
        ("00:00", "08:00", "23:59:59", False),
        ("22:00", "00:00", "23:59:59", True),
        ("22:00", "00:00", "00:00:00", False),
    ],
)
def test_quiet_hours(since: str, until: str, time: str, *, covered: bool) -> None:
    assert Quiet(since=since, until=until).covers(shanghai(time)) is covered


def test_what_a_merchant_leaves_out_is_the_platforms() -> None:
    policies = Policies(PlatformPolicy(calls_per_day=5, quiet=Quiet(since="22:00", until="07:00"), all_calls_per_day=9))
    assert policies.over(None) == CallPolicy(calls_per_day=5, quiet=Quiet(since="22:00", until="07:00"))
    own = policies.over('{"calls_per_day":2,"quiet":null}')
    assert (own.calls_per_day, own.quiet, own.exempt) == (2, None, [CallerClass.COURIER])
    assert policies.over('{"purposes":["delivery"]}').purposes == [Purpose.DELIVERY]


def test_a_group_of_the_platform_is_left_by_whoever_says_who_may_ring() -> None:
    policies = Policies(msgspec.convert({"who": "group", "group": "all"}, PlatformPolicy))
    assert policies.over('{"who":"anyone"}').group is None
    assert policies.over('{"calls_per_day":1}').group == "all"


@pytest.mark.parametrize(
    "fields",
    [
        {"who": "group"},
        {"group": "g"},
        {"who": "registered", "group": "g"},
        {"quiet": {"from": "22:00", "to": "22:00"}},
        {"quiet": {"from": "24:00", "to": "08:00"}},
        {"quiet": {"from": "9:00", "to": "10:00"}},
        {"quiet": {"from": "09:00\n", "to": "10:00"}},
        {"exempt": ["unknown"]},
        {"calls_per_hour": 0},
        {"calls_per_day": 1001},
        {"max_seconds": 0},
        {"purposes": ["marketing"]},
        {"complaints": 0},
        {"all_calls_per_day": 3},
        {"surprise": 1},
    ],
)
def test_what_is_no_policy(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, PolicyFields)
