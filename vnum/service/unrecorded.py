"""Connected calls of which no switch reported the end: to be looked for in the carrier's file, none silently lost."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from vnum.meters import UNRECORDED
from vnum.service.clock import Clock, peek
from vnum.store import lives as stored
from vnum.store.database import Database

PAGE = 1_000
MOST_COUNTED = 100_000
"""The figure ends there: so many say the same as more."""

BEGINNING = (datetime(1970, 1, 1, tzinfo=UTC), "")


class UnrecordedCall(msgspec.Struct, frozen=True, kw_only=True):
    """connected_at = when route let it through; overdue_at = an hour after its longest possible end. call_back = the
    recipient rang. merchant_id null = its binding is not kept any more."""

    call_id: str
    binding_id: UUID
    merchant_id: str | None
    order_id: str | None
    host: str | None
    extension: str | None
    connected_at: datetime
    overdue_at: datetime
    call_back: bool


class Unrecorded:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def page(self, after: tuple[datetime, str] | None = None, limit: int = PAGE) -> list[UnrecordedCall]:
        """Up to 1,000, the longest overdue first, behind `after` (overdue_at, call_id)."""
        now = await peek(self._clock, self._database)
        records = await stored.unrecorded(self._database, now, after or BEGINNING, limit)
        of = await stored.bindings(self._database, [record["binding_id"] for record in records])
        return [
            UnrecordedCall(
                call_id=record["call_id"],
                binding_id=record["binding_id"],
                connected_at=record["routed_at"],
                overdue_at=record["overdue_at"],
                call_back=record["back"],
                **{
                    name: of[record["binding_id"]][name] if record["binding_id"] in of else None
                    for name in ("merchant_id", "order_id", "host", "extension")
                },
            )
            for record in records
        ]

    async def measure(self, now: datetime) -> None:
        """Sets the figure."""
        UNRECORDED.set(await stored.count_unrecorded(self._database, now, MOST_COUNTED))
