"""Rating a call (billing rule 6.4): by the tariff in force at its answer, whole, never split."""

from datetime import datetime

import msgspec

from billing.prices import Increments
from billing.prices.increments import CallWorking, seconds
from billing.tariffs import TariffBook, TariffId, TariffVersion


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


class CallRater:
    """Prices many calls by one book. A price hangs on the version and the whole seconds: each such pair is rated once,
    and its calls get the very same object. Not to be kept for longer than the book."""

    __slots__ = ("_book", "_rated")

    def __init__(self, book: TariffBook) -> None:
        self._book = book
        self._rated: dict[tuple[TariffId, int, int], Rated] = {}

    def rate(
        self, tariff_id: TariffId, priced_at: datetime, answered_at: datetime | None, released_at: datetime
    ) -> Rated:
        """As `rate_call`, by the tariff's version in force at `priced_at`.

        Raises:
            TariffMissing: none is in force then.
            ValueError: as `rate_call`.
        """
        tariff = self._book.at(tariff_id, priced_at)
        key = (tariff.tariff_id, tariff.version, seconds(answered_at, released_at))
        rated = self._rated.get(key)
        if rated is None:
            rated = self._rated[key] = rate_call(answered_at, released_at, tariff)
        return rated
