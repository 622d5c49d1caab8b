"""Disputes of calls: opened by who pays or on his behalf, resolved by finance. A tied key sees its merchants' only."""

from vnum.finance import Dispute, DisputeState, list_disputes, open_dispute, resolve_dispute
from vnum.model.phones import holds_phone
from vnum.model.refusals import Code, Refused
from vnum.service.calls import Calls
from vnum.service.clock import Clock, read
from vnum.service.keys import Tie, within
from vnum.store.database import Database

PAGE = 1_000


class Disputes:
    def __init__(self, database: Database, calls: Calls, clock: Clock) -> None:
        self._database = database
        self._calls = calls
        self._clock = clock

    async def open(self, call_id: str, reason: str, *, author: str, tie: Tie = None) -> Dispute:
        """A dispute of any filed call, its month open or closed. Raises Refused (call_not_found, invalid_request),
        BillingRefusal (dispute_open)."""
        _check(reason)
        merchant_id = await self._calls.owner(call_id, tie)
        now = await read(self._clock, self._database, 0)
        async with self._database.acquire() as connection:
            return await open_dispute(
                connection, merchant_id=merchant_id, call_id=call_id, reason=reason, author=author, now=now
            )

    async def resolve(
        self, dispute_id: int, outcome: DisputeState, reason: str, *, author: str, note_number: str | None = None
    ) -> Dispute:
        """`note_number` is one of the merchant's notes.

        Raises BillingRefusal (dispute_not_found, dispute_resolved, dispute_invalid, note_not_found), Refused
        (invalid_request).
        """
        _check(reason)
        _check(note_number or "", "note_number")
        now = await read(self._clock, self._database, 0)
        async with self._database.acquire() as connection:
            return await resolve_dispute(
                connection,
                dispute_id,
                outcome=outcome,
                reason=reason,
                author=author,
                now=now,
                note_number=note_number,
            )

    async def page(
        self, *, merchant_id: str | None = None, tie: Tie = None, state: DisputeState | None = None, after: int = 0
    ) -> list[Dispute]:
        """Up to 1,000, oldest first, behind the dispute `after`."""
        merchants = within(tie, merchant_id)
        async with self._database.acquire() as connection:
            return await list_disputes(connection, merchant_ids=merchants, state=state, after=after, limit=PAGE)


def _check(text: str, name: str = "reason") -> None:
    """Raises Refused: texts are not sealed, so no phone may stand in one."""
    if holds_phone(text):
        raise Refused(Code.INVALID_REQUEST, f"{name}: no phone numbers here, please; the call is known by its id")
