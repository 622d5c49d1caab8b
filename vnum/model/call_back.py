"""Whom a recipient reaches who dials a host without an extension: who rang him last, else his shop. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from vnum.model.call_policy import CallPolicy


class Lent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A live binding of the one who dials, on the host that he dials. rang_at = the last call that reached him through
    it, within the window; party = who that was, None = nobody who may be rung (withheld, erased, blacklisted, not
    recorded yet). barred = he himself may not ring through numbers of this merchant."""

    binding_id: UUID
    bound_at: datetime
    policy: CallPolicy
    service_number: str | None = None
    rang_at: datetime | None = None
    party: str | None = None
    barred: bool = False


class Wanted(NamedTuple):
    """`callee` is a real number, and for the switch alone; the call is one of the binding."""

    binding_id: UUID
    callee: str
    policy: CallPolicy

    def __repr__(self) -> str:
        return f"Wanted({self.binding_id})"


def wanted(lent: Sequence[Lent]) -> Wanted | None:
    """None = he is asked for an extension, like everybody else.

    Who rang last counts, not who rang last of those that may be rung: a call back never reaches another than meant.
    """
    open_ = [one for one in lent if one.policy.call_back and not one.barred]
    rung = [(one.rang_at, one) for one in open_ if one.rang_at is not None]
    if rung:
        _, last = max(rung, key=lambda pair: pair[0])
        if last.party is not None:
            return Wanted(last.binding_id, last.party, last.policy)
    newest = max(open_, key=lambda one: (one.bound_at, one.binding_id), default=None)
    if newest is None or newest.service_number is None:
        return None
    return Wanted(newest.binding_id, newest.service_number, newest.policy)
