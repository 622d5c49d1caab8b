"""Labels: the number that is current now, for many orders or parcels in one call."""

from datetime import datetime
from typing import Annotated, ClassVar, Final
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer, utc
from vnum.api.auth import PRINTERS, READERS
from vnum.api.bindings import IN_A_BATCH, number_of
from vnum.api.bodies import decode
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.api.problems import ItemError, item_error
from vnum.engine import Engine
from vnum.model.bindings import State
from vnum.model.refusals import Code, Refusal, Refused
from vnum.service.keys import Caller
from vnum.service.labels import Label, LabelItem, Reader

UNPRINTED: Final = (
    Code.BINDING_NOT_FOUND,
    Code.BINDING_EXPIRED,
    Code.BINDING_RELEASED,
    Code.RECIPIENT_ERASED,
    *IN_A_BATCH,
)
"""Why there is no number to print; what keeps an order from a number keeps it from a new one."""

_ITEM: Final = msgspec.json.Decoder(LabelItem)


class Current(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reissue` = bind lapsed orders anew, as they were bound before."""

    items: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=200, extra={"item": LabelItem})]
    reissue: bool = False


class LabelResult(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    shown: ClassVar[tuple[str, ...]] = (
        "merchant_id",
        "order_id",
        "binding_id",
        "host",
        "extension",
        "number",
        "state",
        "expires_at",
    )

    status: int
    merchant_id: str | None = None
    order_id: str | None = None
    binding_id: UUID | None = None
    host: str | None = None
    extension: str | None = None
    number: str | None = None
    state: State | None = None
    expires_at: datetime | None = None
    error: ItemError | None = None


class LabelResults(msgspec.Struct, frozen=True):
    results: list[LabelResult]


class Labels:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint("POST", "/v1/labels/current", READERS, self.current, Current, audited=True)]

    @answers(LabelResults, within=UNPRINTED)
    async def current(self, call: Call, asked: Current) -> Answer:
        """A result an item, in order. What a tied key may not see is not found."""
        read = [_read(item) for item in asked.items]
        items = [item for item in read if isinstance(item, LabelItem)]
        found = iter(
            await self._engine.labels.current(items, reissue=asked.reissue, reader=reader_of(call.caller))
            if items
            else []
        )
        results = [_result(next(found) if isinstance(item, LabelItem) else item) for item in read]
        return json_answer(200, LabelResults(results), final=all(result.status < 500 for result in results))


def reader_of(caller: Caller) -> Reader:
    return Reader(merchants=caller.merchants, carrier=caller.carrier, prints=caller.role in PRINTERS)


def _read(item: msgspec.Raw) -> LabelItem | Refusal:
    try:
        return decode(_ITEM, item)
    except Refused as refused:
        return refused.refusal


def _result(label: Label | Refusal) -> LabelResult:
    if isinstance(label, Refusal):
        status, error = item_error(label)
        return LabelResult(status, error=error)
    binding = label.binding
    return LabelResult(
        200,
        binding.merchant_id,
        binding.order_id,
        binding.binding_id,
        binding.host,
        binding.extension,
        number_of(binding),
        binding.state(label.now),
        utc(binding.expires_at),
    )
