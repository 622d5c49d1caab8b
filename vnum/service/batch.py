"""The orders of one cell that share a statement, and what each is answered."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from asyncpg import Record

from vnum.model.bindings import Binding, Mode, beyond_reach, life
from vnum.model.hosts import Host
from vnum.model.instants import DAY
from vnum.model.orders import OVER
from vnum.model.refusals import Code, Refusal
from vnum.service.orders import Order
from vnum.service.supply import Wish
from vnum.service.write import Verdict
from vnum.store.bindings import Row, Terms


class Bound(msgspec.Struct, frozen=True, gc=False):
    """A live binding; `created` = made by this request (201), else it was there (200). `now` = the batch's instant."""

    binding: Binding
    created: bool
    now: datetime


Outcome = Bound | Refusal


class Batch:
    """The orders of one cell that share a statement, and what became of each."""

    def __init__(self, cell: int, orders: Sequence[Order]) -> None:
        self.cell = cell
        self.orders = orders
        self.outcomes: list[Outcome] = [PENDING] * len(orders)
        self.records: dict[int, Record] = {}
        self.rows: dict[int, Row] = {}
        self.admitted: set[int] = set()
        self.asked: dict[Wish, Sequence[Host]] = {}
        self.now: datetime
        self._terms: dict[object, Terms] = {}

    def terms(self, order: Order, host: Host) -> Terms:
        """The same object for orders of the same terms at the same instant: it is sent once."""
        key = (self.now, order.by, order.wish, order.mode, order.ttl_days, order.order_status, host.quarantine_days)
        if key not in self._terms:
            expires_at = self.now + life(order.ttl_days)
            self._terms[key] = Terms(
                order.mode,
                order.wish.city,
                order.wish.strict,
                order.ttl_days,
                order.order_status,
                expires_at,
                host.held_until(expires_at),
                order.by,
            )
        return self._terms[key]

    def refuse(self, positions: Iterable[int], refusal: Refusal) -> None:
        for n in positions:
            self.outcomes[n] = refusal

    def pending(self) -> list[int]:
        """Positions without an answer; nothing is bound for them."""
        return [n for n, outcome in enumerate(self.outcomes) if outcome is PENDING]


UNKNOWN = Refusal(
    code=Code.OUTCOME_UNKNOWN,
    detail="the connection to PostgreSQL was lost in the commit; repeat the request, nothing is bound twice",
)
NOT_WRITTEN = Refusal(
    code=Code.STORE_UNAVAILABLE, detail="PostgreSQL did not take the binding; nothing was written, try again"
)
CONTENDED = Refusal(
    code=Code.STORE_UNAVAILABLE,
    detail="others took every slot that was tried, or its host changed; nothing was bound, try again",
)
UNSTORABLE = Refusal(
    code=Code.INVALID_REQUEST, detail="PostgreSQL can not store a value of this order; nothing was bound"
)
PENDING = Refusal(code=Code.STORE_UNAVAILABLE, detail="not tried yet")
REFUSED = {
    Verdict.UNKNOWN: UNKNOWN,
    Verdict.NOT_WRITTEN: NOT_WRITTEN,
    Verdict.UNSTORABLE: UNSTORABLE,
}


def answer_known(order: Order, record: Record, now: datetime) -> Outcome | None:
    """What can be answered without a slot; None = the order needs one."""
    if record["merchant_state"] is None:
        return Refusal(
            code=Code.MERCHANT_NOT_FOUND,
            detail=f"merchant {order.merchant_id} is not registered: POST /v1/merchants first",
        )
    if record["binding_id"] is not None and record["ended_at"] > now:
        if record["recipient_hash"] != order.fingerprint:
            return CONFLICT
        return Bound(current(record, order.merchant_id, order.order_id), False, now)
    if record["opted_out"]:
        return OPTED_OUT
    if record["merchant_state"] != "active":
        return Refusal(
            code=Code.MERCHANT_SUSPENDED,
            detail=f"merchant {order.merchant_id} is suspended: no new bindings until it is active again",
        )
    if record["order_status"] in OVER:
        return Refusal(
            code=Code.ORDER_NOT_SHIPPED, detail=f"the order is {record['order_status']} since: it gets no new number"
        )
    return _beyond_reach(order, record, now)


def _beyond_reach(order: Order, record: Record, now: datetime) -> Refusal | None:
    most: int | None = record["max_reach_days"]
    first = record["first_bound_at"] or record["bound_at"] or now
    refusal = beyond_reach(now + life(order.ttl_days), first, most)
    if refusal is None or most is None:
        return None
    left = max((first + life(most) - now) // DAY, 0)
    return msgspec.structs.replace(
        refusal,
        detail=f"{refusal.detail}; a new number may have ttl_days of {left} at most" if left else refusal.detail,
    )


OPTED_OUT = Refusal(
    code=Code.RECIPIENT_OPTED_OUT,
    detail="the recipient wants no calls through virtual numbers: no number is lent for him until he takes that back",
)
CONFLICT = Refusal(
    code=Code.BINDING_CONFLICT,
    detail="the order has a live binding to another phone; release that one first, then bind again",
)


def answer_twin(batch: Batch, n: int, first: int) -> Outcome:
    """The answer to a second request for an order in one batch: as if it had come after the first."""
    outcome = batch.outcomes[first]
    if outcome is CONFLICT:
        return answer_known(batch.orders[n], batch.records[first], batch.now) or outcome
    if isinstance(outcome, Refusal):
        return outcome
    if batch.orders[n].fingerprint != batch.orders[first].fingerprint:
        return CONFLICT
    return Bound(outcome.binding, False, outcome.now)


def current(record: Record, merchant_id: str, order_id: str) -> Binding:
    """The binding that an order's row names."""
    return Binding(
        binding_id=record["binding_id"],
        merchant_id=merchant_id,
        order_id=order_id,
        host=record["host"],
        extension=record["extension"],
        mode=Mode(record["mode"]),
        bound_at=record["bound_at"],
        expires_at=record["ended_at"],
        ended_at=record["ended_at"],
        released=record["released"],
    )


def binding_of(row: Row, now: datetime) -> Binding:
    return Binding(
        binding_id=row.binding_id,
        merchant_id=row.merchant_id,
        order_id=row.order_id,
        host=row.host,
        extension=row.extension,
        mode=Mode(row.terms.mode),
        bound_at=now,
        expires_at=row.terms.expires_at,
        ended_at=row.terms.expires_at,
    )
