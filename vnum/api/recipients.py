"""Recipients: their no, said for them by the platform. Obeyed by the very next route."""

from datetime import datetime

import msgspec

from vnum.api.answers import Answer, json_answer, utc
from vnum.api.auth import PLATFORMS
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.refusals import Code
from vnum.service.opt_outs import OptIn, OptOut, Scope, Withdrawn


class OptedOut(msgspec.Struct, frozen=True, kw_only=True):
    """`since` = when it was said first. merchant_id null = of all shops."""

    scope: Scope
    merchant_id: str | None
    since: datetime


class OptedIn(msgspec.Struct, frozen=True, kw_only=True):
    """`withdrawn` = how many noes were in force and are no more; 0 = there was none."""

    scope: Withdrawn
    merchant_id: str | None
    withdrawn: int


class Recipients:
    def __init__(self, engine: Engine) -> None:
        self._opt_outs = engine.opt_outs

    def endpoints(self) -> list[Endpoint]:
        path = "/v1/recipients/opt-out"
        return [
            Endpoint("PUT", path, PLATFORMS, self.opt_out, OptOut, audited=True),
            Endpoint("DELETE", path, PLATFORMS, self.opt_in, OptIn, audited=True),
        ]

    @answers(
        OptedOut,
        refuses=(Code.INVALID_PHONE, Code.MERCHANT_NOT_FOUND),
        example={"phone": "0571-12345678", "merchant_id": "shop-1", "scope": "merchant"},
    )
    async def opt_out(self, call: Call, asked: OptOut) -> Answer:
        """A recipient does not want calls: of a shop's agents, ISVs and robots, or everything. Holds when answered."""
        since = await self._opt_outs.say(asked)
        return json_answer(200, OptedOut(scope=asked.scope, merchant_id=asked.merchant_id, since=utc(since)))

    @answers(
        OptedIn,
        refuses=(Code.INVALID_PHONE,),
        example={"phone": "0571-12345678", "merchant_id": "shop-1", "scope": "merchant"},
    )
    async def opt_in(self, call: Call, asked: OptIn) -> Answer:
        """Takes a no back, of that scope and merchant; scope `caller`: whom complaints blocked."""
        withdrawn = await self._opt_outs.withdraw(asked)
        return json_answer(200, OptedIn(scope=asked.scope, merchant_id=asked.merchant_id, withdrawn=withdrawn))
