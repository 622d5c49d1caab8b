"""Marks: what a recipient keys in after a call. A complaint is a no of his: to that caller at once, and to the merchant
when they are many."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from vnum.meters import MARKS
from vnum.model.call_policy import Policies
from vnum.model.cells import cell_of
from vnum.model.fields import CallId, Instant
from vnum.model.ids import cell_in
from vnum.model.refusals import Code, Refused
from vnum.service import opt_outs
from vnum.service.clock import Clock, peek
from vnum.service.keys import Tie
from vnum.service.opt_outs import BLOCKED, Scope
from vnum.store import call_policies
from vnum.store import marks as stored
from vnum.store.database import Connection, Database
from vnum.store.marks import Row

LONGEST = timedelta(days=92)
"""As many days as one sum may span."""

AHEAD = timedelta(minutes=5)
"""How far a switch's clock may be ahead of ours."""


class Mark(StrEnum):
    COMPLAINT = "complaint"  # he does not want such calls
    WRONG_PERSON = "wrong_person"  # the parcel is not his
    SATISFIED = "satisfied"


class NewMark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    call_id: CallId
    mark: Mark
    at: Instant


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """`new` = it was not there before. `blocked` = the caller does not reach this recipient from now on, `opted_out` =
    nor does anybody of the merchant's but a courier."""

    call_id: str
    mark: Mark
    new: bool
    blocked: bool = False
    opted_out: bool = False


class MarkSum(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a merchant's calls were so marked."""

    mark: Mark
    calls: int


class Marks:
    def __init__(self, database: Database, clock: Clock, policies: Policies, cells: int) -> None:
        self._database = database
        self._clock = clock
        self._policies = policies
        self._cells = cells

    async def add(self, new: NewMark) -> Marked:
        """Sent again it changes nothing. Raises Refused (call_not_found, time_in_future)."""
        now = await peek(self._clock, self._database)
        if new.at > now + AHEAD:
            raise Refused(Code.TIME_IN_FUTURE, "at: more than five minutes ahead")
        row = await self._row(new)
        async with self._database.acquire() as connection, connection.transaction():
            if row.recipient_hash is not None:
                await stored.complain_in_turn(connection, row.recipient_hash)
            if not await stored.add(connection, row):
                return Marked(call_id=new.call_id, mark=new.mark, new=False)
            MARKS.labels(new.mark).inc()
            if new.mark is not Mark.COMPLAINT or row.recipient_hash is None:
                return Marked(call_id=new.call_id, mark=new.mark, new=True)
            blocked = await self._block(connection, now, row.recipient_hash, row)
            opted_out = await self._opt_out(connection, now, row.recipient_hash, row.merchant_id)
        return Marked(call_id=new.call_id, mark=new.mark, new=True, blocked=blocked, opted_out=opted_out)

    async def sums(self, merchant_id: str, since: datetime, until: datetime, *, tie: Tie = None) -> list[MarkSum]:
        """Of marks made within [since, until); of another's merchant none. Raises Refused (invalid_request)."""
        if not timedelta(0) < until - since <= LONGEST:
            raise Refused(Code.INVALID_REQUEST, f"from must be before to, and at most {LONGEST.days} days before it")
        if tie is not None and merchant_id not in tie:
            return []
        records = await stored.sums(self._database, merchant_id, since, until)
        return [MarkSum(mark=Mark(record["mark"]), calls=record["calls"]) for record in records]

    async def _row(self, new: NewMark) -> Row:
        """The mark with the parties of its call, which route or the call's record named."""
        cell = cell_of(self._cells, new.call_id)
        key = await stored.routed(self._database, cell, new.call_id)
        if key is None or key["binding_id"] is None:
            raise _UNKNOWN
        binding_id = key["binding_id"]
        found = await stored.parties(self._database, cell_in(binding_id), binding_id, key["biz_at"], new.call_id)
        if found is None:
            raise _UNKNOWN
        caller, recipient = key["caller_hash"] or found["caller_hash"], found["recipient_hash"]
        if key["back"]:  # the recipient rang: who keys something in then is not he, and blocks nobody for him
            caller = recipient = None
        return Row(cell, new.call_id, new.mark, new.at, binding_id, found["merchant_id"], caller, recipient)

    async def _block(self, connection: Connection, now: datetime, recipient: bytes, row: Row) -> bool:
        if row.caller_hash is None:
            return False
        await opt_outs.say(connection, now, recipient, BLOCKED, "", row.caller_hash, f"complaint call={row.call_id}")
        return True

    async def _opt_out(self, connection: Connection, now: datetime, recipient: bytes, merchant_id: str) -> bool:
        policy = self._policies.over(await call_policies.get(connection, merchant_id))
        since = now - timedelta(days=policy.complaint_days)
        if await stored.complaints(connection, recipient, merchant_id, since) < policy.complaints:
            return False
        why = f"{policy.complaints} complaints within {policy.complaint_days} days"
        await opt_outs.say(connection, now, recipient, Scope.MERCHANT, merchant_id, why=why)
        return True


_UNKNOWN = Refused(Code.CALL_NOT_FOUND, "no call of this id was connected here")
