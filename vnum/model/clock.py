"""The leap guard: a server clock that jumps far ahead would end quarantines early, so it is not believed."""

from datetime import datetime, timedelta

import msgspec

LEAP = timedelta(hours=1)


class Anchor(msgspec.Struct, frozen=True):
    """What the server's clock said at a reading of this process's monotonic clock (seconds)."""

    instant: datetime
    monotonic_s: float


def leapt(anchor: Anchor | None, server: datetime, monotonic_s: float) -> bool:
    """Whether the server's clock ran more than an hour further than this process's own."""
    if anchor is None:
        return False
    return server - anchor.instant > timedelta(seconds=monotonic_s - anchor.monotonic_s) + LEAP


def settle(server: datetime, highest: datetime | None) -> datetime:
    """A clock behind the highest instant ever committed uses that one: time never runs backwards."""
    return server if highest is None or server >= highest else highest
