"""Bindings: lend a number to an order, look at it, extend it, release it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer, utc
from vnum.api.auth import PLATFORMS, PRINTERS, SHOPS
from vnum.api.bodies import Nothing, decode
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.api.idempotency import Once
from vnum.api.problems import EdgeCode, ItemError, item_error, of_trouble
from vnum.engine import Engine
from vnum.model.bindings import Binding, Mode, State
from vnum.model.fields import Name, PhoneText, Reason, Text
from vnum.model.numbers import Extension, Host, VirtualNumber, format_number
from vnum.model.refusals import Code, Refusal, Refused
from vnum.service.batch import Bound
from vnum.service.labels import Reader
from vnum.service.lifetime import Seen
from vnum.service.orders import BindRequest, Order
from vnum.store.database import Connection
from vnum.vault import Tokens

MOST_IN_STATEMENT: Final = 200
LANES: Final = 3
"""Statements of batches at a time; single binds have lanes of their own."""

REFUSED_BINDS: Final = (
    Code.INVALID_PHONE,
    Code.MERCHANT_NOT_FOUND,
    Code.MERCHANT_SUSPENDED,
    Code.ORDER_NOT_SHIPPED,
    Code.RECIPIENT_OPTED_OUT,
    Code.BINDING_CONFLICT,
    Code.SPEND_CAP_REACHED,
    Code.NO_NUMBER_AVAILABLE,
    Code.OVERLOADED,
)
"""What a bind may be refused for, by itself or in a batch."""

IN_A_BATCH: Final = (
    Code.INVALID_REQUEST,
    *REFUSED_BINDS,
    Code.CLOCK_JUMP,
    Code.OUTCOME_UNKNOWN,
    Code.STORE_UNAVAILABLE,
    EdgeCode.INTERNAL_ERROR,
)

_REQUEST: Final = msgspec.json.Decoder(BindRequest)


class BindingView(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A binding as callers see it. `number` is what a label bears; `ended_at` is there once it was released."""

    binding_id: UUID
    merchant_id: str
    order_id: str
    host: str
    extension: str
    number: str
    mode: Mode
    state: State
    bound_at: datetime
    expires_at: datetime
    recipient_token: str
    ended_at: datetime | None = None


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Each item is read on its own, so that a malformed one spoils no other."""

    items: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=1000, extra={"item": BindRequest})]


class BindResult(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`status` is the HTTP code that the item would have got alone."""

    shown: ClassVar[tuple[str, ...]] = ("binding",)

    status: int
    binding: BindingView | None = None
    error: ItemError | None = None


class BindResults(msgspec.Struct, frozen=True):
    results: list[BindResult]


class BindingQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    merchant_id: Name
    order_id: Name


class BindingList(msgspec.Struct, frozen=True):
    """The order's current or last binding; empty when it never had one."""

    bindings: list[BindingView]


class Extend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    days: Literal[7, 15, 30]


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Annotated[Text, msgspec.Meta(min_length=1)]


