"""Webhooks: subscriptions to events, their secrets, and what became of their deliveries."""

from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as, utc
from vnum.api.auth import SHOPS
from vnum.api.bodies import Nothing
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.fields import Name
from vnum.model.refusals import Code
from vnum.model.webhooks import DeliveryState
from vnum.service.deliveries import Delivery
from vnum.service.webhooks import FIRST, PAGE, NewWebhook, Webhook, WebhookChange
from vnum.store.database import Connection

MOST_OVERLAP_HOURS: Final = 7 * 24


class WebhookQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    merchant_id: Name | None = None
    after: UUID = FIRST


class Rotate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long the present secret signs beside the new one; 0 = not at all, as after a leak."""

    overlap_hours: Annotated[int, msgspec.Meta(ge=0, le=MOST_OVERLAP_HOURS)] = 24


class DeliveryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    state: DeliveryState = DeliveryState.DEAD
    after: UUID = FIRST


class WebhookView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`merchant_id` left out = of all merchants. `secret` is there when it was just made, and never again.
    `former_until` = until when the secret of before the last rotation signs too."""

    webhook_id: UUID
    url: str
    events: list[str]
    active: bool
    created_at: datetime
    merchant_id: str | None = None
    former_until: datetime | None = None
    secret: str | None = None


class WebhookList(msgspec.Struct, frozen=True, omit_defaults=True):
    webhooks: list[WebhookView]
    next: UUID | None = None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`delivery_id` = the id of the event (`webhook-id`). `due_at` = the next attempt of one that waits; `failure` =
    why the last attempt failed: `status 500`, timeout, connection, tls, address_refused."""

    delivery_id: UUID
    event: str
    at: datetime
    state: DeliveryState
    attempts: int
    data: msgspec.Raw
    due_at: datetime | None = None
    tried_at: datetime | None = None
    failure: str | None = None


class DeliveryList(msgspec.Struct, frozen=True, omit_defaults=True):
    deliveries: list[DeliveryView]
    next: UUID | None = None


class Replayed(msgspec.Struct, frozen=True):
    replayed: int


class Webhooks:
    def __init__(self, engine: Engine) -> None:
        self._webhooks = engine.webhooks
        self._deliveries = engine.deliveries

    def endpoints(self) -> list[Endpoint]:
        one = "/v1/webhooks/{webhook_id}"
        return [
            Endpoint("POST", "/v1/webhooks", SHOPS, self.add, NewWebhook),
            Endpoint("GET", "/v1/webhooks", SHOPS, self.list, WebhookQuery),
            Endpoint("GET", one, SHOPS, self.get),
            Endpoint("PATCH", one, SHOPS, self.change, WebhookChange),
            Endpoint("DELETE", one, SHOPS, self.delete),
            Endpoint("POST", f"{one}/rotate", SHOPS, self.rotate, Rotate),
            Endpoint("GET", f"{one}/deliveries", SHOPS, self.deliveries, DeliveryQuery),
            Endpoint("POST", f"{one}/deliveries/replay", SHOPS, self.replay_dead),
            Endpoint("POST", one + "/deliveries/{delivery_id}/replay", SHOPS, self.replay),
        ]

    @answers(
        WebhookView, status=(201,), refuses=(Code.MERCHANT_NOT_FOUND, Code.WEBHOOK_URL_REFUSED, Code.WEBHOOK_LIMIT)
    )
    async def add(self, call: Call, new: NewWebhook) -> Answer:
        """Subscribes a URL to events; 201, with the secret that signs them, shown this once."""
        webhook, secret = await self._webhooks.add(new, call.caller, _Keep(call, 201))
        return json_answer(201, _view(webhook, secret), kept=call.once is not None)

    @answers(WebhookList)
    async def list(self, call: Call, asked: WebhookQuery) -> Answer:
        """Subscriptions, 500 at a time, by id, without their secrets."""
        found = await self._webhooks.page(call.caller, merchant_id=asked.merchant_id, after=asked.after)
        more = found[-1].webhook_id if len(found) == PAGE else None
        return json_answer(200, WebhookList([_view(webhook) for webhook in found], more))

    @answers(WebhookView, refuses=(Code.WEBHOOK_NOT_FOUND,))
    async def get(self, call: Call, asked: Nothing) -> Answer:
        """One subscription, without its secret."""
        return json_answer(200, _view(await self._webhooks.get(_id(call), call.caller)))

    @answers(WebhookView, refuses=(Code.WEBHOOK_NOT_FOUND, Code.WEBHOOK_URL_REFUSED))
    async def change(self, call: Call, change: WebhookChange) -> Answer:
        """What is left out stays as it is; while it is not active, events are neither sent nor kept for it."""
        return json_answer(200, _view(await self._webhooks.change(_id(call), change, call.caller)))

    @answers(WebhookView, refuses=(Code.WEBHOOK_NOT_FOUND,))
    async def delete(self, call: Call, asked: Nothing) -> Answer:
        """Ends a subscription at once; what waits is dropped."""
        return json_answer(200, _view(await self._webhooks.delete(_id(call), call.caller)))

    @answers(WebhookView, refuses=(Code.WEBHOOK_NOT_FOUND,))
    async def rotate(self, call: Call, asked: Rotate) -> Answer:
        """A new secret, shown this once; the present one signs too for some hours."""
        overlap = timedelta(hours=asked.overlap_hours)
        webhook, secret = await self._webhooks.rotate(_id(call), overlap, call.caller, _Keep(call, 200))
        return json_answer(200, _view(webhook, secret), kept=call.once is not None)

    @answers(DeliveryList, refuses=(Code.WEBHOOK_NOT_FOUND,))
    async def deliveries(self, call: Call, asked: DeliveryQuery) -> Answer:
        """Deliveries of a state, 500 at a time, the oldest first."""
        found = await self._deliveries.page(_id(call), asked.state, call.caller, after=asked.after)
        more = found[-1].delivery_id if len(found) == PAGE else None
        return json_answer(200, DeliveryList([_delivery(one) for one in found], more))

    @answers(DeliveryView, refuses=(Code.WEBHOOK_NOT_FOUND, Code.DELIVERY_NOT_FOUND))
    async def replay(self, call: Call, asked: Nothing) -> Answer:
        """Sends one delivery once more, dead or delivered, from its first attempt on."""
        return json_answer(200, _delivery(await self._deliveries.replay(_id(call), _delivery_id(call), call.caller)))

    @answers(Replayed, refuses=(Code.WEBHOOK_NOT_FOUND,))
    async def replay_dead(self, call: Call, asked: Nothing) -> Answer:
        """Sends every dead delivery once more; how many."""
        return json_answer(200, Replayed(await self._deliveries.replay_dead(_id(call), call.caller)))


class _Keep:
    """Keeps the answer under the request's Idempotency-Key, with the effect, but without the secret: a repeat is told
    which subscription it is, and rotates if the first answer was lost."""

    def __init__(self, call: Call, status: int) -> None:
        self._once = call.once
        self._status = status

    async def __call__(self, connection: Connection, webhook: Webhook) -> None:
        if self._once is not None:
            await self._once.keep(json_answer(self._status, _view(webhook)), connection)


def _view(webhook: Webhook, secret: str | None = None) -> WebhookView:
    return shown_as(WebhookView, webhook, secret=secret)


def _delivery(one: Delivery) -> DeliveryView:
    waits = one.state is DeliveryState.WAITING
    return shown_as(DeliveryView, one, due_at=utc(one.due_at) if waits else None)


def _id(call: Call) -> UUID:
    return call.id_in("webhook_id", Code.WEBHOOK_NOT_FOUND, "no subscription has such an id")


def _delivery_id(call: Call) -> UUID:
    return call.id_in("delivery_id", Code.DELIVERY_NOT_FOUND, "no delivery has such an id")
