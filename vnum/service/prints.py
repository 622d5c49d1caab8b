"""Prints: a label that is given out is written down, and found again when its number is no longer good."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from os import urandom
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.acting import acting, untied
from vnum.model.ids import RANDOM_BYTES, cell_in, new_id
from vnum.model.lifecycle import ParcelState
from vnum.model.orders import OVER, READABLE, UNDER_WAY, OrderStatus
from vnum.model.refusals import Refusal, Refused
from vnum.service.clock import Clock, peek
from vnum.service.labels import Label, LabelItem, Labels, Named, Reader
from vnum.store import lifecycle as stored
from vnum.store.database import Database

PAGE = 200


class Why(StrEnum):
    """Why a printed label is stale."""

    EXPIRED = "expired"
    RELEASED = "released"
    REPLACED = "replaced"
    EXPIRING = "expiring"


class Printed(msgspec.Struct, frozen=True):
    """A label with the parcels of its order that the reader may see, as (carrier, waybill_no)."""

    label: Label
    parcels: Sequence[tuple[str, str]]


class StaleLabel(msgspec.Struct, frozen=True, kw_only=True):
    """A label out there that reaches nobody any more, or soon. `ends_at` = of the number that the order has now or had
    last; parcels: those that travel, as (carrier, waybill_no)."""

    merchant_id: str
    order_id: str
    binding_id: UUID
    host: str
    extension: str
    printed_at: datetime
    why: Why
    ends_at: datetime
    parcels: Sequence[tuple[str, str]]


class Prints:
    def __init__(self, database: Database, labels: Labels, clock: Clock) -> None:
        self._database = database
        self._labels = labels
        self._clock = clock

    async def label(self, merchant_id: str, order_id: str, format: str, reader: Reader) -> Printed:
        """The label of an order, written down before it is given out. Raises Refused: binding_not_found,
        binding_expired, binding_released, order_not_shipped."""
        item = LabelItem(merchant_id=merchant_id, order_id=order_id)
        (found,) = await self._labels.current([item], reader=reader)
        if isinstance(found, Refusal):
            raise Refused(found.code, found.detail, found.reason)
        binding = found.binding
        cell = cell_in(binding.binding_id)
        done = stored.Print(
            print_id=new_id(cell, found.now, urandom(RANDOM_BYTES)),
            merchant_id=merchant_id,
            order_id=order_id,
            binding_id=binding.binding_id,
            format=format,
            printed_at=found.now,
            printed_by=acting().by,
            host=binding.host,
            extension=binding.extension,
        )
        with untied():  # he may read the label, so what he read is written down; the list is not his to write
            await stored.add_print(self._database, cell, done)
        parcels = await self._parcels([(merchant_id, order_id)], reader.carrier)
        return Printed(found, [(row["carrier"], row["waybill_no"]) for row in parcels[0]])

    async def stale(
        self,
        reader: Reader,
        *,
        days: int,
        merchant_id: str | None = None,
        carrier: str | None = None,
        after: Named = ("", ""),
    ) -> list[StaleLabel]:
        """Up to 200, by merchant and order, behind `after`: printed numbers that lapsed, were replaced, or lapse within
        so many days, while a parcel travels. Of parcels of other carriers a tied courier sees nothing."""
        merchants = _merchants(reader, merchant_id)
        if merchants == [] or (carrier is not None and reader.carrier not in (None, carrier)):
            return []
        now = await peek(self._clock, self._database)
        readable = [status for status in OrderStatus if status not in OVER and (reader.prints or status in READABLE)]
        chosen = carrier or reader.carrier
        wanted = stored.Wanted(
            until=now + timedelta(days=days),
            after=after,
            merchants=merchants,
            carrier=chosen,
            under_way=sorted(UNDER_WAY),
            readable=readable,
            most=PAGE,
        )
        rows = await stored.stale(self._database, now, wanted)
        parcels = await self._parcels([(row["merchant_id"], row["order_id"]) for row in rows], reader.carrier)
        return [
            _stale(row, [(one["carrier"], one["waybill_no"]) for one in parcels[n] if _travels(one)])
            for n, row in enumerate(rows)
        ]

    async def _parcels(self, orders: Sequence[Named], carrier: str | None) -> dict[int, list[Record]]:
        found: defaultdict[int, list[Record]] = defaultdict(list)
        for n, row in await stored.parcels_of_orders(self._database, orders) if orders else ():
            if carrier in (None, row["carrier"]):
                found[n].append(row)
        return found


def _merchants(reader: Reader, merchant_id: str | None) -> list[str] | None:
    if reader.merchants is None:
        return None if merchant_id is None else [merchant_id]
    return sorted(reader.merchants if merchant_id is None else reader.merchants & {merchant_id})


def _travels(row: Record) -> bool:
    return bool(row["state"] == ParcelState.TRAVELLING)


def _stale(row: Record, parcels: Sequence[tuple[str, str]]) -> StaleLabel:
    return StaleLabel(
        merchant_id=row["merchant_id"],
        order_id=row["order_id"],
        binding_id=row["binding_id"],
        host=row["host"],
        extension=row["extension"],
        printed_at=row["printed_at"],
        why=_why(row),
        ends_at=row["ended_at"],
        parcels=parcels,
    )


def _why(row: Record) -> Why:
    if row["replaced"]:
        return Why.REPLACED
    if row["ended_at"] > row["now"]:
        return Why.EXPIRING
    return Why.RELEASED if row["released"] else Why.EXPIRED
