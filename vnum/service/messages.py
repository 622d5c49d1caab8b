"""Texts to recipients whose phones nobody sees: a registered template, filled in, by the gateway.

Whom a text reaches is named by a recipient token, which is answered with each binding.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from os import urandom
from typing import Annotated
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.meters import MESSAGES
from vnum.model.acting import untied
from vnum.model.call_policy import Policies
from vnum.model.call_rules import text_caps
from vnum.model.cells import cell_of, cell_of_hash
from vnum.model.ids import RANDOM_BYTES, cell_in, new_id
from vnum.model.messages import MOST_PARAMS, MOST_TEXT, Purpose, TextInvalid, fill, holes
from vnum.model.numbers import NumberError, parse_number
from vnum.model.orders import READABLE
from vnum.model.phones import PhoneError, is_mobile, parse_recipient
from vnum.model.refusals import Code, Refused
from vnum.outside.gateway import Gateway, Text
from vnum.service.clock import Clock, peek
from vnum.service.keys import Caller, Role
from vnum.service.orders import Name
from vnum.service.registry import Registry
from vnum.store import audit
from vnum.store import merchants as stored_merchants
from vnum.store import messages as stored
from vnum.store.database import Connection, Database
from vnum.store.messages import Begun
from vnum.vault import Vault

PAGE = 500
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)

OptedOut = Callable[[bytes, str], Awaitable[bool]]
"""Whether the recipient (by the fingerprint of his phone) wants no text of the merchant."""

TemplateId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$(?!\n)")]


class NewTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`text` with {placeholders}. A parameter may hold a link or a phone only where the template allows it."""

    template_id: TemplateId
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_TEXT)]
    purpose: Purpose
    allow_links: bool = False
    allow_phones: bool = False


class Template(msgspec.Struct, frozen=True, kw_only=True):
    template_id: str
    text: str
    purpose: Purpose
    allow_links: bool
    allow_phones: bool
    created_at: datetime


class NewMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`params` fill in the template's placeholders. `purpose`, if given, must be the template's. With a `message_id` of
    the sender's own (any UUID) a repeat sends nothing again."""

    merchant_id: Name
    recipient_token: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    template_id: TemplateId
    params: Annotated[dict[str, str], msgspec.Meta(max_length=MOST_PARAMS)] = {}
    purpose: Purpose | None = None
    message_id: UUID | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: sending, sent (the gateway took it), failed (`failure` says why; after a `timeout` nobody knows)."""

    message_id: UUID
    merchant_id: str
    order_id: str
    template_id: str
    purpose: Purpose
    state: str
    created_at: datetime
    failure: str | None = None
    settled_at: datetime | None = None


class _Recipient(msgspec.Struct, frozen=True):
    order_id: str
    binding_id: UUID
    phone: str
    fingerprint: bytes
    caps: list[int] | None

    def __repr__(self) -> str:
        return f"_Recipient({self.binding_id})"


class Messages:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        registry: Registry,
        clock: Clock,
        cells: int,
        gateway: Gateway | None,
        opted_out: OptedOut,
        policies: Policies,
    ) -> None:
        self._database = database
        self._vault = vault
        self._registry = registry
        self._clock = clock
        self._cells = cells
        self._gateway = gateway
        self._opted_out = opted_out
        self._policies = policies

    async def add_template(self, new: NewTemplate, by: str) -> Template:
        """Raises Refused: template_exists, message_invalid."""
        try:
            holes(new.text)
        except TextInvalid as invalid:
            raise Refused(Code.MESSAGE_INVALID, str(invalid)) from None
        if not new.text.isprintable():
            raise Refused(Code.MESSAGE_INVALID, "text: one line of printable characters")
        now = await peek(self._clock, self._database)
        row = (new.template_id, new.text, new.purpose, new.allow_links, new.allow_phones, by, now)
        if not await stored.add_template(self._database, row):
            raise Refused(Code.TEMPLATE_EXISTS, "there is (or was) a template of that id; take another")
        return Template(**msgspec.structs.asdict(new), created_at=now)

    async def templates(self, after: str = "", most: int = PAGE) -> list[Template]:
        """Those in use, by id, behind `after`."""
        return [_template(record) for record in await stored.templates(self._database, after, most)]

    async def retire(self, template_id: str) -> None:
        """No text is made of it any more. Raises Refused (template_not_found)."""
        if not await stored.retire_template(self._database, template_id, await peek(self._clock, self._database)):
            raise Refused(Code.TEMPLATE_NOT_FOUND, "no template in use has such an id")

    async def send(self, new: NewMessage, caller: Caller) -> Message:
        """Sends a text to the present recipient of an order; a repeat under its message_id sends nothing again.

        Raises Refused: sms_not_configured, merchant_not_found, merchant_suspended, template_not_found, message_invalid,
        recipient_token_invalid, order_not_shipped, recipient_erased, recipient_opted_out, texts_capped,
        sms_not_supported, sms_not_possible, message_conflict.
        """
        if self._gateway is None:
            raise Refused(
                Code.SMS_NOT_CONFIGURED, "no gateway for texts is set up here; the operator sets VNUM_SMS_GATEWAY_URL"
            )
        await self._may_send(new.merchant_id, caller)
        if new.message_id is not None and (sent := await self._repeated(new, new.message_id)) is not None:
            return sent
        template = await self._template(new)
        text = _filled(template, new)
        with untied():  # of the caller's merchant; the phone goes to the gateway only
            recipient = await self._recipient(new, prints=caller.role in (Role.PLATFORM, Role.ADMIN))
            return await self._send(self._gateway, new, template, recipient, text, caller)

    async def get(self, message_id: UUID, caller: Caller) -> Message:
        """Raises Refused (message_not_found), also for what a tied key may not see."""
        record = await stored.message(self._database, self._cell(message_id), message_id)
        if record is None or not _may(caller, record["merchant_id"]):
            raise Refused(Code.MESSAGE_NOT_FOUND, "no message of yours has such an id")
        return _message(record)

    async def close(self) -> None:
        if self._gateway is not None:
            await self._gateway.close()

    async def _send(
        self, gateway: Gateway, new: NewMessage, template: Template, recipient: _Recipient, text: str, caller: Caller
    ) -> Message:
        """The message and the reading of the number are written before the phone goes out."""
        now = await peek(self._clock, self._database)
        message_id = new.message_id or new_id(0, now, urandom(RANDOM_BYTES))
        begun = Begun(
            self._cell(message_id),
            message_id,
            new.merchant_id,
            recipient.order_id,
            recipient.binding_id,
            template.template_id,
            template.purpose,
            self._content(new),
            caller.key_id,
            now,
        )
        async with self._database.acquire() as connection, connection.transaction():
            ours = await stored.begin(connection, begun)
            if ours:
                await self._count(connection, recipient, new.merchant_id, now)
                ids = [str(recipient.binding_id)]
                cell = cell_in(recipient.binding_id)
                await audit.add(connection, cell, now, "number.read", ids, f"message {message_id}")
        if not ours:  # another request was first
            repeated = await self._repeated(new, message_id)
            assert repeated is not None, "messages are not deleted"
            return repeated
        phone = recipient.phone
        failure = await gateway.send(Text(message_id, phone, text, template.template_id))
        state = "sent" if failure is None else "failed"
        MESSAGES.labels(state).inc()
        await stored.settle(self._database, begun.cell, message_id, state, failure, await self._now())
        return await self.get(message_id, caller)

    async def _count(self, connection: Connection, recipient: _Recipient, merchant_id: str, now: datetime) -> None:
        """In the message's transaction: what is refused was not begun. Raises Refused (texts_capped)."""
        if recipient.caps is None:
            return
        cell, spans = cell_of_hash(self._cells, recipient.fingerprint), (now, now - _HOUR, now - _DAY)
        if not await stored.count(connection, cell, recipient.fingerprint, merchant_id, spans, recipient.caps):
            MESSAGES.labels("capped").inc()
            raise Refused(Code.TEXTS_CAPPED, "the recipient was texted often enough of late; write later")

    async def _may_send(self, merchant_id: str, caller: Caller) -> None:
        if not _may(caller, merchant_id) or not await stored_merchants.has(self._database, merchant_id):
            raise Refused(Code.MERCHANT_NOT_FOUND, "no merchant of yours has such an id")

    async def _repeated(self, new: NewMessage, message_id: UUID) -> Message | None:
        """The message that was asked for before. Raises Refused (message_conflict) if it was another."""
        cell = self._cell(message_id)
        with untied():  # ids are the senders' own: one may be taken by another merchant's message
            record = await stored.message(self._database, cell, message_id)
            content = await stored.content(self._database, cell, message_id, new.merchant_id)
        if record is None:
            return None
        if content != self._content(new):
            raise Refused(Code.MESSAGE_CONFLICT, "this message_id came with another message before; take a new one")
        return _message(record)

    async def _template(self, new: NewMessage) -> Template:
        record = await stored.template(self._database, new.template_id)
        if record is None:
            raise Refused(Code.TEMPLATE_NOT_FOUND, "no template in use has such an id")
        template = _template(record)
        if new.purpose not in (None, template.purpose):
            raise Refused(Code.MESSAGE_INVALID, f"purpose: this template is for {template.purpose}")
        return template

    async def _recipient(self, new: NewMessage, *, prints: bool) -> _Recipient:
        """Whom the token reaches now. Raises Refused."""
        binding_id = self._vault.tokens.read(new.recipient_token, new.merchant_id)
        if binding_id is None or cell_in(binding_id) >= self._cells:
            raise self._no_token(new.recipient_token)
        record = await stored.recipient(self._database, cell_in(binding_id), binding_id, new.merchant_id)
        if record is None:
            raise self._no_token(new.recipient_token)
        _check(record, prints=prints)
        if await self._opted_out(record["recipient_hash"], new.merchant_id):
            raise Refused(Code.RECIPIENT_OPTED_OUT, "the recipient wants no texts")
        await self._vault.know(record["key_id"])
        if not self._vault.opens(record["key_id"]):
            raise _erased()
        phone = self._vault.open(record["recipient"], record["binding_id"], key_id=record["key_id"])
        number = phone.partition(";")[0]
        if self._registry.owns(number):
            raise Refused(Code.SMS_NOT_SUPPORTED, "a virtual number takes no texts")
        if not is_mobile(number.removeprefix("+86")):
            raise Refused(Code.SMS_NOT_POSSIBLE, "the recipient's phone is a fixed line: it takes no texts")
        caps = text_caps(self._policies.over(record["policy"]), self._policies.platform)
        return _Recipient(record["order_id"], record["binding_id"], number, record["recipient_hash"], caps)

    def _no_token(self, text: str) -> Refused:
        """People put numbers where tokens belong; a virtual one is told to take no texts."""
        if self._is_virtual(text):
            return Refused(Code.SMS_NOT_SUPPORTED, "a virtual number takes no texts; send the recipient_token")
        return Refused(Code.RECIPIENT_TOKEN_INVALID, "recipient_token: not one of this merchant's bindings")

    def _is_virtual(self, text: str) -> bool:
        try:
            return self._registry.has(parse_number(text).host)
        except NumberError:
            pass
        try:
            return self._registry.owns(parse_recipient(text).e164)
        except PhoneError:
            return self._registry.has(text)

    def _content(self, new: NewMessage) -> bytes:
        asked = [new.merchant_id, new.recipient_token, new.template_id, sorted(new.params.items())]
        return self._vault.fingerprint(msgspec.json.encode(asked).decode())

    def _cell(self, message_id: UUID) -> int:
        return cell_of(self._cells, str(message_id))

    async def _now(self) -> datetime:
        return await peek(self._clock, self._database)


