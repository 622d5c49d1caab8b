"""Bind: lend a slot to an order. The pool proposes, this checks, PostgreSQL decides.

Requests of one moment and cell become a batch here, and each gets its answer; `admit`, `lend` and `waybills` are the
steps in between.
"""

from collections.abc import Sequence
from functools import partial
from itertools import groupby

import structlog
from asyncpg import PostgresError

from vnum.model.acting import acting
from vnum.model.cells import cell_of
from vnum.model.orders import BINDABLE
from vnum.model.phones import PhoneError, parse_recipient
from vnum.model.refusals import Code, Refusal, Refused
from vnum.service.admit import Admission
from vnum.service.batch import CONTENDED, NOT_WRITTEN, PENDING, Batch, Outcome, answer_twin
from vnum.service.care import Care
from vnum.service.clock import Clock
from vnum.service.group import Group
from vnum.service.lend import Lender
from vnum.service.lifecycle import Lifecycle
from vnum.service.orders import BindRequest, Order, Parcel
from vnum.service.registry import Registry
from vnum.service.spend import Spending
from vnum.service.supply import Supply, Wish
from vnum.service.waybills import Waybills
from vnum.store.database import LOST, Database
from vnum.vault import Vault

log = structlog.get_logger()

MOST_IN_STATEMENT = 200
LANES = 2
"""Statements that a cell's single requests are written by at a time."""

ATTEMPTS = 6
"""How often an order is tried on another slot; the last time on slots read from PostgreSQL itself."""


def recipient(recipient_phone: str, registry: Registry) -> str | Refusal:
    """A recipient's phone in canonical form, or why it can be none."""
    try:
        phone = parse_recipient(recipient_phone).canonical
    except PhoneError as error:
        return Refusal(code=Code.INVALID_PHONE, detail=f"recipient_phone: {error}")
    if registry.owns(phone):
        return Refusal(code=Code.INVALID_PHONE, detail="recipient_phone: a host number of this service")
    return phone


class Binder:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        registry: Registry,
        supply: Supply,
        care: Care,
        spending: Spending,
        lifecycle: Lifecycle,
        clock: Clock,
        cells: int,
    ) -> None:
        self._vault = vault
        self._registry = registry
        self._cells = cells
        self._admission = Admission(database, spending, clock)
        self._lender = Lender(database, vault, supply, care)
        self._waybills = Waybills(database, lifecycle, cells)
        self._groups: dict[int, Group[Order, Outcome]] = {}

    def check(self, request: BindRequest) -> Order | Refusal:
        """The request as an order that may be bound, or why not. A phone is named in no refusal."""
        if request.order_status not in BINDABLE:
            return Refusal(
                code=Code.ORDER_NOT_SHIPPED,
                detail=f"order_status {request.order_status}: a number is lent from waybill_issued to after_sales",
            )
        phone = recipient(request.recipient_phone, self._registry)
        if isinstance(phone, Refusal):
            return phone
        return self.order(
            request.merchant_id,
            request.order_id,
            phone,
            order_status=request.order_status,
            ttl_days=request.ttl_days,
            wish=Wish(request.city, request.city_strict),
            mode=request.mode,
            recipient_name=request.recipient_name,
            parcels=request.parcels,
        )

    def order(
        self,
        merchant_id: str,
        order_id: str,
        phone: str,
        *,
        order_status: str,
        ttl_days: int,
        wish: Wish,
        mode: str,
        recipient_name: str | None = None,
        parcels: Sequence[Parcel] = (),
        under_way: bool = False,
    ) -> Order:
        """An order of a phone in canonical form, with the hashes that compare it."""
        return Order(
            merchant_id=merchant_id,
            order_id=order_id,
            phone=phone,
            fingerprint=self._vault.fingerprint(phone),
            holder=self._vault.holder(merchant_id, order_id),
            order_status=order_status,
            ttl_days=ttl_days,
            wish=wish,
            mode=mode,
            recipient_name=recipient_name,
            parcels=parcels,
            under_way=under_way,
            by=acting().by,
        )

    def cell_of(self, order: Order) -> int:
        return cell_of(self._cells, order.merchant_id, order.order_id)

    async def bind_one(self, request: BindRequest) -> Outcome:
        """As `bind`, in one statement with the other requests of this moment and cell. Raises Refused (overloaded)."""
        order = self.check(request)
        if isinstance(order, Refusal):
            return order
        cell = self.cell_of(order)
        if cell not in self._groups:
            self._groups[cell] = Group(partial(self._bind_in, cell), max_batch=MOST_IN_STATEMENT, lanes=LANES)
        return await self._groups[cell].submit(order)

    async def bind(self, requests: Sequence[BindRequest]) -> list[Outcome]:
        """One outcome a request, in order; one failure does not fail the rest."""
        checked = [self.check(request) for request in requests]
        good = [(n, order) for n, order in enumerate(checked) if isinstance(order, Order)]
        outcomes: list[Outcome] = [order if isinstance(order, Refusal) else PENDING for order in checked]
        for (n, _), outcome in zip(good, await self.bind_orders([order for _, order in good]), strict=True):
            outcomes[n] = outcome
        return outcomes

    async def bind_orders(self, orders: Sequence[Order]) -> list[Outcome]:
        """One batch a cell."""
        outcomes: list[Outcome] = [PENDING] * len(orders)
        cells = [(self.cell_of(order), n) for n, order in enumerate(orders)]
        for cell, group in groupby(sorted(cells), key=lambda pair: pair[0]):
            positions = [n for _, n in group]
            batch = await self._bind_in(cell, [orders[n] for n in positions])
            for n, outcome in zip(positions, batch, strict=True):
                outcomes[n] = outcome
        return outcomes

    async def _bind_in(self, cell: int, orders: Sequence[Order]) -> list[Outcome]:
        """The first of several requests for an order is bound; the others are answered by its result."""
        first: dict[tuple[str, str], int] = {}
        twins: list[int] = []
        for n, order in enumerate(orders):
            if first.setdefault((order.merchant_id, order.order_id), n) != n:
                twins.append(n)
        batch = Batch(cell, orders)
        try:
            await self._registry.refresh()
            await self._settle(batch, list(first.values()))
        except Refused as refused:
            batch.refuse(batch.pending(), refused.refusal)
        except (*LOST, PostgresError) as trouble:
            log.warning("bind_broken_off", trouble=type(trouble).__name__, orders=len(orders))
            batch.refuse(batch.pending(), NOT_WRITTEN)
        finally:
            self._admission.settle(batch)
        for n in twins:
            batch.outcomes[n] = answer_twin(batch, n, first[orders[n].merchant_id, orders[n].order_id])
        await self._waybills.file(batch)
        return batch.outcomes

    async def _settle(self, batch: Batch, open_: list[int]) -> None:
        for attempt in range(ATTEMPTS):
            if open_:
                open_ = await self._admission.admit(batch, open_)
            if not open_:
                return
            if attempt:
                await self._registry.refresh(force=True)
            open_ = await self._lender.lend(batch, open_, last=attempt == ATTEMPTS - 1)
        batch.refuse(open_, CONTENDED)
