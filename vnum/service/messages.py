"""Texts to recipients whose phones nobody sees: a registered template, filled in, by the gateway.

Whom a text reaches is named by a recipient token, which is answered with each binding.
"""

from datetime import datetime, timedelta
from os import urandom
from typing import Annotated
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.meters import MESSAGES
from vnum.model.acting import untied
from vnum.model.cells import cell_of, cell_of_hash
from vnum.model.fields import Name
from vnum.model.ids import RANDOM_BYTES, cell_in, new_id
from vnum.model.messages import MOST_PARAMS, Purpose
from vnum.model.refusals import Code, Refused
from vnum.outside.gateway import Gateway, Text
from vnum.service.clock import Clock, peek
from vnum.service.keys import Caller, Role
from vnum.service.templates import Template, TemplateId, Templates, filled
from vnum.service.text_recipients import TextRecipient, TextRecipients
from vnum.store import audit
from vnum.store import merchants as stored_merchants
from vnum.store import messages as stored
from vnum.store.database import Connection, Database
from vnum.store.messages import Begun
from vnum.vault import Vault

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


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


class Messages:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        cells: int,
        gateway: Gateway | None,
        templates: Templates,
        recipients: TextRecipients,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._cells = cells
        self._gateway = gateway
        self._templates = templates
        self._recipients = recipients

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
        template = await self._templates.get(new.template_id, new.purpose)
        text = filled(template, new.params)
        with untied():  # of the caller's merchant; the phone goes to the gateway only
            recipient = await self._recipients.of(
                new.recipient_token, new.merchant_id, prints=caller.role in (Role.PLATFORM, Role.ADMIN)
            )
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
        self, gateway: Gateway, new: NewMessage, template: Template, recipient: TextRecipient, text: str, caller: Caller
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

    async def _count(self, connection: Connection, recipient: TextRecipient, merchant_id: str, now: datetime) -> None:
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

    def _content(self, new: NewMessage) -> bytes:
        asked = [new.merchant_id, new.recipient_token, new.template_id, sorted(new.params.items())]
        return self._vault.fingerprint(msgspec.json.encode(asked).decode())

    def _cell(self, message_id: UUID) -> int:
        return cell_of(self._cells, str(message_id))

    async def _now(self) -> datetime:
        return await peek(self._clock, self._database)


def _may(caller: Caller, merchant_id: str) -> bool:
    return caller.merchants is None or merchant_id in caller.merchants


def _message(record: Record) -> Message:
    fields = {name: record[name] for name in Message.__struct_fields__}
    return Message(**fields | {"purpose": Purpose(record["purpose"])})
