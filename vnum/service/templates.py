"""Templates of texts: registered before any is sent, and never changed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from asyncpg import Record

from vnum.model.messages import MOST_TEXT, Purpose, TextInvalid, fill, holes
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.store import messages as stored
from vnum.store.database import Database

PAGE = 500

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


class Templates:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, new: NewTemplate, by: str) -> Template:
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

    async def get(self, template_id: str, purpose: Purpose | None) -> Template:
        """One in use. Raises Refused: template_not_found, message_invalid (it is for another purpose)."""
        record = await stored.template(self._database, template_id)
        if record is None:
            raise Refused(Code.TEMPLATE_NOT_FOUND, "no template in use has such an id")
        template = _template(record)
        if purpose not in (None, template.purpose):
            raise Refused(Code.MESSAGE_INVALID, f"purpose: this template is for {template.purpose}")
        return template

    async def page(self, after: str = "", most: int = PAGE) -> list[Template]:
        """Those in use, by id, behind `after`."""
        return [_template(record) for record in await stored.templates(self._database, after, most)]

    async def retire(self, template_id: str) -> None:
        """No text is made of it any more. Raises Refused (template_not_found)."""
        if not await stored.retire_template(self._database, template_id, await peek(self._clock, self._database)):
            raise Refused(Code.TEMPLATE_NOT_FOUND, "no template in use has such an id")


def filled(template: Template, params: Mapping[str, str]) -> str:
    """The text that is sent. Raises Refused (message_invalid)."""
    try:
        return fill(template.text, params, links=template.allow_links, phones=template.allow_phones)
    except TextInvalid as invalid:
        raise Refused(Code.MESSAGE_INVALID, str(invalid)) from None


def _template(record: Record) -> Template:
    fields = {name: record[name] for name in Template.__struct_fields__}
    return Template(**fields | {"purpose": Purpose(record["purpose"])})
