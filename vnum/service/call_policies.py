"""Call policies: what a merchant sets for the calls to his recipients, over the platform's own policy."""

from uuid import UUID

import msgspec

from vnum.model.acting import acting
from vnum.model.call_policy import CallPolicy, Policies, PolicyFields
from vnum.model.ids import cell_in
from vnum.model.refusals import Code, Refused
from vnum.service.callers import check_merchant
from vnum.service.clock import Clock, peek
from vnum.service.keys import Tie
from vnum.store import audit
from vnum.store import call_policies as stored
from vnum.store.database import Database


class MerchantPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """`own` = what the merchant sets; `policy` = what is in force."""

    merchant_id: str
    own: PolicyFields
    policy: CallPolicy


class CallPolicies:
    def __init__(self, database: Database, clock: Clock, policies: Policies, cells: int) -> None:
        self._database = database
        self._clock = clock
        self._policies = policies
        self._cells = cells

    async def get(self, merchant_id: str, *, tie: Tie = None) -> MerchantPolicy:
        """Raises Refused (merchant_not_found), also for another's."""
        await check_merchant(self._database, merchant_id, tie)
        return self._shown(merchant_id, await stored.get(self._database, merchant_id))

    async def put(self, merchant_id: str, fields: PolicyFields) -> MerchantPolicy:
        """In place of what he set before; by the next route. Raises Refused (merchant_not_found)."""
        await check_merchant(self._database, merchant_id, None)
        now = await peek(self._clock, self._database)
        text = msgspec.json.encode(fields).decode()
        async with self._database.acquire() as connection, connection.transaction():
            await stored.put(connection, merchant_id, text, now, acting().by)
            await audit.add(connection, 0, now, "call_policy.changed", [merchant_id], text)
        return self._shown(merchant_id, text)

    async def pick(self, binding_id: UUID, group: str | None) -> None:
        """From the next route on only callers of that group of the merchant's may ring the binding; None = as his
        policy says. Raises Refused (binding_not_found)."""
        now = await peek(self._clock, self._database)
        cell = cell_in(binding_id)
        async with self._database.acquire() as connection, connection.transaction():
            if cell >= self._cells or not await stored.pick(connection, cell, binding_id, group):
                raise Refused(Code.BINDING_NOT_FOUND, f"there is no binding {binding_id}")
            await audit.add(connection, cell, now, "binding.callers_picked", [str(binding_id)], group)

    def _shown(self, merchant_id: str, text: str | None) -> MerchantPolicy:
        own = PolicyFields() if text is None else msgspec.json.decode(text, type=PolicyFields)
        return MerchantPolicy(merchant_id=merchant_id, own=own, policy=self._policies.over(text))
