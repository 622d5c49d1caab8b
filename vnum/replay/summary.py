"""The figures of a replay."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from vnum.finance import plain
from vnum.replay.audit import Audit


class Summary(msgspec.Struct, kw_only=True):
    """What a replay came to; money in CNY, exact."""

    bindings: int = 0
    labels: int = 0
    calls_answered: int = 0
    call_minutes: int = 0
    call_cost: Decimal = Decimal(0)
    rental_days: int = 0
    rental_cost: Decimal = Decimal(0)
    total_exact: Decimal = Decimal(0)
    amount_due: Decimal = Decimal(0)
    invoices: int = 0
    merchants: int = 0
    hosts: int = 0
    calls_unanswered: int = 0
    calls_rejected: int = 0
    rejected_rows: int = 0
    first_bound_at: datetime | None = None
    last_ended_at: datetime | None = None
    audit: Audit = msgspec.field(default_factory=Audit)

    def write(self, path: Path) -> None:
        """As JSON; money as plain decimal strings."""
        written = {
            name: plain(value) if isinstance(value, Decimal) else value
            for name, value in msgspec.structs.asdict(self).items()
        }
        path.write_bytes(msgspec.json.format(msgspec.json.encode(written), indent=2) + b"\n")
