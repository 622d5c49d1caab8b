"""Bind: lend a slot to an order. The pool proposes, this checks, PostgreSQL decides."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from os import urandom
from typing import Annotated

import msgspec
from asyncpg import Record

from vnum.model.bindings import MAX_TTL_DAYS, Binding, Mode, life
from vnum.model.cells import cell_of
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.model.orders import BINDABLE, OrderStatus
from vnum.model.phones import PhoneError, parse_recipient
from vnum.model.refusals import Code, Refusal, Refused
from vnum.service.care import Care
from vnum.service.clock import Clock
from vnum.service.registry import Registry
from vnum.service.supply import Offer, Supply, Wish
from vnum.service.write import Verdict, Writer
from vnum.store import bindings as stored
from vnum.store.bindings import Row
from vnum.store.database import LOST, Database
from vnum.vault import Vault
from vnum.vault.vault import short

ATTEMPTS = 6
"""How often an order is tried on another slot; the last time on slots read from PostgreSQL itself."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Text = Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Parcel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    carrier: Name
    waybill_no: Name


class BindRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a platform asks for. ttl_days are spans of 24 hours."""

    merchant_id: Name
    order_id: Name
    recipient_phone: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    order_status: OrderStatus
    ttl_days: Annotated[int, msgspec.Meta(ge=1, le=MAX_TTL_DAYS)] = 30
    city: Name | None = None
    city_strict: bool = False
    mode: Mode = Mode.AXE
    recipient_name: Text | None = None
    parcels: Annotated[list[Parcel], msgspec.Meta(max_length=50)] = []


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request that passed the checks: its phone in canonical form, and the hashes of phone and order."""

    merchant_id: str
    order_id: str
    phone: str
    fingerprint: bytes
    holder: int
    order_status: str
    ttl_days: int
    wish: Wish
    mode: str
    recipient_name: str | None = None
    parcels: Sequence[Parcel] = ()


class Bound(msgspec.Struct, frozen=True, gc=False):
    """A live binding; `created` = made by this request (201), else it was there (200). `now` = the batch's instant."""

    binding: Binding
    created: bool
    now: datetime


Outcome = Bound | Refusal


