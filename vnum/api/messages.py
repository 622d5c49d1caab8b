"""Messages: texts to recipients whose phones nobody sees, and the templates they are made of."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as
from vnum.api.auth import PLATFORMS, SHOPS
from vnum.api.bodies import Nothing
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.messages import Purpose
from vnum.model.refusals import Code, Refused
from vnum.service.messages import NewMessage
from vnum.service.templates import PAGE, NewTemplate

After = Annotated[str, msgspec.Meta(max_length=64)]


class TemplateQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    after: After = ""


class TemplateView(msgspec.Struct, frozen=True, kw_only=True):
    """`text` with {placeholders}, which a message's `params` fill in."""

    template_id: str
    text: str
    purpose: Purpose
    allow_links: bool
    allow_phones: bool
    created_at: datetime


class TemplateList(msgspec.Struct, frozen=True, omit_defaults=True):
    templates: list[TemplateView]
    next: str | None = None


class Retired(msgspec.Struct, frozen=True):
    template_id: str


class MessageView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`state`: sending; sent = the gateway took it; failed = it did not, `failure` says why (after a `timeout` nobody
    knows)."""

    message_id: UUID
    merchant_id: str
    order_id: str
    template_id: str
    purpose: Purpose
    state: Literal["sending", "sent", "failed"]
    created_at: datetime
    failure: str | None = None
    settled_at: datetime | None = None


class Messages:
    def __init__(self, engine: Engine) -> None:
        self._messages = engine.messages
        self._templates = engine.templates

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/messages", SHOPS, self.send, NewMessage, audited=True),
            Endpoint("GET", "/v1/messages/{message_id}", SHOPS, self.get),
            Endpoint("POST", "/v1/message-templates", PLATFORMS, self.add_template, NewTemplate),
            Endpoint("GET", "/v1/message-templates", SHOPS, self.templates, TemplateQuery),
            Endpoint("DELETE", "/v1/message-templates/{template_id}", PLATFORMS, self.retire),
        ]

    @answers(
        MessageView,
        status=(201,),
        refuses=(
            Code.SMS_NOT_CONFIGURED,
            Code.MERCHANT_NOT_FOUND,
            Code.MERCHANT_SUSPENDED,
            Code.TEMPLATE_NOT_FOUND,
            Code.MESSAGE_INVALID,
            Code.MESSAGE_CONFLICT,
            Code.RECIPIENT_TOKEN_INVALID,
            Code.ORDER_NOT_SHIPPED,
            Code.RECIPIENT_ERASED,
            Code.RECIPIENT_OPTED_OUT,
            Code.TEXTS_CAPPED,
            Code.SMS_NOT_SUPPORTED,
            Code.SMS_NOT_POSSIBLE,
        ),
    )
    async def send(self, call: Call, new: NewMessage) -> Answer:
        """Sends a text to the present recipient of an order; 201, also when the gateway failed (see `state`)."""
        return json_answer(201, shown_as(MessageView, await self._messages.send(new, call.caller)))

    @answers(MessageView, refuses=(Code.MESSAGE_NOT_FOUND,))
    async def get(self, call: Call, asked: Nothing) -> Answer:
        """What became of a message."""
        message_id = call.id_in("message_id", Code.MESSAGE_NOT_FOUND, "no message has such an id")
        return json_answer(200, shown_as(MessageView, await self._messages.get(message_id, call.caller)))

    @answers(TemplateView, status=(201,), refuses=(Code.TEMPLATE_EXISTS, Code.MESSAGE_INVALID))
    async def add_template(self, call: Call, new: NewTemplate) -> Answer:
        """Registers a template; 201. Its text never changes: another text is another template."""
        return json_answer(201, shown_as(TemplateView, await self._templates.add(new, call.caller.key_id)))

    @answers(TemplateList)
    async def templates(self, call: Call, asked: TemplateQuery) -> Answer:
        """Templates in use, 500 at a time, by id."""
        found = await self._templates.page(asked.after)
        more = found[-1].template_id if len(found) == PAGE else None
        return json_answer(200, TemplateList([shown_as(TemplateView, one) for one in found], more))

    @answers(Retired, refuses=(Code.TEMPLATE_NOT_FOUND,))
    async def retire(self, call: Call, asked: Nothing) -> Answer:
        """No message is made of a template any more; its id is not given again."""
        template_id = call.named("template_id")
        if not template_id.isprintable():
            raise Refused(Code.TEMPLATE_NOT_FOUND, "no template in use has such an id")
        await self._templates.retire(template_id)
        return json_answer(200, Retired(template_id))
