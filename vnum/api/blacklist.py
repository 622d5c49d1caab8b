"""The blacklist: phones that may not ring, or may not be rung."""

from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer
from vnum.api.auth import KEEPERS, PLATFORMS
from vnum.api.bodies import Nothing
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.engine import Engine
from vnum.model.fields import Name
from vnum.model.refusals import Code
from vnum.service.blacklist import PAGE, Listing, NewListing


class BlacklistQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`after` = `next` of the page before."""

    merchant_id: Name | None = None
    after: UUID | None = None


class BlacklistPage(msgspec.Struct, frozen=True, omit_defaults=True):
    entries: list[Listing]
    next: UUID | None = None


class Blacklist:
    def __init__(self, engine: Engine) -> None:
        self._blacklist = engine.blacklist

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/blacklist", KEEPERS, self.add, NewListing, audited=True),
            Endpoint("GET", "/v1/blacklist", KEEPERS, self.list, BlacklistQuery),
            Endpoint("DELETE", "/v1/blacklist/{blacklist_id}", KEEPERS, self.remove, audited=True),
        ]

    @answers(
        Listing,
        status=(200, 201),
        refuses=(Code.INVALID_PHONE, Code.INVALID_CALLER, Code.MERCHANT_NOT_FOUND),
        example={"phone": "0571-12345678", "direction": "caller", "merchant_id": "shop-1"},
    )
    async def add(self, call: Call, new: NewListing) -> Answer:
        """201, or 200 for what is listed already. Holds from the next route on. Callees: by platforms only."""
        entry, added = await self._blacklist.add(
            new, tie=call.caller.merchants, may_list_callees=call.caller.role in PLATFORMS
        )
        return json_answer(201 if added else 200, entry)

    @answers(BlacklistPage)
    async def list(self, call: Call, asked: BlacklistQuery) -> Answer:
        """Up to 1,000 at a time, in order of entry; of a phone the last four digits."""
        found = await self._blacklist.page(asked.merchant_id, asked.after, tie=call.caller.merchants)
        return json_answer(200, BlacklistPage(found, found[-1].blacklist_id if len(found) == PAGE else None))

    @answers(Nothing, refuses=(Code.BLACKLIST_NOT_FOUND,))
    async def remove(self, call: Call, asked: Nothing) -> Answer:
        """Takes an entry off, from the next route on; its phone is forgotten."""
        await self._blacklist.remove(call.id_in("blacklist_id", Code.BLACKLIST_NOT_FOUND), tie=call.caller.merchants)
        return json_answer(200, Nothing())
