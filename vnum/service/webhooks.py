"""Subscriptions to events: who may make one, whom it tells what, and its secret."""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta
from os import urandom
from typing import Annotated
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.acting import untied
from vnum.model.fields import Name
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.model.refusals import Code, Refused
from vnum.model.webhooks import OF_PLATFORMS, SECRET_BYTES, Event, secret_text
from vnum.outside.addresses import MOST_URL, Reach, UrlRefused, check_url
from vnum.service.clock import Clock, peek
from vnum.service.keys import Caller, Role
from vnum.store import merchants as stored_merchants
from vnum.store import webhooks as stored
from vnum.store.database import Connection, Database
from vnum.vault import Vault

PAGE = 500
FIRST = UUID(int=0)
MOST = 20
"""Subscriptions of one merchant and kind of key: each costs a row an event."""

SECRET = b"webhook"
"""What the seal of a secret is made for."""

Url = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_URL)]
Events = Annotated[list[Event], msgspec.Meta(min_length=1, max_length=len(Event))]


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`merchant_id` null = of all merchants, which only a platform may ask for; a key tied to one merchant need not say
    which."""

    url: Url
    events: Events
    merchant_id: Name | None = None


class WebhookChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays. While it is not active nothing is sent, and no event is kept for it."""

    url: Url | None = None
    events: Events | None = None
    active: bool | None = None


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """`former_until` = until when the secret of before the last rotation signs too."""

    webhook_id: UUID
    merchant_id: str | None
    url: str
    events: list[str]
    active: bool
    created_at: datetime
    former_until: datetime | None = None


Also = Callable[[Connection, Webhook], Awaitable[None]]


class Webhooks:
    def __init__(self, database: Database, vault: Vault, clock: Clock, reach: Reach) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._reach = reach

    async def add(self, new: NewWebhook, caller: Caller, also: Also | None = None) -> tuple[Webhook, str]:
        """The subscription and its secret, which is shown this once. Raises Refused: merchant_not_found,
        webhook_url_refused, webhook_limit, invalid_request."""
        role = _role(caller)
        self._check_url(new.url, role)
        merchant_id = await self._merchant(new, caller)
        _check_events(new.events, role, merchant_id)
        now = await peek(self._clock, self._database)
        webhook_id = new_id(0, now, urandom(RANDOM_BYTES))
        made = Webhook(
            webhook_id=webhook_id,
            merchant_id=merchant_id,
            url=new.url,
            events=_sorted(new.events),
            active=True,
            created_at=now,
        )
        secret = secret_text(urandom(SECRET_BYTES))
        with untied():  # of the merchant above
            await self._write(made, role, caller, secret, also)
        return made, secret

    async def _write(self, made: Webhook, role: str, caller: Caller, secret: str, also: Also | None) -> None:
        async with self._database.acquire() as connection, connection.transaction():
            added = await stored.add(
                connection,
                made.webhook_id,
                made.merchant_id,
                role,
                caller.key_id,
                made.url,
                made.events,
                self._sealed(secret, made.webhook_id),
                made.created_at,
                MOST,
            )
            if not added:
                raise Refused(Code.WEBHOOK_LIMIT, f"there are {MOST} subscriptions already; delete one first")
            if also is not None:
                await also(connection, made)

    async def page(
        self, caller: Caller, *, merchant_id: str | None = None, after: UUID = FIRST, most: int = PAGE
    ) -> list[Webhook]:
        """Those that the caller may see, by id, behind `after`."""
        roles = sorted(_visible(caller))
        merchants = _merchants_of(caller, merchant_id)
        made_by = caller.key_id if caller.role is Role.ISV else None
        records = await stored.webhooks(self._database, merchants, roles, made_by, after, most)
        return [_webhook(record) for record in records]

    async def get(self, webhook_id: UUID, caller: Caller) -> Webhook:
        """Raises Refused (webhook_not_found), also for what the caller may not see."""
        return _webhook(await self.seen(webhook_id, caller))

    async def change(self, webhook_id: UUID, change: WebhookChange, caller: Caller) -> Webhook:
        """Raises Refused: webhook_not_found, webhook_url_refused, invalid_request."""
        record = await self.seen(webhook_id, caller)
        if change.url is not None:
            self._check_url(change.url, record["role"])
        if change.events is not None:
            _check_events(change.events, record["role"], record["merchant_id"])
        events = None if change.events is None else _sorted(change.events)
        with untied():  # the one seen above
            await stored.change(self._database, webhook_id, change.url, events, change.active)
        return await self.get(webhook_id, caller)

    async def rotate(
        self, webhook_id: UUID, overlap: timedelta, caller: Caller, also: Also | None = None
    ) -> tuple[Webhook, str]:
        """A new secret; the present one signs too until the overlap is over. Raises Refused (webhook_not_found)."""
        webhook = await self.get(webhook_id, caller)
        until = await peek(self._clock, self._database) + overlap
        secret = secret_text(urandom(SECRET_BYTES))
        rotated = msgspec.structs.replace(webhook, former_until=until)
        with untied():  # the one seen above
            async with self._database.acquire() as connection, connection.transaction():
                await stored.rotate(connection, webhook_id, self._sealed(secret, webhook_id), until)
                if also is not None:
                    await also(connection, rotated)
        return rotated, secret

    async def delete(self, webhook_id: UUID, caller: Caller) -> Webhook:
        """From now on it gets nothing, and what waits is dropped. Raises Refused (webhook_not_found)."""
        webhook = await self.get(webhook_id, caller)
        with untied():  # the one seen above
            await stored.delete(self._database, webhook_id, await peek(self._clock, self._database))
        return msgspec.structs.replace(webhook, active=False)

    async def seen(self, webhook_id: UUID, caller: Caller) -> Record:
        """As it is stored. Raises Refused (webhook_not_found), also for what the caller may not see."""
        record = await stored.webhook(self._database, webhook_id)
        if record is None or not _sees(caller, record):
            raise Refused(Code.WEBHOOK_NOT_FOUND, "no subscription of yours has such an id")
        return record

    async def _merchant(self, new: NewWebhook, caller: Caller) -> str | None:
        """The merchant of a new subscription. Raises Refused: merchant_not_found, invalid_request."""
        merchant_id = new.merchant_id
        if merchant_id is None and caller.merchants is not None and len(caller.merchants) == 1:
            (merchant_id,) = caller.merchants
        if merchant_id is None:
            if _role(caller) != Role.PLATFORM:
                raise Refused(Code.INVALID_REQUEST, "merchant_id: say of which merchant; a platform may leave it out")
            return None
        hidden = caller.merchants is not None and merchant_id not in caller.merchants
        if hidden or not await stored_merchants.has(self._database, merchant_id):
            raise Refused(Code.MERCHANT_NOT_FOUND, "no merchant of yours has such an id")
        return merchant_id

    def _check_url(self, url: str, role: str) -> None:
        try:
            check_url(url, reach_of(role, self._reach))
        except UrlRefused as refused:
            raise Refused(Code.WEBHOOK_URL_REFUSED, f"url: {refused}") from None

    def _sealed(self, secret: str, webhook_id: UUID) -> bytes:
        return self._vault.seal(secret, webhook_id, SECRET)


