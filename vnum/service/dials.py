"""Click to dial: a merchant orders a call, a switch takes the order, rings the agent and then asks route as ever.

Nothing is decided here that route does not decide again; what can be known before a phone rings is said before.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from os import urandom
from typing import Annotated
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.meters import DIALS
from vnum.model.acting import acting, untied
from vnum.model.bindings import Binding
from vnum.model.call_policy import Policies
from vnum.model.call_rules import Facts, caps, refusal, told
from vnum.model.cells import cell_of
from vnum.model.dials import RING_S, SAY_WITHIN, TAKE_WITHIN, CallState, DialFailure, DialState
from vnum.model.ids import RANDOM_BYTES, cell_in, new_id
from vnum.model.phones import PhoneError, parse_caller
from vnum.model.refusals import Code, RateLimited, Refusal, Refused
from vnum.service.call_record import Instant
from vnum.service.clock import Clock, peek
from vnum.service.dial_care import DialCare
from vnum.service.dialled import Slots, facts_of
from vnum.service.labels import LabelItem, Labels, Reader
from vnum.service.orders import Name
from vnum.service.route import CallId, Policy
from vnum.store import audit
from vnum.store import dials as stored
from vnum.store import routes as stored_routes
from vnum.store.bell import Bell
from vnum.store.database import ENDED, LOST, Connection, Database
from vnum.store.dials import Row
from vnum.vault import Vault

AGENT = b"agent"
"""What an agent's phone is sealed for."""

LOOK_AGAIN_S = 5.0
"""How often whoever waits looks by himself: for orders that come back, and should the bell be missed."""

AHEAD = timedelta(minutes=5)
"""How far a switch's clock may be ahead of ours."""

MOST_STATES = 1_000
MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class NewDial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`agent_phone` is rung first: a mobile or fixed line of mainland China."""

    merchant_id: Name
    order_id: Name
    agent_phone: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was taken; `take_by` = when it fails unless a switch took it."""

    call_id: str
    binding: Binding
    state: DialState
    take_by: datetime


class TakeDials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`wait_seconds` = how long to wait for the first, if there is none."""

    most: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    wait_seconds: Annotated[int, msgspec.Meta(ge=0, le=30)] = 20


class DialToMake(msgspec.Struct, frozen=True, kw_only=True):
    """Ring `agent` (E.164) showing `display_number`, for `max_ring_seconds` at most; when he answers ask route with
    this call_id, caller = agent, this host, digits = this extension."""

    call_id: str
    agent: str
    host: str
    extension: str
    display_number: str
    max_ring_seconds: int

    def __repr__(self) -> str:
        return f"DialToMake({self.call_id})"


class StateOfCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a call came to at the switch, and when; `host` is taken, and needed for nothing."""

    call_id: CallId
    state: CallState
    at: Instant
    host: Name | None = None


class ToldState(msgspec.Struct, frozen=True, kw_only=True):
    """`new` = it was not told before."""

    call_id: str
    state: CallState
    new: bool


class OpenDial(msgspec.Struct, frozen=True, kw_only=True):
    """An ordered call that has no record."""

    call_id: str
    order_id: str
    binding_id: UUID
    host: str | None
    extension: str | None
    state: DialState
    code: str | None
    ordered_at: datetime
    changed_at: datetime


Also = Callable[[Connection, Dial], Awaitable[None]]


