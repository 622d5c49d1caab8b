"""Call policy: who may ring a merchant's recipients, when, how often and how long; and how often they are texted. Pure;
nothing here knows a phone."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec

from vnum.model.fields import Name
from vnum.model.orders import OrderStatus

ZONE: Final = ZoneInfo("Asia/Shanghai")
"""Every recipient's: recipients are mobiles and fixed lines of mainland China."""


class CallerClass(StrEnum):
    """Who rings, as far as somebody answers for him. `unknown` is nobody's word, and never registered."""

    MERCHANT_AGENT = "merchant_agent"
    COURIER = "courier"
    ROBOT = "robot"
    UNKNOWN = "unknown"


class WhoMayRing(StrEnum):
    ANYONE = "anyone"
    REGISTERED = "registered"  # verified callers of the merchant, and verified couriers
    GROUP = "group"  # verified callers of the merchant's that bear the policy's group


class Purpose(StrEnum):
    DELIVERY = "delivery"
    AFTER_SALES = "after_sales"


PURPOSES: Final[dict[str, Purpose]] = {
    OrderStatus.WAYBILL_ISSUED: Purpose.DELIVERY,
    OrderStatus.SHIPPED: Purpose.DELIVERY,
    OrderStatus.SIGNED: Purpose.AFTER_SALES,
    OrderStatus.AFTER_SALES: Purpose.AFTER_SALES,
}
"""What a call may be for, by the order's status. Orders unpaid, cancelled or closed give no reason to ring."""

TimeOfDay = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)")]
PerHour = Annotated[int, msgspec.Meta(ge=1, le=100)]
PerDay = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=86_400)]


class Quiet(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}
):
    """Hours in which nobody is rung, [from, to) by Asia/Shanghai; from later than to = across midnight."""

    since: TimeOfDay
    until: TimeOfDay

    def __post_init__(self) -> None:
        if self.since == self.until:
            raise ValueError("quiet hours that begin and end at the same time; null = none")

    def covers(self, now: datetime) -> bool:
        time = f"{now.astimezone(ZONE):%H:%M}"
        if self.since < self.until:
            return self.since <= time < self.until
        return time >= self.since or time < self.until


class CallPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one merchant's calls may do. The default lets everybody ring at any time.

    `exempt` classes are bound neither by quiet hours nor by caps, and are not counted: the parcel is at the door.
    calls_per_*: connected calls of this merchant's to one recipient, within the last 60 minutes or 24 hours; null = any
    number. texts_per_*: texts of this merchant's to one recipient, in the same way; of those nobody is exempt.
    max_seconds null = as long as the platform allows. That many complaints by a recipient about a merchant's
    calls within that many days opt him out of them. call_back = recipients who ring the host without an extension reach
    who rang them last, or the shop.
    """

    who: WhoMayRing = WhoMayRing.ANYONE
    group: Name | None = None
    withheld: bool = True
    purposes: Annotated[list[Purpose], msgspec.Meta(max_length=2)] = msgspec.field(
        default_factory=lambda: list(Purpose)
    )
    quiet: Quiet | None = None
    exempt: Annotated[list[CallerClass], msgspec.Meta(max_length=3)] = msgspec.field(
        default_factory=lambda: [CallerClass.COURIER]
    )
    calls_per_hour: PerHour | None = None
    calls_per_day: PerDay | None = None
    texts_per_hour: PerHour | None = 5
    texts_per_day: PerDay | None = 20
    max_seconds: Seconds | None = None
    complaints: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    complaint_days: Annotated[int, msgspec.Meta(ge=1, le=180)] = 30
    call_back: bool = True

    def __post_init__(self) -> None:
        if (self.who is WhoMayRing.GROUP) != (self.group is not None):
            raise ValueError("who: group needs a group, and only that")
        if CallerClass.UNKNOWN in self.exempt:
            raise ValueError("exempt: callers whom nobody answers for can not be exempt")


class PlatformPolicy(CallPolicy, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy of merchants who set none, and of every field that they leave out. all_calls_per_*, all_texts_per_*:
    connected calls, and texts, of all merchants together to one recipient; no merchant's policy changes them."""

    all_calls_per_hour: PerHour | None = None
    all_calls_per_day: PerDay | None = None
    all_texts_per_hour: PerHour | None = 20
    all_texts_per_day: PerDay | None = 50


class PolicyFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merchant's own fields of a CallPolicy; what is left out is the platform's."""

    who: WhoMayRing | msgspec.UnsetType = msgspec.UNSET
    group: Name | msgspec.UnsetType | None = msgspec.UNSET
    withheld: bool | msgspec.UnsetType = msgspec.UNSET
    purposes: Annotated[list[Purpose], msgspec.Meta(max_length=2)] | msgspec.UnsetType = msgspec.UNSET
    quiet: Quiet | msgspec.UnsetType | None = msgspec.UNSET
    exempt: Annotated[list[CallerClass], msgspec.Meta(max_length=3)] | msgspec.UnsetType = msgspec.UNSET
    calls_per_hour: PerHour | msgspec.UnsetType | None = msgspec.UNSET
    calls_per_day: PerDay | msgspec.UnsetType | None = msgspec.UNSET
    texts_per_hour: PerHour | msgspec.UnsetType | None = msgspec.UNSET
    texts_per_day: PerDay | msgspec.UnsetType | None = msgspec.UNSET
    max_seconds: Seconds | msgspec.UnsetType | None = msgspec.UNSET
    complaints: Annotated[int, msgspec.Meta(ge=1, le=100)] | msgspec.UnsetType = msgspec.UNSET
    complaint_days: Annotated[int, msgspec.Meta(ge=1, le=180)] | msgspec.UnsetType = msgspec.UNSET
    call_back: bool | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        """Whatever the platform sets later, these fields go with it."""
        if (self.who is WhoMayRing.GROUP) != isinstance(self.group, str):
            raise ValueError("who: group needs a group, and only that")
        if self.exempt is not msgspec.UNSET and CallerClass.UNKNOWN in self.exempt:
            raise ValueError("exempt: callers whom nobody answers for can not be exempt")


_MOST_KEPT: Final = 10_000


class Policies:
    """The policies in force: the platform's, with what a merchant sets over it. Remembers what a text came to."""

    def __init__(self, platform: PlatformPolicy) -> None:
        self.platform = platform
        self._own = CallPolicy(**{name: getattr(platform, name) for name in CallPolicy.__struct_fields__})
        self._known: dict[str, CallPolicy] = {}

    def over(self, text: str | None) -> CallPolicy:
        """The policy of a merchant, from the JSON of his own fields (None = he sets none)."""
        if text is None:
            return self._own
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            known = self._known[text] = self._merged(text)
        return known

    def _merged(self, text: str) -> CallPolicy:
        fields = msgspec.to_builtins(self._own) | msgspec.json.decode(text, type=dict)
        if fields["who"] != WhoMayRing.GROUP:
            fields["group"] = None
        return msgspec.convert(fields, CallPolicy)