def reach_of(role: str, reach: Reach) -> Reach:
    """Into own networks only for platforms: a merchant's URL is a stranger's, whatever the setting."""
    return reach if role == Role.PLATFORM else Reach.PUBLIC


def _role(caller: Caller) -> str:
    """Whose subscription it is: an admin's is a platform's."""
    return str(caller.role if caller.role in (Role.MERCHANT, Role.ISV) else Role.PLATFORM)


def _visible(caller: Caller) -> Collection[str]:
    """A merchant sees his ISVs' subscriptions too: they tell of him. A platform sees all."""
    match caller.role:
        case Role.ISV:
            return (str(Role.ISV),)
        case Role.MERCHANT:
            return (str(Role.MERCHANT), str(Role.ISV))
        case _:
            return (str(Role.PLATFORM), str(Role.MERCHANT), str(Role.ISV))


def _merchants_of(caller: Caller, merchant_id: str | None) -> list[str] | None:
    if merchant_id is None:
        return None if caller.merchants is None else sorted(caller.merchants)
    return [merchant_id] if caller.merchants is None or merchant_id in caller.merchants else []


def _sees(caller: Caller, record: Record) -> bool:
    if record["role"] not in _visible(caller):
        return False
    if caller.role is Role.ISV and record["made_by"] != caller.key_id:
        return False
    return caller.merchants is None or record["merchant_id"] in caller.merchants


def _check_events(events: Collection[Event], role: str, merchant_id: str | None) -> None:
    if OF_PLATFORMS.intersection(events) and (role != Role.PLATFORM or merchant_id is not None):
        raise Refused(
            Code.INVALID_REQUEST,
            f"events: {', '.join(sorted(OF_PLATFORMS))} is told to platforms only, without merchant_id",
        )


def _sorted(events: Collection[Event]) -> list[str]:
    return sorted({str(event) for event in events})


def _webhook(record: Record) -> Webhook:
    return Webhook(**{name: record[name] for name in Webhook.__struct_fields__})