class ChangeRecipient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reason`: why, for the audit; no phone in it."""

    recipient_phone: PhoneText
    reason: Reason


class Bindings:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tokens = engine.vault.tokens
        self._batches = asyncio.Semaphore(LANES)

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/bindings", PLATFORMS, self.bind, BindRequest, audited=True),
            Endpoint("POST", "/v1/bindings/batch", PLATFORMS, self.bind_many, Batch, audited=True),
            Endpoint("GET", "/v1/bindings", SHOPS, self.of_order, BindingQuery),
            Endpoint("GET", "/v1/bindings/{binding_id}", PLATFORMS, self.get),
            Endpoint("POST", "/v1/bindings/{binding_id}/extend", PLATFORMS, self.extend, Extend, audited=True),
            Endpoint("POST", "/v1/bindings/{binding_id}/release", PLATFORMS, self.release, Release, audited=True),
            Endpoint(
                "POST",
                "/v1/bindings/{binding_id}/recipient",
                PLATFORMS,
                self.change_recipient,
                ChangeRecipient,
                audited=True,
            ),
        ]

    @answers(BindingView, status=(201, 200), refuses=REFUSED_BINDS)
    async def bind(self, call: Call, request: BindRequest) -> Answer:
        """201 with a new binding, or 200 with the live one of the same order and phone."""
        outcome = await self._engine.binder.bind_one(request)
        if isinstance(outcome, Refusal):
            raise Refused(outcome.code, outcome.detail, outcome.reason)
        return json_answer(201 if outcome.created else 200, view(outcome.binding, outcome.now, self._tokens))

    @answers(BindResults, within=IN_A_BATCH)
    async def bind_many(self, call: Call, batch: Batch) -> Answer:
        """A result an item, in order; one failure does not fail the rest."""
        results: list[BindResult | Order] = [self._read(item) for item in batch.items]
        first: list[int] = []
        again: list[int] = []
        seen: set[tuple[str, str]] = set()
        for n, order in enumerate(results):
            if isinstance(order, Order):
                name = (order.merchant_id, order.order_id)
                (again if name in seen else first).append(n)
                seen.add(name)
        await asyncio.gather(*(self._bind_some(results, positions) for positions in _chunks(first)))
        for positions in _chunks(again):  # an order's second item comes after its first
            await self._bind_some(results, positions)
        done = [result for result in results if isinstance(result, BindResult)]
        return json_answer(200, BindResults(done), final=all(result.status < 500 for result in done))

    @answers(BindingView, refuses=(Code.BINDING_NOT_FOUND,))
    async def get(self, call: Call, asked: Nothing) -> Answer:
        """One binding, live or not."""
        return self._shown(await self._engine.lifetime.get(_id(call)))

    @answers(BindingList, refuses=(Code.ORDER_NOT_SHIPPED,))
    async def of_order(self, call: Call, asked: BindingQuery) -> Answer:
        """The binding that an order names. Merchants and ISVs see it once the order is shipped."""
        reader = Reader(merchants=call.caller.merchants, prints=call.caller.role in PRINTERS)
        binding_id = await self._engine.labels.named(asked.merchant_id, asked.order_id, reader)
        if isinstance(binding_id, Refusal):
            raise Refused(binding_id.code, binding_id.detail)
        if binding_id is None:
            return json_answer(200, BindingList([]))
        seen = await self._engine.lifetime.get(binding_id)
        return json_answer(200, BindingList([view(seen.binding, seen.now, self._tokens)]))

    @answers(
        BindingView,
        refuses=(
            Code.BINDING_NOT_FOUND,
            Code.BINDING_EXPIRED,
            Code.BINDING_RELEASED,
            Code.EXTEND_LIMIT,
            Code.REACH_WINDOW_OVER,
            Code.HOST_LOCKED,
        ),
    )
    async def extend(self, call: Call, asked: Extend) -> Answer:
        """Adds days of 24 hours to a live binding, up to 180 days in all."""
        return await extended(self._engine, call.once, _id(call), asked.days)

    @answers(BindingView, refuses=(Code.BINDING_NOT_FOUND, Code.BINDING_EXPIRED))
    async def release(self, call: Call, asked: Release) -> Answer:
        """Ends a live binding now; of a released one nothing changes."""
        return self._shown(await self._engine.lifetime.release(_id(call), asked.reason))

    @answers(
        BindingView,
        refuses=(
            Code.INVALID_PHONE,
            Code.BINDING_NOT_FOUND,
            Code.BINDING_EXPIRED,
            Code.BINDING_RELEASED,
            Code.RECIPIENT_ERASED,
            Code.RECIPIENT_OPTED_OUT,
        ),
    )
    async def change_recipient(self, call: Call, asked: ChangeRecipient) -> Answer:
        """Puts another phone behind a live number: label, expiry and rental stay, the next call reaches it."""
        return self._shown(await self._engine.recipients.change(_id(call), asked.recipient_phone, asked.reason))

    def _read(self, item: msgspec.Raw) -> Order | BindResult:
        try:
            order = self._engine.binder.check(decode(_REQUEST, item))
        except Refused as refused:
            order = refused.refusal
        return order if isinstance(order, Order) else _refused(order)

    async def _bind_some(self, results: "list[BindResult | Order]", positions: Sequence[int]) -> None:
        """Puts results in place of the orders at these positions."""
        orders = [order for n in positions if isinstance(order := results[n], Order)]
        try:
            async with self._batches:
                outcomes = await self._engine.binder.bind_orders(orders)
        except Exception as trouble:
            status, error = item_error(of_trouble(trouble))
            for n in positions:
                results[n] = BindResult(status, error=error)
            return
        for n, outcome in zip(positions, outcomes, strict=True):
            results[n] = self._result(outcome)

    def _shown(self, seen: Seen) -> Answer:
        return shown(seen, self._tokens)

    def _result(self, outcome: Bound | Refusal) -> BindResult:
        if isinstance(outcome, Refusal):
            return _refused(outcome)
        return BindResult(201 if outcome.created else 200, view(outcome.binding, outcome.now, self._tokens))


async def extended(engine: Engine, once: Once | None, binding_id: UUID, days: int) -> Answer:
    """Extends a binding; under an Idempotency-Key the answer is kept in the same transaction."""
    tokens = engine.vault.tokens
    if once is None:
        return shown(await engine.lifetime.extend(binding_id, days), tokens)

    async def keep(connection: Connection, seen: Seen) -> None:
        await once.keep(shown(seen, tokens), connection)

    return shown(await engine.lifetime.extend(binding_id, days, keep), tokens, kept=True)


def shown(seen: Seen, tokens: Tokens, *, kept: bool = False) -> Answer:
    return json_answer(200, view(seen.binding, seen.now, tokens), kept=kept)


def view(binding: Binding, now: datetime, tokens: Tokens) -> BindingView:
    """A binding as every answer shows it. `recipient_token` is for the messages of its merchant."""
    return BindingView(
        binding.binding_id,
        binding.merchant_id,
        binding.order_id,
        binding.host,
        binding.extension,
        number_of(binding),
        binding.mode,
        binding.state(now),
        utc(binding.bound_at),
        utc(binding.expires_at),
        tokens.make(binding.binding_id, binding.merchant_id),
        utc(binding.ended_at) if binding.released else None,
    )


def number_of(binding: Binding) -> str:
    return format_number(VirtualNumber(host=Host(binding.host), extension=Extension(binding.extension)))


def _refused(refusal: Refusal) -> BindResult:
    status, error = item_error(refusal)
    return BindResult(status, error=error)


def _id(call: Call) -> UUID:
    return call.id_in("binding_id", Code.BINDING_NOT_FOUND, "no binding has such an id")


def _chunks(positions: list[int]) -> list[list[int]]:
    return [positions[at : at + MOST_IN_STATEMENT] for at in range(0, len(positions), MOST_IN_STATEMENT)]