class Binder:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        registry: Registry,
        supply: Supply,
        care: Care,
        clock: Clock,
        cells: int,
    ) -> None:
        self._database = database
        self._vault = vault
        self._registry = registry
        self._supply = supply
        self._care = care
        self._clock = clock
        self._cells = cells
        self._writer = Writer(database, vault.key_id)

    def check(self, request: BindRequest) -> Order | Refusal:
        """The request as an order that may be bound, or why not. A phone is named in no refusal."""
        if request.order_status not in BINDABLE:
            return Refusal(
                code=Code.ORDER_NOT_SHIPPED,
                detail=f"order_status {request.order_status}: a number is lent from waybill_issued to after_sales",
            )
        try:
            phone = parse_recipient(request.recipient_phone).canonical
        except PhoneError as error:
            return Refusal(code=Code.INVALID_PHONE, detail=f"recipient_phone: {error}")
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

    def order(self, merchant_id: str, order_id: str, phone: str, **rest: object) -> Order:
        """An order of a phone in canonical form, with the hashes that compare it."""
        return Order(
            merchant_id=merchant_id,
            order_id=order_id,
            phone=phone,
            fingerprint=self._vault.fingerprint(phone),
            holder=self._vault.holder(merchant_id, order_id),
            **rest,  # type: ignore[arg-type]  # the remaining fields, passed on as they are
        )

    def cell_of(self, order: Order) -> int:
        return cell_of(self._cells, order.merchant_id, order.order_id)

    async def bind(self, requests: Sequence[BindRequest]) -> list[Outcome]:
        """One outcome a request, in order; one failure does not fail the rest."""
        checked = [self.check(request) for request in requests]
        good = [(n, order) for n, order in enumerate(checked) if isinstance(order, Order)]
        outcomes: list[Outcome] = [order if isinstance(order, Refusal) else _PENDING for order in checked]
        for (n, _), outcome in zip(good, await self.bind_orders([order for _, order in good]), strict=True):
            outcomes[n] = outcome
        return outcomes

    async def bind_orders(self, orders: Sequence[Order]) -> list[Outcome]:
        """One batch a cell."""
        outcomes: list[Outcome] = [_PENDING] * len(orders)
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
        batch = _Batch(cell, orders)
        await self._registry.refresh()
        try:
            await self._settle(batch, list(first.values()))
        except Refused as refused:
            batch.refuse(list(first.values()), refused.refusal)
        for n in twins:
            original = first[orders[n].merchant_id, orders[n].order_id]
            batch.outcomes[n] = _twin(orders[n], orders[original], batch.outcomes[original])
        await self._file_waybills(batch)
        return batch.outcomes

    async def _settle(self, batch: "_Batch", open_: list[int]) -> None:
        for attempt in range(ATTEMPTS):
            if open_:
                open_ = await self._read(batch, open_)
            if not open_:
                return
            if attempt:
                await self._registry.refresh(force=True)
            offers = await self._draw(batch, open_, ledger=attempt == ATTEMPTS - 1)
            open_ = await self._write(batch, offers)
        by_wish = {batch.orders[n].wish for n in open_}
        for wish in by_wish:
            refusal = await self._supply.shortage(batch.cell, wish, batch.now)
            batch.refuse([n for n in open_ if batch.orders[n].wish == wish], refusal)

    async def _read(self, batch: "_Batch", open_: list[int]) -> list[int]:
        """Reads clock and orders; answers what needs no slot; returns the positions that do."""
        orders = [batch.orders[n] for n in open_]
        records = await stored.before_bind(
            self._database,
            batch.cell,
            self._clock.simulated(),
            [order.merchant_id for order in orders],
            [order.order_id for order in orders],
        )
        batch.now = await self._clock.settle(records[0]["server_now"], records[0]["highest"])
        missing: list[int] = []
        advanced: list[tuple[str, str, str]] = []
        for n, order, record in zip(open_, orders, records, strict=True):
            outcome = _known(order, record, batch.now)
            if outcome is None:
                missing.append(n)
                continue
            batch.outcomes[n] = outcome
            if isinstance(outcome, Bound) and record["order_status"] != order.order_status:
                advanced.append((order.merchant_id, order.order_id, order.order_status))
        if advanced:
            await stored.advance_status(self._database, batch.cell, advanced)
        return missing

    async def _draw(self, batch: "_Batch", open_: list[int], *, ledger: bool) -> list[tuple[int, Offer]]:
        """A slot for each position, host by wish; those for whom there is none are refused with the reason."""
        by_wish: defaultdict[Wish, list[int]] = defaultdict(list)
        for n in open_:
            by_wish[batch.orders[n].wish].append(n)
        offers: list[tuple[int, Offer]] = []
        for wish, positions in by_wish.items():
            drawn = await self._supply.draw(batch.cell, wish, len(positions), batch.now, ledger=ledger)
            offers += zip(positions, drawn, strict=False)
            if short_of := positions[len(drawn) :]:
                batch.refuse(short_of, await self._supply.shortage(batch.cell, wish, batch.now))
        return offers

    async def _write(self, batch: "_Batch", offers: Sequence[tuple[int, Offer]]) -> list[int]:
        """Writes the batch, settles every slot, and returns the positions to try again."""
        noise = urandom(RANDOM_BYTES * len(offers))
        rows = {
            n: self._row(batch, batch.orders[n], offer, noise[at * RANDOM_BYTES : (at + 1) * RANDOM_BYTES])
            for at, (n, offer) in enumerate(offers)
        }
        verdicts = await self._writer.write(batch.cell, batch.now, list(rows.values()))
        again: list[int] = []
        kept: list[tuple[Offer, datetime]] = []
        refused: list[tuple[int, Offer]] = []
        orphans = False
        for n, offer in offers:
            row = rows[n]
            match verdicts[row.binding_id]:
                case Verdict.BOUND:
                    batch.outcomes[n] = Bound(_binding(row, batch.now), True, batch.now)
                    kept.append((offer, row.held_until))
                case Verdict.SLOT_REFUSED:
                    refused.append((n, offer))
                    again.append(n)
                case Verdict.ORDER_TAKEN:
                    orphans = True
                    again.append(n)
                    await self._supply.lost([offer])
                case Verdict.UNKNOWN:
                    batch.refuse([n], _UNKNOWN)
                    await self._supply.lost([offer])
                case Verdict.NOT_WRITTEN:
                    batch.refuse([n], _NOT_WRITTEN)
                    await self._supply.give_back([offer])
                case Verdict.UNSTORABLE:
                    batch.refuse([n], _UNSTORABLE)
                    await self._supply.give_back([offer])
        if orphans:
            await self._care.free_orphans(batch.cell, batch.now)
        if refused:
            kept += await self._correct(batch, refused)
        await self._supply.settle(batch.cell, kept)
        return again

    async def _correct(self, batch: "_Batch", refused: list[tuple[int, Offer]]) -> list[tuple[Offer, datetime]]:
        """Slots PostgreSQL did not give: those it holds are moved to their day, the others given back."""
        slots = [(offer.host.host, offer.extension) for _, offer in refused]
        held = await stored.held_slots(self._database, batch.cell, slots)
        stale: list[tuple[Offer, datetime]] = []
        free: list[Offer] = []
        for (_, offer), slot in zip(refused, slots, strict=True):
            until = held.get(slot)
            if until is not None and until > batch.now:
                stale.append((offer, until))
            else:
                free.append(offer)
        await self._supply.give_back(free)
        return stale

    def _row(self, batch: "_Batch", order: Order, offer: Offer, noise: bytes) -> Row:
        binding_id = new_id(batch.cell, batch.now, noise)
        expires_at = batch.now + life(order.ttl_days)
        name = order.recipient_name
        return Row(
            binding_id,
            offer.host.host,
            offer.extension,
            order.merchant_id,
            order.order_id,
            expires_at,
            offer.host.held_until(expires_at),
            order.holder,
            short(order.fingerprint),
            order.mode,
            order.wish.city,
            order.wish.strict,
            order.ttl_days,
            order.order_status,
            self._vault.seal(order.phone, binding_id),
            order.fingerprint,
            None if name is None else self._vault.seal(name, binding_id, b"name"),
        )

    async def _file_waybills(self, batch: "_Batch") -> None:
        """Before the answer goes out: an acknowledged parcel can be looked up."""
        bound = [n for n, outcome in enumerate(batch.outcomes) if isinstance(outcome, Bound)]
        rows = [
            (
                cell_of(self._cells, parcel.carrier, parcel.waybill_no),
                parcel.carrier,
                parcel.waybill_no,
                batch.orders[n].merchant_id,
                batch.orders[n].order_id,
            )
            for n in bound
            for parcel in batch.orders[n].parcels
        ]
        if not rows:
            return
        try:
            await stored.file_waybills(self._database, rows)
        except LOST:
            batch.refuse([n for n in bound if batch.orders[n].parcels], _UNKNOWN)


