"""Audit: who did what; for operators and those who check on them."""

from typing import Annotated
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as
from vnum.api.auth import ADMINS
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.fields import Instant, Reason
from vnum.service.audit import PAGE, Entry


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`by` = a key id, `operator:<account>` or `system`; `id` = what it was done to. `cell` = that of the binding; what
    belongs to no binding is in cell 0. `after` = `next` of the page before."""

    since: Instant = msgspec.field(name="from")
    until: Instant = msgspec.field(name="to")
    by: Reason | None = None
    subject: Reason | None = msgspec.field(name="id", default=None)
    cell: Annotated[int, msgspec.Meta(ge=0, le=4095)] = 0
    after: UUID | None = None


class AuditList(msgspec.Struct, frozen=True, omit_defaults=True):
    entries: list[Entry]
    next: UUID | None = None


class Audits:
    def __init__(self, engine: Engine) -> None:
        self._audit = engine.audit

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint("GET", "/v1/audit", ADMINS, self.list, AuditQuery)]

    @answers(AuditList)
    async def list(self, call: Call, asked: AuditQuery) -> Answer:
        """What was done, the newest first, 500 entries a page: changes by keys, and numbers told to switches."""
        found = await self._audit.entries(
            asked.cell, asked.since, asked.until, by=asked.by, subject=asked.subject, before=asked.after
        )
        shown = [shown_as(Entry, entry) for entry in found]
        return json_answer(200, AuditList(shown, found[-1].entry_id if len(found) == PAGE else None))