class Dials:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        labels: Labels,
        clock: Clock,
        cells: int,
        policy: Policy,
        bell: Bell,
        care: DialCare,
    ) -> None:
        self._database = database
        self._vault = vault
        self._labels = labels
        self._clock = clock
        self._cells = cells
        self._policy = policy
        self._policies = Policies(policy.calls)
        self._slots = Slots(database)
        self.bell = bell
        self._care = care

    async def order(self, new: NewDial, reader: Reader, also: Also | None = None) -> Dial:
        """`also` writes in the same transaction (an answer to be kept, say); what it raises undoes both.

        Raises Refused: invalid_caller, rate_limited, the codes of an order without a live number, and those by which
        route would refuse the call now.
        """
        agent = _agent(new.agent_phone)
        (label,) = await self._labels.current(
            [LabelItem(merchant_id=new.merchant_id, order_id=new.order_id)], reader=reader
        )
        if isinstance(label, Refusal):
            raise Refused(label.code, label.detail, label.reason)
        binding = label.binding
        tied = acting().tied
        with untied():  # the order was read under the tie: what is asked and written from here on is of its call
            await self._check(binding, agent, tied=tied)
            now = await peek(self._clock, self._database)
            return await self._file(binding, agent, now, also)

    async def take(self, asked: TakeDials, there: Callable[[], bool] = lambda: True) -> list[DialToMake]:
        """Up to `most` orders, each for this switch alone; waits for the first up to `wait_seconds`. `there` = whether
        the switch still waits: one that was killed meanwhile would keep an order from the next for SAY_WITHIN."""
        until_s = time.monotonic() + asked.wait_seconds
        event = await self.bell.listen()
        try:
            while True:
                event.clear()
                if not there():
                    return []
                if found := await self._take(asked.most):
                    return found
                left_s = until_s - time.monotonic()
                if left_s <= 0 or self.bell.closed:
                    return []
                try:
                    async with asyncio.timeout(min(left_s, LOOK_AGAIN_S)):
                        await event.wait()
                except TimeoutError:
                    continue
        finally:
            self.bell.leave(event)

    async def tell(self, items: Sequence[StateOfCall]) -> list[ToldState]:
        """A result an item, in order. Raises Refused (time_in_future)."""
        now = await peek(self._clock, self._database)
        if any(item.at > now + AHEAD for item in items):
            raise Refused(Code.TIME_IN_FUTURE, "at: more than five minutes ahead")
        told = [(cell_of(self._cells, one.call_id), one.call_id, one.state.value, one.at) for one in items]
        records = await stored.tell(self._database, told, now, DialFailure.FAILED)
        for record in records:
            if record["moved"] is not None:
                DIALS.labels(record["moved"], record["code"] or "").inc()
        new = Counter((record["call_id"], record["state"]) for record in records)
        results = []
        for item in items:
            first = new[item.call_id, item.state] > 0
            new[item.call_id, item.state] = 0
            results.append(ToldState(call_id=item.call_id, state=item.state, new=first))
        return results

    async def open_page(
        self,
        merchant_id: str,
        since: datetime,
        until: datetime,
        order_id: str | None,
        after: tuple[datetime, str],
        limit: int,
    ) -> list[OpenDial]:
        """A merchant's orders without a record, by (ordered_at, call_id); what lapsed meanwhile is shown as failed."""
        now = await peek(self._clock, self._database)
        records = await stored.page(self._database, merchant_id, since, until, order_id, after, limit)
        return [_open(record, now) for record in records]

    async def close(self) -> None:
        await self.bell.close()

    async def _check(self, binding: Binding, agent: str, *, tied: bool) -> None:
        """What route would refuse the agent for at this moment, less a lock: that he guessed elsewhere is not the
        merchant's business."""
        cell = cell_in(binding.binding_id)
        record = await self._slots.look_up(
            cell, binding.host, binding.extension, self._vault.fingerprint(agent), self._clock.simulated()
        )
        if record["binding_id"] != binding.binding_id:
            raise Refused(Code.BINDING_EXPIRED, "the number ended at this moment; re-issue the order")
        key_id = record["key_id"]
        await self._vault.know(key_id)
        facts = facts_of(record, agent, self._policies, opens=self._vault.opens(key_id))
        facts = msgspec.structs.replace(facts, locked=False)
        code = refusal(facts) or await self._capped(record, facts)
        if code is not None:
            DIALS.labels("refused", code).inc()
            heard = Code(told(code, tied=tied))
            raise Refused(heard, "this call would not go through now; see docs/calls.md for the code")

    async def _capped(self, record: Record, facts: Facts) -> Code | None:
        most = caps(facts, self._policy.calls)
        if most is None:
            return None
        recipient: bytes = record["recipient_hash"]
        now = facts.now
        made = await stored_routes.contacts(
            self._database, recipient, record["merchant_id"], now - _HOUR, now - _DAY, self._cells
        )
        reached = [n >= cap for n, cap in zip(made, most, strict=True)]
        if any(reached[:2]):
            return Code.CALLS_CAPPED
        return Code.CALLS_CAPPED_BY_ALL if any(reached) else None

    async def _file(self, binding: Binding, agent: str, now: datetime, also: Also | None) -> Dial:
        cell_of_host = cell_in(binding.binding_id)
        call_id = f"dial-{new_id(cell_of_host, now, urandom(RANDOM_BYTES))}"
        key_id = await self._vault.month(now)
        dial = Dial(call_id=call_id, binding=binding, state=DialState.QUEUED, take_by=now + TAKE_WITHIN)
        row = Row(
            cell=cell_of(self._cells, call_id),
            call_id=call_id,
            merchant_id=binding.merchant_id,
            order_id=binding.order_id,
            binding_id=binding.binding_id,
            host=binding.host,
            extension=binding.extension,
            key_id=key_id,
            agent=self._vault.seal(agent, call_id, AGENT, key_id),
            agent_hash=self._vault.fingerprint(agent),
            ordered_by=acting().by,
            ordered_at=now,
            take_by=dial.take_by,
        )
        try:
            async with self._database.acquire() as connection, connection.transaction():
                await self._spend(connection, binding.merchant_id, now)
                await stored.order(connection, row)
                ids = [f"{call_id} {binding.binding_id}"]
                await audit.add(connection, cell_of_host, now, "call.ordered", ids)
                if also is not None:
                    await also(connection, dial)
        except (*LOST, *ENDED) as trouble:
            raise Refused(
                Code.OUTCOME_UNKNOWN, "the connection to PostgreSQL was lost in the commit; look at GET /v1/calls"
            ) from trouble
        DIALS.labels(DialState.QUEUED, "").inc()
        return dial

    async def _spend(self, connection: Connection, merchant_id: str, now: datetime) -> None:
        """Raises RateLimited."""
        most = self._policy.dials_per_minute
        if not most:
            return
        await stored.order_in_turn(connection, merchant_id)
        made = await stored.ordered_since(connection, merchant_id, now - MINUTE)
        if made["orders"] >= most:
            wait = made["oldest"] + MINUTE - now
            raise RateLimited(f"a merchant orders {most} calls a minute at the most", max(1, -(-wait // _SECOND)))

    async def _take(self, most: int) -> list[DialToMake]:
        now = await peek(self._clock, self._database)
        found: list[DialToMake] = []
        for cell in range(self._cells):
            await self._care.give_up(cell, now)
            if len(found) < most:
                by = acting().by
                rows = await stored.take(self._database, cell, now, now - SAY_WITHIN, by, most - len(found))
                await self._vault.know(*(row["key_id"] for row in rows))
                found += [self._to_make(row) for row in sorted(rows, key=lambda row: row["ordered_at"])]
        for _ in found:
            DIALS.labels(DialState.TAKEN, "").inc()
        return found

    def _to_make(self, row: Record) -> DialToMake:
        return DialToMake(
            call_id=row["call_id"],
            agent=self._vault.open(row["agent"], row["call_id"], AGENT, row["key_id"]),
            host=row["host"],
            extension=row["extension"],
            display_number=row["host"],
            max_ring_seconds=RING_S,
        )


def _agent(phone: str) -> str:
    """Raises Refused: numbers abroad and services cost whom nobody asked."""
    try:
        agent = parse_caller(phone)
    except PhoneError as error:
        raise Refused(Code.INVALID_CALLER, f"agent_phone: {error}") from None
    if not agent.startswith("+86"):
        raise Refused(Code.INVALID_CALLER, "agent_phone: a mobile or fixed line of mainland China, with its area code")
    return agent


def _open(record: Record, now: datetime) -> OpenDial:
    fields = {name: record[name] for name in OpenDial.__struct_fields__} | {"state": DialState(record["state"])}
    if fields["state"] is DialState.QUEUED and now >= record["ordered_at"] + TAKE_WITHIN:
        fields |= {"state": DialState.FAILED, "code": DialFailure.NOT_TAKEN.value}
    if fields["code"] is not None:
        fields["code"] = told(fields["code"], tied=acting().tied)
    return OpenDial(**fields)
