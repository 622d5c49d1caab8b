"""Rating a call (billing rule 6.4): by the tariff in force at its answer, whole, never split."""

from datetime import datetime

import msgspec

from billing.prices import Increments
from billing.prices.increments import CallWorking
from billing.tariffs import TariffId, TariffVersion


class Rated(CallWorking, frozen=True, kw_only=True, gc=False):
    """A call's price with its working, and by which version of which tariff it was made."""

    tariff_id: TariffId
    tariff_version: int


def rate_call(answered_at: datetime | None, released_at: datetime, tariff: TariffVersion) -> Rated:
    """Price one call by the tariff in force at its answer, which the caller looked up.

    Raises:
        ValueError: released before it was answered; such a record is rejected before it is rated.
    """
    match tariff.calls:
        case Increments() as increments:
            working = increments.rate(answered_at, released_at)
    return Rated(**msgspec.structs.asdict(working), tariff_id=tariff.tariff_id, tariff_version=tariff.version)
