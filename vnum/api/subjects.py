"""One person's rights: what is held about a phone, and its erasure. No answer holds a number."""

from typing import Annotated

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as
from vnum.api.auth import PLATFORMS
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.fields import PhoneText, Reason
from vnum.model.refusals import Code
from vnum.service.subjects import Held


class Export(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    phone: PhoneText
    after: Annotated[str, msgspec.Meta(max_length=512)] | None = None


class Erase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reason` stays in the audit: the request's number, say; no phone."""

    phone: PhoneText
    reason: Reason


class HeldList(msgspec.Struct, frozen=True, omit_defaults=True):
    held: list[Held]
    next: str | None = None


class Erased(msgspec.Struct, frozen=True):
    state: str


class Subjects:
    def __init__(self, engine: Engine) -> None:
        self._subjects = engine.subjects

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/recipients/export", PLATFORMS, self.export, Export, audited=True),
            Endpoint("POST", "/v1/recipients/erase", PLATFORMS, self.erase, Erase, audited=True),
        ]

    @answers(HeldList, refuses=(Code.INVALID_PHONE,))
    async def export(self, call: Call, asked: Export) -> Answer:
        """What is held about a phone, up to 500 things a page: its bindings, calls to and from it, call records that
        were not taken, and what counts against it as a caller. A page may be empty and still have a `next`."""
        page = await self._subjects.export(asked.phone, asked.after)
        return json_answer(200, HeldList([shown_as(Held, held) for held in page.held], page.next))

    @answers(
        Erased,
        refuses=(Code.INVALID_PHONE, Code.BINDING_NOT_FOUND, Code.CLOCK_JUMP, Code.STORE_UNAVAILABLE),
    )
    async def erase(self, call: Call, asked: Erase) -> Answer:
        """Erases what is held about a phone, and ends its live bindings; the next call to them is refused as
        `recipient_erased`. Quarantine, days, calls and money stay. Answered alike again, and for an unknown phone."""
        await self._subjects.erase(asked.phone, asked.reason)
        return json_answer(200, Erased("erased"))
