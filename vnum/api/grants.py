"""Grants: which service providers (isv) may act for a merchant. He gives them, and takes them back."""

from typing import Annotated

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as
from vnum.api.auth import GRANTORS
from vnum.api.bodies import Nothing, storable
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.refusals import Code, Refused
from vnum.service.grants import Grant
from vnum.service.keys import within


class GrantQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    after: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None


class GrantList(msgspec.Struct, frozen=True, omit_defaults=True):
    grants: list[Grant]
    next: int | None = None


class Grants:
    def __init__(self, engine: Engine) -> None:
        self._grants = engine.grants

    def endpoints(self) -> list[Endpoint]:
        path = "/v1/merchants/{merchant_id}/grants"
        return [
            Endpoint("GET", path, GRANTORS, self.list, GrantQuery),
            Endpoint("PUT", f"{path}/{{isv}}", GRANTORS, self.give, audited=True),
            Endpoint("DELETE", f"{path}/{{isv}}", GRANTORS, self.withdraw, audited=True),
        ]

    @answers(Grant, refuses=(Code.MERCHANT_NOT_FOUND, Code.KEY_NOT_FOUND))
    async def give(self, call: Call, asked: Nothing) -> Answer:
        """Lets an isv's key (by its id) act for the merchant; one that may already stays as it is."""
        return json_answer(200, shown_as(Grant, await self._grants.give(_merchant(call), _isv(call))))

    @answers(Grant, refuses=(Code.MERCHANT_NOT_FOUND, Code.GRANT_NOT_FOUND))
    async def withdraw(self, call: Call, asked: Nothing) -> Answer:
        """Takes the grant back; felt by every server within 3 seconds."""
        return json_answer(200, shown_as(Grant, await self._grants.withdraw(_merchant(call), _isv(call))))

    @answers(GrantList, refuses=(Code.MERCHANT_NOT_FOUND,))
    async def list(self, call: Call, asked: GrantQuery) -> Answer:
        """Every grant of the merchant, withdrawn ones too, the newest first, up to 500 at a time."""
        found, more = await self._grants.page(_merchant(call), asked.after)
        return json_answer(200, GrantList([shown_as(Grant, grant) for grant in found], more))


def _merchant(call: Call) -> str:
    """Raises Refused (merchant_not_found): of others a tied key learns nothing."""
    merchant_id = call.named("merchant_id")
    if not storable(merchant_id) or within(call.caller.merchants, merchant_id) == []:
        raise Refused(Code.MERCHANT_NOT_FOUND, "this merchant is not registered")
    return merchant_id


def _isv(call: Call) -> str:
    return named if storable(named := call.named("isv")) else ""
