"""Call policies: what a merchant's calls may do, and who alone may ring one binding."""

from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer
from vnum.api.auth import KEEPERS, PLATFORMS
from vnum.api.bodies import Nothing, storable
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.call_policy import PolicyFields
from vnum.model.fields import Name
from vnum.model.refusals import Code, Refused
from vnum.service.call_policies import MerchantPolicy


class Picked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`group` null = as the merchant's policy says."""

    group: Name | None


class PickedView(msgspec.Struct, frozen=True):
    binding_id: UUID
    group: str | None


class CallPolicies:
    def __init__(self, engine: Engine) -> None:
        self._policies = engine.call_policies

    def endpoints(self) -> list[Endpoint]:
        path = "/v1/merchants/{merchant_id}/call-policy"
        return [
            Endpoint("GET", path, KEEPERS, self.get),
            Endpoint("PUT", path, PLATFORMS, self.put, PolicyFields, audited=True),
            Endpoint("PUT", "/v1/bindings/{binding_id}/callers", PLATFORMS, self.pick, Picked, audited=True),
        ]

    @answers(MerchantPolicy, refuses=(Code.MERCHANT_NOT_FOUND,))
    async def get(self, call: Call, asked: Nothing) -> Answer:
        """What the merchant sets, and what is in force with it."""
        return json_answer(200, await self._policies.get(_merchant(call), tie=call.caller.merchants))

    @answers(
        MerchantPolicy,
        refuses=(Code.MERCHANT_NOT_FOUND,),
        example={"quiet": {"from": "21:00", "to": "08:00"}, "calls_per_day": 3, "max_seconds": 600},
    )
    async def put(self, call: Call, fields: PolicyFields) -> Answer:
        """In place of what was set before, from the next route on; what is left out is the platform's."""
        return json_answer(200, await self._policies.put(_merchant(call), fields))

    @answers(PickedView, refuses=(Code.BINDING_NOT_FOUND,), example={"group": "after-sales"})
    async def pick(self, call: Call, asked: Picked) -> Answer:
        """Only this group of the merchant's verified callers may ring the binding, from the next route on."""
        binding_id = call.id_in("binding_id", Code.BINDING_NOT_FOUND)
        await self._policies.pick(binding_id, asked.group)
        return json_answer(200, PickedView(binding_id, asked.group))


def _merchant(call: Call) -> str:
    merchant_id = call.named("merchant_id")
    if not storable(merchant_id):
        raise Refused(Code.MERCHANT_NOT_FOUND, "no merchant has such an id")
    return merchant_id
