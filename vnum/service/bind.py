"""Bind: lend a slot to an order. The pool proposes, this checks, PostgreSQL decides."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from os import urandom
from uuid import UUID

import msgspec
import structlog
from asyncpg import PostgresError

from vnum.model.acting import acting, acting_by
from vnum.model.cells import cell_of
from vnum.model.ids import RANDOM_BYTES, new_ids
from vnum.model.orders import BINDABLE, OrderStatus, advances
from vnum.model.phones import PhoneError, parse_recipient
from vnum.model.refusals import Code, Refusal, Refused
from vnum.service.batch import (
    CONTENDED,
    NOT_WRITTEN,
    PENDING,
    REFUSED,
    UNKNOWN,
    Batch,
    Bound,
    Outcome,
    answer_known,
    answer_twin,
    binding_of,
)
from vnum.service.care import Care
from vnum.service.clock import Clock
from vnum.service.group import Group
from vnum.service.lifecycle import Lifecycle
from vnum.service.orders import BindRequest, Order, Parcel
from vnum.service.registry import Registry
from vnum.service.spend import NO_LIMITS, Spending, Wanted, limits_of
from vnum.service.supply import Offer, Supply, Wish
from vnum.service.write import Verdict, Writer
from vnum.store import bindings as stored
from vnum.store.bindings import Row
from vnum.store.database import LOST, Database
from vnum.vault import Vault
from vnum.vault.vault import short

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
    if registry.has(phone.removeprefix("+86")) or registry.has(phone.replace("+86", "0", 1)):
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
        self._database = database
        self._vault = vault
        self._registry = registry
        self._supply = supply
        self._care = care
        self._spending = spending
        self._lifecycle = lifecycle
        self._clock = clock
        self._cells = cells
        self._writer = Writer(database)
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
            self._settle_spending(batch)
        for n in twins:
            batch.outcomes[n] = answer_twin(batch, n, first[orders[n].merchant_id, orders[n].order_id])
        await self._file_waybills(batch)
        return batch.outcomes

    async def _settle(self, batch: Batch, open_: list[int]) -> None:
        for attempt in range(ATTEMPTS):
            if open_:
                open_ = await self._read(batch, open_)
            if not open_:
                return
            if attempt:
                await self._registry.refresh(force=True)
            open_ = await self._attempt(batch, open_, last=attempt == ATTEMPTS - 1)
        batch.refuse(open_, CONTENDED)

    async def _attempt(self, batch: Batch, open_: list[int], *, last: bool) -> list[int]:
        """Draws and writes once; the positions to try again: without a slot too, as long as slots come back unused."""
        offers: list[tuple[int, Offer]] = []
        key_id = await self._vault.month(batch.now)
        try:
            await self._draw(offers, batch, open_, last=last)
            verdicts = await self._writer.write(batch.cell, batch.now, key_id, self._rows(batch, offers, key_id))
        except BaseException:
            self._supply.lost(offer for _, offer in offers)
            raise
        again = await self._heed(batch, offers, verdicts)
        short_of = sorted(set(open_).difference(n for n, _ in offers))
        if not last and any(verdict is not Verdict.BOUND for verdict in verdicts.values()):
            return [*again, *short_of]
        await self._refuse_short(batch, short_of)
        return again

    async def _refuse_short(self, batch: Batch, positions: Sequence[int]) -> None:
        for wish in {batch.orders[n].wish for n in positions}:
            refusal = await self._supply.shortage(batch.cell, wish, batch.now, batch.asked[wish])
            batch.refuse([n for n in positions if batch.orders[n].wish == wish], refusal)

    async def _read(self, batch: Batch, open_: list[int]) -> list[int]:
        """Reads clock and orders; answers what needs no slot; returns the positions that do."""
        orders = [batch.orders[n] for n in open_]
        records = await stored.before_bind(
            self._database,
            batch.cell,
            self._clock.simulated(),
            [order.merchant_id for order in orders],
            [order.order_id for order in orders],
            [order.fingerprint for order in orders],
        )
        batch.now = await self._clock.settle(records[0]["server_now"], records[0]["highest"])
        missing: list[int] = []
        advanced: list[tuple[str, str, str]] = []
        for n, order, record in zip(open_, orders, records, strict=True):
            batch.records[n] = record
            outcome = answer_known(order, record, batch.now)
            if outcome is None:
                missing.append(n)
                continue
            batch.outcomes[n] = outcome
            if isinstance(outcome, Bound) and advances(
                OrderStatus(record["order_status"]), OrderStatus(order.order_status)
            ):
                advanced.append((order.merchant_id, order.order_id, order.order_status))
        if advanced:
            await stored.advance_status(self._database, batch.cell, advanced)
        return await self._afforded(batch, missing)

    async def _afforded(self, batch: Batch, open_: list[int]) -> list[int]:
        """Refuses new bindings of merchants who reached their cap. Of most there is nothing to look after."""
        wanted: dict[int, Wanted] = {}
        for n in open_:
            if n not in batch.admitted and (limits := limits_of(batch.records[n])) is not NO_LIMITS:
                order = batch.orders[n]
                wanted[n] = Wanted(order.merchant_id, limits, order.under_way)
        if not wanted:
            return open_
        refusals = await self._spending.admit(list(wanted.values()), batch.now)
        refused = {n: refusal for n, refusal in zip(wanted, refusals, strict=True) if refusal is not None}
        batch.admitted.update(wanted.keys() - refused.keys())
        batch.outcomes = [refused.get(n, outcome) for n, outcome in enumerate(batch.outcomes)]
        return [n for n in open_ if n not in refused]

    def _settle_spending(self, batch: Batch) -> None:
        for n in batch.admitted:
            outcome = batch.outcomes[n]
            bound = isinstance(outcome, Bound) and outcome.created
            self._spending.settle(batch.orders[n].merchant_id, bound=bound)

    async def _draw(self, offers: list[tuple[int, Offer]], batch: Batch, open_: list[int], *, last: bool) -> None:
        """A slot for each position, as far as there are any, host by wish."""
        by_wish: defaultdict[Wish, list[int]] = defaultdict(list)
        for n in open_:
            by_wish[batch.orders[n].wish].append(n)
        for positions in by_wish.values():
            await self._draw_for(offers, batch, positions, last=last)

    async def _draw_for(
        self, offers: list[tuple[int, Offer]], batch: Batch, positions: list[int], *, last: bool
    ) -> None:
        """The last time without slots that these orders held last: of all of them first, then each without its own."""
        wish = batch.orders[positions[0]].wish
        batch.asked[wish] = self._supply.lending(batch.cell, wish)
        holders = [(batch.orders[n].holder, short(batch.orders[n].fingerprint)) for n in positions]
        apart_from = holders if last else None
        drawn = await self._supply.draw(batch.cell, wish, len(positions), batch.now, apart_from=apart_from)
        offers += zip(positions, drawn, strict=False)
        if last:
            for n, holder in zip(positions[len(drawn) :], holders[len(drawn) :], strict=True):
                alone = await self._supply.draw(batch.cell, wish, 1, batch.now, apart_from=[holder])
                offers += [(n, offer) for offer in alone]

    def _rows(self, batch: Batch, offers: Sequence[tuple[int, Offer]], key_id: int) -> list[Row]:
        """What is to be written, in the order of the offers."""
        ids = new_ids(batch.cell, batch.now, urandom(RANDOM_BYTES * len(offers)))
        batch.rows = {
            n: self._row(batch, batch.orders[n], offer, binding_id, key_id)
            for (n, offer), binding_id in zip(offers, ids, strict=True)
        }
        return list(batch.rows.values())

    async def _heed(
        self, batch: Batch, offers: Sequence[tuple[int, Offer]], verdicts: Mapping[UUID, Verdict]
    ) -> list[int]:
        """Answers by the verdicts, settles every slot, and returns the positions to try again."""
        by_verdict: defaultdict[Verdict, list[tuple[int, Offer]]] = defaultdict(list)
        for n, offer in offers:
            by_verdict[verdicts[batch.rows[n].binding_id]].append((n, offer))
        kept = by_verdict[Verdict.BOUND]
        for n, _ in kept:
            batch.outcomes[n] = Bound(binding_of(batch.rows[n], batch.now), True, batch.now)
        unused: list[Offer] = []
        for verdict, refusal in REFUSED.items():
            batch.refuse((n for n, _ in by_verdict[verdict]), refusal)
            if verdict is not Verdict.UNKNOWN:
                unused += (offer for _, offer in by_verdict[verdict])
        self._supply.lost(offer for _, offer in (*by_verdict[Verdict.UNKNOWN], *by_verdict[Verdict.ORDER_TAKEN]))
        await self._supply.settle(batch.cell, ((offer, batch.rows[n].terms.held_until) for n, offer in kept))
        await self._supply.give_back(unused)
        if by_verdict[Verdict.SLOT_REFUSED]:
            await self._correct(batch, [offer for _, offer in by_verdict[Verdict.SLOT_REFUSED]])
        if by_verdict[Verdict.ORDER_TAKEN]:
            await self._care.free_orphans(batch.cell, batch.now)
        return [n for n, _ in (*by_verdict[Verdict.SLOT_REFUSED], *by_verdict[Verdict.ORDER_TAKEN])]

    async def _correct(self, batch: Batch, refused: list[Offer]) -> None:
        """Slots PostgreSQL did not give: those it holds are moved to their day, the others given back."""
        slots = [(offer.host.host, offer.extension) for offer in refused]
        try:
            held = await stored.held_slots(self._database, batch.cell, slots)
        except BaseException:
            self._supply.lost(refused)
            raise
        until = {offer: held.get(slot, batch.now) for offer, slot in zip(refused, slots, strict=True)}
        await self._supply.give_back(offer for offer in refused if until[offer] <= batch.now)
        await self._supply.settle(batch.cell, ((offer, end) for offer, end in until.items() if end > batch.now))

    def _row(self, batch: Batch, order: Order, offer: Offer, binding_id: UUID, key_id: int) -> Row:
        name = order.recipient_name
        return Row(
            binding_id,
            offer.host.host,
            offer.extension,
            order.merchant_id,
            order.order_id,
            order.holder,
            short(order.fingerprint),
            self._vault.seal(order.phone, binding_id, b"phone", key_id),
            order.fingerprint,
            None if name is None else self._vault.seal(name, binding_id, b"name", key_id),
            batch.terms(order, offer.host),
        )

    async def _file_waybills(self, batch: Batch) -> None:
        """Before the answer goes out: an acknowledged parcel can be looked up."""
        bound = [
            n for n, outcome in enumerate(batch.outcomes) if isinstance(outcome, Bound) and batch.orders[n].parcels
        ]
        new = [n for n in bound if getattr(batch.outcomes[n], "created", False)]
        repeated = sorted(set(bound).difference(new))
        try:
            if new:
                rows = [row for n in new for row in self._parcels_of(batch.orders[n])]
                await stored.file_waybills(self._database, rows, batch.now)
            for n in await self._with_more(batch, repeated):
                batch.outcomes[n] = await self._go_on(batch.orders[n], batch.outcomes[n])
        except (*LOST, PostgresError):
            batch.refuse(bound, UNKNOWN)

    def _parcels_of(self, order: Order) -> list[tuple[int, str, str, str, str]]:
        return [
            (
                cell_of(self._cells, parcel.carrier, parcel.waybill_no),
                parcel.carrier,
                parcel.waybill_no,
                order.merchant_id,
                order.order_id,
            )
            for parcel in order.parcels
        ]

    async def _with_more(self, batch: Batch, repeated: Sequence[int]) -> list[int]:
        """Orders bound before that come with a parcel which was not theirs yet."""
        asked = [(n, row) for n in repeated for row in self._parcels_of(batch.orders[n])]
        if not asked:
            return []
        known = await stored.known_waybills(self._database, [row for _, row in asked])
        return sorted({n for place, (n, _) in enumerate(asked) if place not in known})

    async def _go_on(self, order: Order, outcome: Outcome) -> Outcome:
        """Files them as POST .../parcels does: what travels takes an early end back."""
        assert isinstance(outcome, Bound)
        try:
            with acting_by(order.by):
                binding_id, ends_at = await self._lifecycle.file(order.merchant_id, order.order_id, order.parcels)
        except Refused as refused:
            return refused.refusal
        if binding_id != outcome.binding.binding_id:
            return outcome  # it has another number meanwhile
        binding = msgspec.structs.replace(outcome.binding, expires_at=ends_at, ended_at=ends_at)
        return Bound(binding, outcome.created, outcome.now)
