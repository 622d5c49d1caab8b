"""Labels: the current number of many orders in one call, and the re-issue of a lapsed one."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model import bindings as rules
from vnum.model.acting import untied
from vnum.model.bindings import Binding, State
from vnum.model.cells import cell_of
from vnum.model.fields import Name
from vnum.model.orders import OVER, READABLE
from vnum.model.refusals import Code, Refusal
from vnum.service.batch import Bound, current
from vnum.service.bind import Binder
from vnum.service.clock import Clock
from vnum.service.orders import Order
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


Named = tuple[str, str]
"""(merchant_id, order_id)."""

SAME_PARCEL = timedelta(days=90)
"""Orders filed under one waybill number within this span share a parcel; what is older had the number before: carriers
use theirs again."""


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Whose eyes see the labels. `merchants`, `carrier` None = not tied; `prints` = may read from the waybill on."""

    merchants: frozenset[str] | None = None
    carrier: str | None = None
    prints: bool = True


EVERYONE = Reader()


class Label(msgspec.Struct, frozen=True):
    binding: Binding
    now: datetime


class Found(msgspec.Struct, frozen=True):
    """What an item came to. `orders` = of a parcel that carries several orders what each came to, the newest first;
    `label` is then the first that lives: any of these numbers reaches the recipient, and a label bears one."""

    label: Label | Refusal
    orders: Sequence[tuple[Named, Label | Refusal]] = ()


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
        return [found.label for found in await self.found(items, reissue=reissue, reader=reader)]

    async def found(
        self, items: Sequence[LabelItem], *, reissue: bool = False, reader: Reader = EVERYONE
    ) -> list[Found]:
        """Per item, in order, what its order or its parcel's orders came to."""
        asked = await self._orders(items, reader)
        records = await self._read([order for orders in asked if not isinstance(orders, Refusal) for order in orders])
        asked = [orders if isinstance(orders, Refusal) else await self._of_one_recipient(orders) for orders in asked]
        labels = {order: _label(record, reader) for order, record in records.items()}
        if reissue:
            wanted = [_lapsed(orders, labels) for orders in asked if not isinstance(orders, Refusal)]
            labels |= await self._reissue([order for order in wanted if order is not None], records)
            labels |= await self._erased([order for order, label in labels.items() if _is_released(label)], records)
        return [Found(orders) if isinstance(orders, Refusal) else _found(orders, labels) for orders in asked]

    async def named(self, merchant_id: str, order_id: str, reader: Reader) -> UUID | Refusal | None:
        """The binding that an order names, live or not; None = it never had one that the reader may see."""
        (orders,) = await self._orders([LabelItem(merchant_id=merchant_id, order_id=order_id)], reader)
        if isinstance(orders, Refusal):
            return None
        record = (await self._read(orders))[merchant_id, order_id]
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

    async def carried_by(self, carrier: str, waybill_no: str, reader: Reader = EVERYONE) -> list[Record]:
        """The orders that a parcel carries and the reader may see, the newest first."""
        if reader.carrier not in (None, carrier):
            return []
        rows = [(cell_of(self._cells, carrier, waybill_no), carrier, waybill_no)]
        rows_of = {
            (record["merchant_id"], record["order_id"]): record
            for record in _of_one_parcel([record for _, record in await stored.waybills(self._database, rows)])
        }
        found = await self._of_one_recipient(list(rows_of))
        return [rows_of[order] for order in found if reader.merchants is None or order[0] in reader.merchants]

    async def _orders(self, items: Sequence[LabelItem], reader: Reader) -> list[list[Named] | Refusal]:
        """The orders of each item that the reader may see: one, or those of a parcel."""
        by_parcel = await self._by_parcel(items, reader)
        named = [
            (item.merchant_id, item.order_id)
            for item in items
            if item.merchant_id is not None and item.order_id is not None
        ]
        carried = await self._carried(named, reader)
        found: list[list[Named] | Refusal] = []
        for n, item in enumerate(items):
            if item.merchant_id is None or item.order_id is None:
                orders = by_parcel.get(n, [])
                seen = [order for order in orders if reader.merchants is None or order[0] in reader.merchants]
                found.append(seen or _NO_PARCEL)  # a stranger's is answered as one that is not there
            else:
                order = (item.merchant_id, item.order_id)
                found.append([order] if _sees(reader, order, carried) else _NO_BINDING)
        return found

    async def _by_parcel(self, items: Sequence[LabelItem], reader: Reader) -> dict[int, list[Named]]:
        asked = [
            (n, item.carrier, item.waybill_no)
            for n, item in enumerate(items)
            if item.carrier is not None and item.waybill_no is not None
        ]
        asked = [row for row in asked if reader.carrier in (None, row[1])]
        if not asked:
            return {}
        rows = [(cell_of(self._cells, carrier, number), carrier, number) for _, carrier, number in asked]
        found: defaultdict[int, list[Record]] = defaultdict(list)
        for at, record in await stored.waybills(self._database, rows):
            found[asked[at][0]].append(record)
        return {
            n: [(record["merchant_id"], record["order_id"]) for record in _of_one_parcel(records)]
            for n, records in found.items()
        }

    async def _carried(self, orders: Sequence[Named], reader: Reader) -> frozenset[Named]:
        """Of a tied courier: the orders that he carries a parcel of."""
        if reader.carrier is None or not orders:
            return frozenset()
        found = await stored.carried_orders(self._database, reader.carrier, orders)
        return frozenset(orders[n] for n in found)

    async def _of_one_recipient(self, orders: list[Named]) -> list[Named]:
        """Those that go to the recipient of the newest: the others had the parcel's number by mistake, or long ago."""
        if len(orders) < 2:
            return orders
        cells = [cell_of(self._cells, *order) for order in orders]
        with untied():  # who they are is told to nobody, only which of these are alike
            alike = await stored.alike(self._database, cells, orders)
        return [order for n, order in enumerate(orders) if n in alike]

    async def _read(self, orders: Sequence[Named]) -> dict[Named, Record]:
        by_cell: defaultdict[int, list[Named]] = defaultdict(list)
        for order in dict.fromkeys(orders):
            by_cell[cell_of(self._cells, *order)].append(order)
        records: dict[Named, Record] = {}
        for cell, asked in by_cell.items():
            merchants, ids = zip(*asked, strict=True)
            found = await stored.labels(self._database, cell, self._clock.simulated(), merchants, ids)
            records |= zip(asked, found, strict=True)
        return records

    async def _reissue(self, lapsed: Sequence[Named], records: Mapping[Named, Record]) -> dict[Named, Label | Refusal]:
        """Binds lapsed orders anew, with what they asked for last."""
        with untied():  # the reader was shown that these lapsed; binding needs the phone, and slots of all
            wanted: dict[Named, Order | Refusal] = {
                order: await self._again(records[order]) for order in dict.fromkeys(lapsed)
            }
            ready = {order: again for order, again in wanted.items() if isinstance(again, Order)}
            outcomes = dict(zip(ready, await self._binder.bind_orders(list(ready.values())), strict=True))
        labels: dict[Named, Label | Refusal] = {}
        for order, again in wanted.items():
            outcome = again if isinstance(again, Refusal) else outcomes[order]
            labels[order] = Label(outcome.binding, outcome.now) if isinstance(outcome, Bound) else outcome
        return labels

    async def _erased(self, released: Sequence[Named], records: Mapping[Named, Record]) -> dict[Named, Label | Refusal]:
        """Of released orders those whose recipient was erased, and that so nothing can be repeated of."""
        with untied():
            return {order: _ERASED for order in released if await self._again(records[order]) is _ERASED}

    async def _again(self, record: Record) -> Order | Refusal:
        if record["order_status"] in OVER:
            return Refusal(
                code=Code.ORDER_NOT_SHIPPED, detail=f"the order is {record['order_status']}: it gets no new number"
            )
        last = await stored.last_recipient(
            self._database,
            cell_of(self._cells, record["merchant_id"], record["order_id"]),
            record["binding_id"],
        )
        if last is not None:
            await self._vault.know(last["key_id"])
        if last is None or last["recipient"] is None or not self._vault.opens(last["key_id"]):
            return _ERASED
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


