"""The clocks of a running switch."""

import time
from datetime import UTC, datetime


class MachineClock:
    """The machine's clocks; nothing else of the switch reads them."""

    def utc(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251

    def monotonic(self) -> float:
        return time.monotonic()
