"""The platform's own rules of a number's life."""

from typing import Annotated

import msgspec

from vnum.api.answers import Answer, json_answer
from vnum.api.auth import ADMINS, PLATFORMS
from vnum.api.bodies import Nothing
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.lifecycle import Policy

Days = Annotated[int, msgspec.Meta(ge=0, le=180)]


class LifecyclePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days of 24 hours; null = no such rule. end_after_signed_days: from the last parcel signed for.
    end_after_closed_days: from the order's being cancelled or closed, or its last parcel's return. max_reach_days: from
    an order's first number on, over extensions and re-issues."""

    end_after_signed_days: Days | None = None
    end_after_closed_days: Days | None = None
    max_reach_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None


class Platform:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/v1/platform/policy", PLATFORMS, self.get),
            Endpoint("PUT", "/v1/platform/policy", ADMINS, self.put, LifecyclePolicy, audited=True),
        ]

    @answers(LifecyclePolicy)
    async def get(self, call: Call, asked: Nothing) -> Answer:
        """When numbers end with their parcels, and how long a recipient may be reached."""
        return _shown(await self._engine.lifecycle.policy())

    @answers(LifecyclePolicy)
    async def put(self, call: Call, asked: LifecyclePolicy) -> Answer:
        """Sets all of the rules; what is left out is no rule. They hold for what is bound, extended and told from now
        on."""
        policy = Policy(
            end_after_signed_days=asked.end_after_signed_days,
            end_after_closed_days=asked.end_after_closed_days,
            max_reach_days=asked.max_reach_days,
        )
        return _shown(await self._engine.lifecycle.set_policy(policy))


def _shown(policy: Policy) -> Answer:
    return json_answer(200, policy)
