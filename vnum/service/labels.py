"""Labels: the current number of many orders in one call, and the re-issue of a lapsed one."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model import bindings as rules
from vnum.model.acting import untied
from vnum.model.bindings import Binding, State
from vnum.model.cells import cell_of
from vnum.model.orders import READABLE
from vnum.model.refusals import Code, Refusal
from vnum.service.batch import Bound, current
from vnum.service.bind import Binder
from vnum.service.clock import Clock
from vnum.service.orders import Name, Order
from vnum.service.supply import Wish
from vnum.store import bindings as stored
from vnum.store.database import Database
from vnum.vault import Vault


class LabelItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order by its own id, or by a parcel of it."""

    shown: ClassVar[tuple[str, ...]] = ("merchant_id", "order_id")

    merchant_id: Name | None = None
    order_id: Name | None = None
    carrier: Name | None = None
    waybill_no: Name | None = None

    def __post_init__(self) -> None:
        by_order = self.merchant_id is not None and self.order_id is not None
        by_parcel = self.carrier is not None and self.waybill_no is not None
        if by_order == by_parcel:
            raise ValueError("give either merchant_id and order_id, or carrier and waybill_no")


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Whose eyes see the labels. `merchants`, `carrier` None = not tied; `prints` = may read from the waybill on."""

    merchants: frozenset[str] | None = None
    carrier: str | None = None
    prints: bool = True


EVERYONE = Reader()


class Label(msgspec.Struct, frozen=True):
    binding: Binding
    now: datetime


class Labels:
    def __init__(self, database: Database, vault: Vault, binder: Binder, clock: Clock, cells: int) -> None:
        self._database = database
        self._vault = vault
        self._binder = binder
        self._clock = clock
        self._cells = cells

    async def current(
        self, items: Sequence[LabelItem], *, reissue: bool = False, reader: Reader = EVERYONE
    ) -> list[Label | Refusal]:
        """Per item, in order, the live binding of its order, or why there is none to print."""
        orders = await self._orders(items, reader)
        records = await self._read(orders)
        answers = [order if isinstance(order, Refusal) else _label(records[order], reader) for order in orders]
        if reissue:
            await self._reissue(orders, records, answers)
        return answers

    async def named(self, merchant_id: str, order_id: str, reader: Reader) -> UUID | Refusal | None:
        """The binding that an order names, live or not; None = it never had one that the reader may see."""
        (order,) = await self._orders([LabelItem(merchant_id=merchant_id, order_id=order_id)], reader)
        if isinstance(order, Refusal):
            return None
        record = (await self._read([order]))[order]
        if record["binding_id"] is not None and not _readable(record, reader):
            return _NOT_SHIPPED
        found: UUID | None = record["binding_id"]
        return found

    async def hidden(self, merchant_id: str, order_ids: Collection[str], reader: Reader) -> frozenset[str]:
        """Of a merchant's orders those whose number the reader may not read: they are not shipped, or not known."""
        if reader.prints:
            return frozenset()
        records = await self._read([(merchant_id, order_id) for order_id in order_ids])
        return frozenset(order_id for (_, order_id), record in records.items() if not _readable(record, reader))

    async def _orders(self, items: Sequence[LabelItem], reader: Reader) -> list[tuple[str, str] | Refusal]:
        """(merchant_id, order_id) of each item that the reader may see."""
        by_parcel = await self._by_parcel(items, reader)
        orders: list[tuple[str, str] | Refusal] = []
        for n, item in enumerate(items):
            if item.merchant_id is not None and item.order_id is not None:
                orders.append((item.merchant_id, item.order_id))
            else:
                orders.append(by_parcel.get(n, _NO_PARCEL))
        carried = await self._carried([order for n, order in enumerate(orders) if n not in by_parcel], reader)
        carried |= frozenset(by_parcel.values())  # whoever names a parcel of his carries it
        return [
            order if isinstance(order, Refusal) or _sees(reader, order, carried) else _NO_BINDING for order in orders
        ]

    async def _by_parcel(self, items: Sequence[LabelItem], reader: Reader) -> dict[int, tuple[str, str]]:
        asked = [
            (n, item.carrier, item.waybill_no)
            for n, item in enumerate(items)
            if item.carrier is not None and item.waybill_no is not None
        ]
        asked = [row for row in asked if reader.carrier in (None, row[1])]
        if not asked:
            return {}
        rows = [(cell_of(self._cells, carrier, number), carrier, number) for _, carrier, number in asked]
        found = await stored.waybills(self._database, rows)
        return {asked[at][0]: order for at, order in found.items()}

    async def _carried(self, orders: Sequence[tuple[str, str] | Refusal], reader: Reader) -> frozenset[tuple[str, str]]:
        """Of a tied courier: the orders that he carries a parcel of."""
        asked = [order for order in orders if not isinstance(order, Refusal)]
        if reader.carrier is None or not asked:
            return frozenset()
        found = await stored.carried_orders(self._database, reader.carrier, asked)
        return frozenset(asked[n] for n in found)

    async def _read(self, orders: Sequence[tuple[str, str] | Refusal]) -> dict[tuple[str, str], Record]:
        by_cell: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
        for order in dict.fromkeys(order for order in orders if not isinstance(order, Refusal)):
            by_cell[cell_of(self._cells, *order)].append(order)
        records: dict[tuple[str, str], Record] = {}
        for cell, asked in by_cell.items():
            merchants, ids = zip(*asked, strict=True)
            found = await stored.labels(self._database, cell, self._clock.simulated(), merchants, ids)
            records |= zip(asked, found, strict=True)
        return records

    async def _reissue(
        self,
        orders: Sequence[tuple[str, str] | Refusal],
        records: dict[tuple[str, str], Record],
        answers: list[Label | Refusal],
    ) -> None:
        """Binds lapsed orders anew, with what they asked for last. Released ones stay released."""
        lapsed = {
            order
            for order, answer in zip(orders, answers, strict=True)
            if not isinstance(order, Refusal) and isinstance(answer, Refusal) and answer.code is Code.BINDING_EXPIRED
        }
        with untied():  # the reader was shown that these lapsed; binding needs the phone, and slots of all
            wanted: dict[tuple[str, str], Order | Refusal] = {
                order: await self._again(records[order]) for order in lapsed
            }
            ready = {order: again for order, again in wanted.items() if isinstance(again, Order)}
            outcomes = dict(zip(ready, await self._binder.bind_orders(list(ready.values())), strict=True))
        for n, order in enumerate(orders):
            if isinstance(order, Refusal) or order not in wanted:
                continue
            outcome = outcomes.get(order) or wanted[order]
            if isinstance(outcome, Bound):
                answers[n] = Label(outcome.binding, outcome.now)
            elif isinstance(outcome, Refusal):
                answers[n] = outcome

    async def _again(self, record: Record) -> Order | Refusal:
        last = await stored.last_recipient(
            self._database,
            cell_of(self._cells, record["merchant_id"], record["order_id"]),
            record["binding_id"],
        )
        if last is not None:
            await self._vault.know(last["key_id"])
        if last is None or last["recipient"] is None or not self._vault.opens(last["key_id"]):
            return Refusal(
                code=Code.RECIPIENT_ERASED,
                detail="the recipient's phone was erased; bind the order again with its phone",
            )
        name, binding_id, key_id = last["recipient_name"], last["binding_id"], last["key_id"]
        return self._binder.order(
            last["merchant_id"],
            last["order_id"],
            self._vault.open(last["recipient"], binding_id, b"phone", key_id),
            order_status=record["order_status"],
            ttl_days=last["ttl_days"],
            wish=Wish(last["city"], last["city_strict"]),
            mode=last["mode"],
            recipient_name=None if name is None else self._vault.open(name, binding_id, b"name", key_id),
            under_way=True,
        )


_NO_BINDING = Refusal(code=Code.BINDING_NOT_FOUND, detail="no number was ever bound for this order")
_NO_PARCEL = Refusal(code=Code.BINDING_NOT_FOUND, detail="no order is known for this waybill")


_NOT_SHIPPED = Refusal(code=Code.ORDER_NOT_SHIPPED, detail="the number is readable once the order is shipped")


def _readable(record: Record, reader: Reader) -> bool:
    return reader.prints or record["order_status"] in READABLE


def _sees(reader: Reader, order: tuple[str, str], carried: frozenset[tuple[str, str]]) -> bool:
    """What is not his to see does not exist for a tied key."""
    if reader.merchants is not None and order[0] not in reader.merchants:
        return False
    return reader.carrier is None or order in carried


def _label(record: Record, reader: Reader) -> Label | Refusal:
    if record["binding_id"] is None:
        return _NO_BINDING
    if not _readable(record, reader):
        return _NOT_SHIPPED
    binding = current(record, record["merchant_id"], record["order_id"])
    if binding.state(record["now"]) is not State.LIVE:
        return rules.ended(binding, record["now"])
    return Label(binding, record["now"])
