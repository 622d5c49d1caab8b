"""Callers: phones that a merchant or a carrier answers for."""

from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer
from vnum.api.auth import KEEPERS, PLATFORMS
from vnum.api.bodies import Nothing
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.fields import Name
from vnum.model.refusals import Code
from vnum.service.callers import PAGE, Caller, NewCaller


class CallerQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    merchant_id: Name | None = None
    after: UUID | None = None


class CallerList(msgspec.Struct, frozen=True, omit_defaults=True):
    callers: list[Caller]
    next: UUID | None = None


class Callers:
    def __init__(self, engine: Engine) -> None:
        self._callers = engine.callers

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/callers", KEEPERS, self.register, NewCaller, audited=True),
            Endpoint("GET", "/v1/callers", KEEPERS, self.list, CallerQuery),
            Endpoint("DELETE", "/v1/callers/{caller_id}", KEEPERS, self.remove, audited=True),
        ]

    @answers(
        Caller,
        status=(201,),
        refuses=(Code.INVALID_CALLER, Code.MERCHANT_NOT_FOUND),
        example={"phone": "0571-12345678", "class": "merchant_agent", "merchant_id": "shop-1", "group": "after-sales"},
    )
    async def register(self, call: Call, new: NewCaller) -> Answer:
        """Registers a caller, or changes his group; 201. `verified` counts by platform and admin only."""
        may_verify = call.caller.role in PLATFORMS
        found = await self._callers.register(new, tie=call.caller.merchants, may_verify=may_verify)
        return json_answer(201, found)

    @answers(CallerList)
    async def list(self, call: Call, asked: CallerQuery) -> Answer:
        """Up to 1,000 at a time, in order of registration: last four digits, and complaints of 30 days."""
        found = await self._callers.page(asked.merchant_id, asked.after, tie=call.caller.merchants)
        return json_answer(200, CallerList(found, found[-1].caller_id if len(found) == PAGE else None))

    @answers(Nothing, refuses=(Code.CALLER_NOT_FOUND,))
    async def remove(self, call: Call, asked: Nothing) -> Answer:
        """Nobody answers for the phone any more, from the next route on; it is forgotten."""
        await self._callers.remove(call.id_in("caller_id", Code.CALLER_NOT_FOUND), tie=call.caller.merchants)
        return json_answer(200, Nothing())
