"""What a call is asked by: the slot dialled, its binding, and all that may forbid the call, in one statement."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec
from asyncpg import Record

from vnum.model.call_policy import CallerClass, Policies
from vnum.model.call_rules import Facts
from vnum.model.phones import ANONYMOUS
from vnum.service.group import Group
from vnum.store import routes as stored
from vnum.store.database import Database


class _Dialled(msgspec.Struct, frozen=True, gc=False):
    cell: int
    host: str
    extension: str
    caller_hash: bytes
    at: datetime | None


class Slots:
    """Looks dialled digits up, those of many callers at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: Group[_Dialled, Record] = Group(self._ask, lanes=2)

    async def look_up(self, cell: int, host: str, digits: str, caller_hash: bytes, at: datetime | None) -> Record:
        """What sql/routes.sql tells of it; the binding's columns are null when the digits are no slot's."""
        return await self._asked.submit(_Dialled(cell, host, digits, caller_hash, at))

    async def _ask(self, dialled: Sequence[_Dialled]) -> list[Record]:
        by_cell: defaultdict[int, list[int]] = defaultdict(list)
        for n, one in enumerate(dialled):
            by_cell[one.cell].append(n)
        answers: dict[int, Record] = {}
        for cell, positions in by_cell.items():
            asked = [msgspec.structs.astuple(dialled[n])[1:] for n in positions]
            found = await stored.look_up(self._database, cell, asked)
            answers |= zip(positions, found, strict=True)
        return [answers[n] for n in range(len(dialled))]


def facts_of(record: Record, caller: str, policies: Policies, *, opens: bool) -> Facts:
    """The record as the rules want it. `opens` = the key of the recipient's phone is still there.

    A courier answers for parcels of his carriers: of an order that others carry he is a stranger.
    """
    verified = record["verified"] is True and record["carries"] is not False
    return Facts(
        now=record["now"],
        policy=policies.over(record["policy"]),
        locked=record["locked_out"] is True,
        withheld=caller == ANONYMOUS,
        caller=_class(record["class"], verified=verified),
        registered=verified,
        group=record["caller_group"],
        caller_listed=record["caller_listed"] is True,
        bound_at=record["bound_at"],
        ended_at=record["ended_at"],
        released=record["release_reason"] is not None,
        erased=record["recipient"] is None or not opens,
        order_status=record["order_status"],
        wanted_group=record["wanted_group"],
        opted_out_of_all=record["everything"] is True,
        opted_out_of_shop=record["shop"] is True,
        blocks_caller=record["blocked"] is True,
        callee_listed=record["callee_listed"] is True,
        reached=record["reached"] is True,
    )


def _class(registered: str | None, *, verified: bool) -> CallerClass:
    """A courier on nobody's word, or of another's parcel, may be anyone."""
    if registered is None or (registered == CallerClass.COURIER and not verified):
        return CallerClass.UNKNOWN
    return CallerClass(registered)