def _may(caller: Caller, merchant_id: str) -> bool:
    return caller.merchants is None or merchant_id in caller.merchants


def _check(record: Record, *, prints: bool) -> None:
    """Raises Refused: merchant_suspended, order_not_shipped, recipient_erased."""
    if record["merchant_state"] == "suspended":
        raise Refused(Code.MERCHANT_SUSPENDED, "the merchant is suspended")
    if not prints and record["order_status"] not in READABLE:
        raise Refused(Code.ORDER_NOT_SHIPPED, "its recipient can be reached once the order is shipped")
    if record["recipient"] is None:
        raise _erased()


def _erased() -> Refused:
    return Refused(Code.RECIPIENT_ERASED, "the recipient's phone was erased")


def _filled(template: Template, new: NewMessage) -> str:
    try:
        return fill(template.text, new.params, links=template.allow_links, phones=template.allow_phones)
    except TextInvalid as invalid:
        raise Refused(Code.MESSAGE_INVALID, str(invalid)) from None


def _template(record: Record) -> Template:
    fields = {name: record[name] for name in Template.__struct_fields__}
    return Template(**fields | {"purpose": Purpose(record["purpose"])})


def _message(record: Record) -> Message:
    fields = {name: record[name] for name in Message.__struct_fields__}
    return Message(**fields | {"purpose": Purpose(record["purpose"])})