class _Batch:
    """The orders of one cell that share a statement, and what became of each."""

    def __init__(self, cell: int, orders: Sequence[Order]) -> None:
        self.cell = cell
        self.orders = orders
        self.outcomes: list[Outcome] = [_PENDING] * len(orders)
        self.now: datetime

    def refuse(self, positions: list[int], refusal: Refusal) -> None:
        for n in positions:
            self.outcomes[n] = refusal


_UNKNOWN = Refusal(
    code=Code.OUTCOME_UNKNOWN,
    detail="the connection to PostgreSQL was lost in the commit; repeat the request, nothing is bound twice",
)
_NOT_WRITTEN = Refusal(
    code=Code.STORE_UNAVAILABLE, detail="PostgreSQL did not take the binding; nothing was written, try again"
)
_UNSTORABLE = Refusal(
    code=Code.INVALID_REQUEST, detail="PostgreSQL can not store a value of this order; nothing was bound"
)
_PENDING = _NOT_WRITTEN


def _known(order: Order, record: Record, now: datetime) -> Outcome | None:
    """What can be answered without a slot; None = the order needs one."""
    if record["merchant_state"] is None:
        return Refusal(
            code=Code.MERCHANT_NOT_FOUND,
            detail=f"merchant {order.merchant_id} is not registered: POST /v1/merchants first",
        )
    if record["binding_id"] is not None and record["ended_at"] > now:
        if record["recipient_hash"] != order.fingerprint:
            return _CONFLICT
        return Bound(current(record, order.merchant_id, order.order_id), False, now)
    if record["merchant_state"] != "active":
        return Refusal(
            code=Code.MERCHANT_SUSPENDED,
            detail=f"merchant {order.merchant_id} is suspended: no new bindings until it is active again",
        )
    return None


_CONFLICT = Refusal(
    code=Code.BINDING_CONFLICT,
    detail="the order has a live binding to another phone; change that binding's recipient, or release it first",
)


def _twin(order: Order, first: Order, outcome: Outcome) -> Outcome:
    """The answer to a second request for an order in one batch: as if it had come after the first."""
    if isinstance(outcome, Refusal):
        return outcome
    if order.fingerprint != first.fingerprint:
        return _CONFLICT
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


def _binding(row: Row, now: datetime) -> Binding:
    return Binding(
        binding_id=row.binding_id,
        merchant_id=row.merchant_id,
        order_id=row.order_id,
        host=row.host,
        extension=row.extension,
        mode=Mode(row.mode),
        bound_at=now,
        expires_at=row.expires_at,
        ended_at=row.expires_at,
    )
