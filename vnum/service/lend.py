"""One try at lending slots: as many are drawn as there are orders, PostgreSQL says which are bound, and each slot goes
where its verdict sends it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from os import urandom
from uuid import UUID

from vnum.model.ids import RANDOM_BYTES, new_ids
from vnum.service.batch import REFUSED, Batch, Bound, binding_of
from vnum.service.care import Care
from vnum.service.orders import Order
from vnum.service.supply import Offer, Supply, Wish
from vnum.service.write import Verdict, Writer
from vnum.store import bindings as stored
from vnum.store.bindings import Row
from vnum.store.database import Database
from vnum.vault import Vault
from vnum.vault.vault import short


class Lender:
    def __init__(self, database: Database, vault: Vault, supply: Supply, care: Care) -> None:
        self._database = database
        self._vault = vault
        self._supply = supply
        self._care = care
        self._writer = Writer(database)

    async def lend(self, batch: Batch, open_: list[int], *, last: bool) -> list[int]:
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