_ERASED = Refusal(
    code=Code.RECIPIENT_ERASED, detail="the recipient's phone was erased; bind the order again with its phone"
)
_NO_BINDING = Refusal(code=Code.BINDING_NOT_FOUND, detail="no number was ever bound for this order")
_NO_PARCEL = Refusal(code=Code.BINDING_NOT_FOUND, detail="no order is known for this waybill")

_NOT_SHIPPED = Refusal(code=Code.ORDER_NOT_SHIPPED, detail="the number is readable once the order is shipped")


def _readable(record: Record, reader: Reader) -> bool:
    return reader.prints or record["order_status"] in READABLE


def _of_one_parcel(records: Sequence[Record]) -> Sequence[Record]:
    """Of the orders under a waybill number, the newest first, those of the newest parcel."""
    return [record for record in records if record["filed_at"] > records[0]["filed_at"] - SAME_PARCEL]


def _found(orders: Sequence[Named], labels: Mapping[Named, Label | Refusal]) -> Found:
    if len(orders) == 1:
        return Found(labels[orders[0]])
    each = [(order, labels[order]) for order in orders]
    live = next((label for _, label in each if isinstance(label, Label)), None)
    return Found(live or each[0][1], each)


def _lapsed(orders: Sequence[Named], labels: Mapping[Named, Label | Refusal]) -> Named | None:
    """The order to bind anew so that there is a number to print: the newest that lapsed, if none lives. Released ones
    stay released."""
    lapsed: Named | None = None
    for order in reversed(orders):
        label = labels[order]
        if isinstance(label, Label):
            return None
        if label.code is Code.BINDING_EXPIRED:
            lapsed = order
    return lapsed


def _is_released(label: Label | Refusal) -> bool:
    return isinstance(label, Refusal) and label.code is Code.BINDING_RELEASED


def _sees(reader: Reader, order: Named, carried: frozenset[Named]) -> bool:
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
