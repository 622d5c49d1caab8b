"""Refused calls, for the merchant whose number was dialled: when, which order, why, what class of caller; never who."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from vnum.model.call_policy import CallerClass
from vnum.model.call_rules import told
from vnum.model.refusals import Code, Refused
from vnum.service.calls import LONGEST
from vnum.service.keys import Tie
from vnum.store import routes as stored
from vnum.store.database import Database

PAGE = 1_000


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    attempt_id: UUID
    at: datetime
    call_id: str
    order_id: str
    binding_id: UUID
    code: Code
    caller_class: CallerClass = msgspec.field(name="class")


class Attempts:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        merchant_id: str,
        since: datetime,
        until: datetime,
        *,
        after: tuple[datetime, UUID] | None = None,
        tie: Tie = None,
    ) -> list[Attempt]:
        """Up to 1,000 in [since, until), behind `after`; of another's merchant none. Raises Refused
        (invalid_request)."""
        if not timedelta(0) < until - since <= LONGEST:
            raise Refused(Code.INVALID_REQUEST, f"from must be before to, and at most {LONGEST.days} days before it")
        if tie is not None and merchant_id not in tie:
            return []
        place = after or (since, UUID(int=0))
        records = await stored.attempts(self._database, merchant_id, since, until, place, PAGE)
        return [
            Attempt(
                attempt_id=record["attempt_id"],
                at=record["at"],
                call_id=record["call_id"],
                order_id=record["order_id"],
                binding_id=record["binding_id"],
                code=Code(told(record["code"], tied=tie is not None)),
                caller_class=CallerClass(record["class"]),
            )
            for record in records
        ]
