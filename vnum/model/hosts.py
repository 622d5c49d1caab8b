"""Host numbers: what the engine knows of each, and what their states allow."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from vnum.model import damm
from vnum.model.instants import FOREVER
from vnum.model.numbers import Plan, extension_of


class HostState(StrEnum):
    ACTIVE = "active"
    DRAINING = "draining"  # no bind, extend allowed
    LOCKED = "locked"  # neither; route still answers
    RETIRED = "retired"  # only without live bindings


class ExtCheck(StrEnum):
    NONE = "none"
    DAMM = "damm"


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """One host number. `quarantine_days` None = a slot is never used again; `max_live` None = no cap."""

    host: str
    cell: int
    plan: Plan
    ext_digits: int
    ext_check: ExtCheck
    quarantine_days: int | None
    state: HostState
    city: str | None = None
    carrier: str | None = None
    max_live: int | None = None

    @property
    def size(self) -> int:
        """Slots by number of digits, usable or not."""
        return int(10**self.ext_digits)

    def held_until(self, ended_at: datetime) -> datetime:
        """When a slot may be bound again: exactly its end plus the quarantine of its host."""
        if self.quarantine_days is None:
            return FOREVER
        return ended_at + timedelta(hours=24 * self.quarantine_days)

    def usable(self, index: int) -> bool:
        """Whether the pool may lend this extension: never 0...0, and with `damm` only those that check."""
        if index == 0:
            return False
        return self.ext_check is ExtCheck.NONE or damm.is_valid(extension_of(index, self.ext_digits))

    @property
    def capacity(self) -> int:
        """Slots that may be lent: all but 0...0; with `damm` one in ten of them."""
        if self.ext_check is ExtCheck.NONE:
            return self.size - 1
        return self.size // 10 - 1
