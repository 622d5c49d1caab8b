"""Rating a call (billing rule 6.4): started minutes at the tariff in force at the answer."""

from datetime import datetime
from decimal import Decimal

import msgspec

from billing.money import EXACT, ZERO
from billing.tariffs import TariffId, TariffVersion


class Rated(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call's price with its working: cost = minutes x rate, minutes = seconds / 60 rounded up."""

    seconds: int
    minutes: int
    rate: Decimal
    cost: Decimal
    tariff_id: TariffId
    tariff_version: int


def seconds(answered_at: datetime | None, released_at: datetime) -> int:
    """Whole seconds from answer to release, the rest cut off; 0 when nobody answered.

    Raises:
        ValueError: released before it was answered; such a record is rejected before it is rated.
    """
    if answered_at is None:
        return 0
    span = released_at - answered_at
    if span.days < 0:
        raise ValueError("a call cannot be released before it was answered")
    return span.days * 86_400 + span.seconds


def minutes(whole_seconds: int) -> int:
    """Started minutes; 0 s is free."""
    return -(-whole_seconds // 60)


def rate_call(answered_at: datetime | None, released_at: datetime, tariff: TariffVersion) -> Rated:
    """Price one call by the tariff in force at its answer, which the caller looked up; never split."""
    talked = seconds(answered_at, released_at)
    charged = -(-talked // 60)
    rate = tariff.call_minute
    return Rated(
        seconds=talked,
        minutes=charged,
        rate=rate,
        cost=EXACT.multiply(rate, charged) if charged else ZERO,
        tariff_id=tariff.tariff_id,
        tariff_version=tariff.version,
    )
