"""Calls that a merchant orders (click to dial), and what switches make and tell of them."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec

from vnum.api.answers import Answer, json_answer, shown_as, utc
from vnum.api.auth import SHOPS, SWITCHES
from vnum.api.bindings import number_of
from vnum.api.endpoint import Call, Endpoint, answers
from vnum.api.labels import reader_of
from vnum.api.orders import ENDED
from vnum.engine import Engine
from vnum.model.dials import DialState
from vnum.model.refusals import Code
from vnum.service.dials import Dial, NewDial
from vnum.service.take_dials import MOST_STATES, DialToMake, StateOfCall, TakeDials, ToldState
from vnum.store.database import Connection

REFUSED: Final = (
    Code.INVALID_CALLER,
    *ENDED,
    Code.RECIPIENT_ERASED,
    Code.RECIPIENT_OPTED_OUT,
    Code.RECIPIENT_BLACKLISTED,
    Code.CALLER_BLOCKED,
    Code.CALLER_BLACKLISTED,
    Code.CALLER_NOT_ALLOWED,
    Code.PURPOSE_NOT_ALLOWED,
    Code.QUIET_HOURS,
    Code.CALLS_CAPPED,
    Code.CALLS_CAPPED_BY_ALL,
    Code.RECIPIENT_UNAVAILABLE,
    Code.RATE_LIMITED,
)


class DialView(msgspec.Struct, frozen=True, kw_only=True):
    """An ordered call; how it goes on tells GET /v1/calls. `expires_at` = when the number does; `take_by` = when the
    order fails if no switch took it."""

    call_id: str
    state: DialState
    merchant_id: str
    order_id: str
    binding_id: UUID
    host: str
    extension: str
    number: str
    expires_at: datetime
    take_by: datetime


class DialList(msgspec.Struct, frozen=True):
    dials: list[DialToMake]


class States(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    items: Annotated[list[StateOfCall], msgspec.Meta(min_length=1, max_length=MOST_STATES)]


class StateResults(msgspec.Struct, frozen=True):
    results: list[ToldState]


class Dials:
    def __init__(self, engine: Engine) -> None:
        self._dials = engine.dials
        self._taker = engine.dial_taker

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/calls/dial", SHOPS, self.dial, NewDial, audited=True),
            Endpoint("POST", "/v1/calls/dials/take", SWITCHES, self.take, TakeDials, audited=True, patient=True),
            Endpoint("POST", "/v1/calls/states", SWITCHES, self.states, States, audited=True),
        ]

    @answers(
        DialView,
        status=(201,),
        refuses=REFUSED,
        example={"merchant_id": "shop-1", "order_id": "A1001", "agent_phone": "0571-12345678"},
    )
    async def dial(self, call: Call, asked: NewDial) -> Answer:
        """Orders a call to an order's recipient: a switch rings the agent, then the recipient; both see the host."""
        once, reader = call.once, reader_of(call.caller)
        if once is None:
            return _shown(await self._dials.order(asked, reader))

        async def keep(connection: Connection, dial: Dial) -> None:
            await once.keep(_shown(dial), connection)

        return _shown(await self._dials.order(asked, reader, keep), kept=True)

    @answers(DialList)
    async def take(self, call: Call, asked: TakeDials) -> Answer:
        """Ordered calls for this switch alone, to be rung at once; waits up to 30 s for one. Nothing told of one within
        30 s, another switch may get it."""
        return json_answer(200, DialList(await self._taker.take(asked, call.connected)), fresh=True)

    @answers(
        StateResults,
        refuses=(Code.TIME_IN_FUTURE,),
        example={"items": [{"call_id": "c-1", "state": "ringing", "at": "2026-10-05T04:01:03Z"}]},
    )
    async def states(self, call: Call, told: States) -> Answer:
        """What calls are at, of ordered ones and others; a result an item, in order. Told again, or late, nothing
        changes."""
        return json_answer(200, StateResults(await self._taker.tell(told.items)))


def _shown(dial: Dial, *, kept: bool = False) -> Answer:
    view = shown_as(
        DialView,
        dial.binding,
        call_id=dial.call_id,
        state=dial.state,
        number=number_of(dial.binding),
        take_by=utc(dial.take_by),
    )
    return json_answer(201, view, kept=kept)
