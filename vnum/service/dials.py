"""Click to dial: a merchant orders a call; a switch takes the order (`take_dials`), rings the agent and asks route.

Nothing is decided here that route does not decide again; what can be known before a phone rings is said before.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from os import urandom
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.meters import DIALS
from vnum.model.acting import acting, untied
from vnum.model.bindings import Binding
from vnum.model.call_policy import Policies
from vnum.model.call_rules import Facts, caps, refusal, told
from vnum.model.cells import cell_of
from vnum.model.dials import TAKE_WITHIN, DialFailure, DialState
from vnum.model.fields import Name, PhoneText
from vnum.model.ids import RANDOM_BYTES, cell_in, new_id
from vnum.model.phones import PhoneError, parse_caller
from vnum.model.refusals import Code, RateLimited, Refusal, Refused
from vnum.service.clock import Clock, peek
from vnum.service.dialled import Slots, facts_of
from vnum.service.labels import LabelItem, Labels, Reader
from vnum.service.route import Policy
from vnum.store import audit
from vnum.store import dials as stored
from vnum.store import routes as stored_routes
from vnum.store.database import ENDED, LOST, Connection, Database
from vnum.store.dials import Row
from vnum.vault import Vault

AGENT = b"agent"
"""What an agent's phone is sealed for."""

MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class NewDial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`agent_phone` is rung first: a mobile or fixed line of mainland China."""

    merchant_id: Name
    order_id: Name
    agent_phone: PhoneText


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was taken; `take_by` = when it fails unless a switch took it."""

    call_id: str
    binding: Binding
    state: DialState
    take_by: datetime


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
    ) -> None:
        self._database = database
        self._vault = vault
        self._labels = labels
        self._clock = clock
        self._cells = cells
        self._policy = policy
        self._policies = Policies(policy.calls)
        self._slots = Slots(database)

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
