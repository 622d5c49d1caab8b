"""Route: the switch asks where a call goes. Only this answer carries a real number, and only to the switch.

What is asked is in `dialled`, what is decided in `vnum.model.call_rules`, what is written in `filing`: the same two
statements for every call, and towards the caller the same answer for every no (docs/decisions/0028 and 0033).
"""

from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from os import urandom
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.acting import acting
from vnum.model.call_policy import CallPolicy, PlatformPolicy, Policies
from vnum.model.call_rules import Facts, caps, counts, refusal, tells_expiry
from vnum.model.cells import cell_of, cell_of_hash
from vnum.model.fields import CallId, Name
from vnum.model.hosts import Host, HostState
from vnum.model.ids import RANDOM_BYTES, new_id
from vnum.model.phones import PhoneError, parse_caller
from vnum.model.refusals import Code, Refused
from vnum.service.call_back import CallBacks
from vnum.service.clock import Clock
from vnum.service.dialled import Slots, facts_of
from vnum.service.filing import Back, Decided, Filing, Through
from vnum.service.registry import Registry
from vnum.store.database import Database
from vnum.store.routes import Connected, ConnectedBack, Filed, Refusal
from vnum.vault import Vault

Digits = Annotated[str, msgspec.Meta(max_length=32, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)

OVERDUE = timedelta(hours=1)
"""How long after its longest possible end a call's record is not missed yet."""


class RouteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`digits` as keyed in, or as dialled behind the host; none = what is to be asked for?"""

    call_id: CallId
    caller: Annotated[str, msgspec.Meta(max_length=64)]
    host: Name
    digits: Digits | None = None


class Action(StrEnum):
    COLLECT = "collect"
    CONNECT = "connect"
    REJECT = "reject"


class Prompt(StrEnum):
    """What the switch plays. `wrong_extension` is the common one: it says of no number whether it lives."""

    EXTENSION = "extension"
    WRONG_EXTENSION = "wrong_extension"
    NUMBER_EXPIRED = "number_expired"


class Cause(IntEnum):
    """Q.850 cause values that a reject carries."""

    UNALLOCATED = 1
    BAD_FORMAT = 28
    TEMPORARY = 41


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the switch does next. `callee` is the real number, E.164 (of a call back maybe a service number's digits);
    `digits` how many to collect before it asks again: of collect always, of reject while the call has tries left.
    `code` is for logs, and never for the caller's ear."""

    shown: ClassVar[tuple[str, ...]] = ("prompt", "digits")

    action: Action
    binding_id: UUID | None = None
    callee: str | None = None
    display_number: str | None = None
    max_seconds: int | None = None
    prompt: Prompt | None = None
    digits: int | None = None
    cause: int | None = None
    code: Code | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What cuts or refuses calls. A replay turns the tries and locks off (`guards`)."""

    max_seconds: int = 10_800
    guards: bool = True
    tries_in_call: int = 3
    wrong_in_window: int = 10
    window: timedelta = timedelta(hours=1)
    lock: timedelta = timedelta(days=1)
    withheld_in_window: int = 100
    withheld_lock: timedelta = timedelta(minutes=10)
    calls: PlatformPolicy = PlatformPolicy()
    call_back: timedelta = timedelta(hours=24)
    dials_per_minute: int = 60


class Routes:
    def __init__(
        self,
        database: Database,
        vault: Vault,
        registry: Registry,
        clock: Clock,
        cells: int,
        policy: Policy,
    ) -> None:
        self._vault = vault
        self._registry = registry
        self._clock = clock
        self._cells = cells
        self._policy = policy
        self._policies = Policies(policy.calls)
        self._slots = Slots(database)
        self._filing = Filing(database)
        self._call_backs = CallBacks(database, vault, self._policies, policy.call_back)

    async def route(self, request: RouteRequest, at: datetime | None = None) -> Decision:
        """Fails closed: what is not certain to be allowed is rejected. Raises Refused (overloaded) only.

        `at` = a simulated instant of this call's own; None = the engine's clock.
        """
        at = at or self._clock.simulated()
        host = await self._registry.get(request.host)
        if host is None or host.state is HostState.RETIRED:
            return _reject(Cause.UNALLOCATED, Code.HOST_NOT_FOUND)
        try:
            caller = parse_caller(request.caller)
        except PhoneError:
            return _reject(Cause.BAD_FORMAT, Code.INVALID_CALLER)
        digits = (request.digits or "").removesuffix("#")
        caller_hash = self._vault.fingerprint(caller)
        if not digits:
            return await self._first(request.call_id, host, caller, caller_hash, at)
        record = await self._slots.look_up(host.cell, host.host, digits, caller_hash, at)
        key_id = record["key_id"]
        if key_id is not None:
            await self._vault.know(key_id)
        facts = facts_of(record, caller, self._policies, opens=key_id is not None and self._vault.opens(key_id))
        code = refusal(facts)
        most = caps(facts, self._policy.calls) if code is None else None
        if code is None and most is None:
            row = Connected(
                cell_of(self._cells, request.call_id),
                request.call_id,
                record["binding_id"],
                caller_hash,
                acting().by,
                facts.now,
                self._overdue_at(facts.now, facts.policy),
            )
            await self._filing.connect(Through(host.cell, row))
            return self._connect(host, record, facts)
        if code is not None and not self._policy.guards:
            return _unreachable(code)
        filed = self._filed(request.call_id, host, caller_hash, digits, record, facts, code, most)
        refused = await self._filing.file(Decided(host.cell, filed))
        if refused is None:
            return self._connect(host, record, facts)
        if code is Code.BINDING_EXPIRED and tells_expiry(facts):
            return _reject(Cause.UNALLOCATED, Code.BINDING_EXPIRED, Prompt.NUMBER_EXPIRED)
        return self._refuse(host, refused)

    def _connect(self, host: Host, record: Record, facts: Facts) -> Decision:
        binding_id = record["binding_id"]
        return Decision(
            action=Action.CONNECT,
            binding_id=binding_id,
            callee=self._vault.open(record["recipient"], binding_id, b"phone", record["key_id"]),
            display_number=host.host,
            max_seconds=self._max_seconds(facts.policy),
        )

    async def _first(self, call_id: str, host: Host, caller: str, caller_hash: bytes, at: datetime | None) -> Decision:
        """The question without digits: a recipient of this host's is connected to who rang him, others are asked."""
        found = await self._call_backs.wanted(host, caller, caller_hash, at)
        if found is None:
            return Decision(action=Action.COLLECT, prompt=Prompt.EXTENSION, digits=host.ext_digits)
        wanted, now = found
        cell, overdue_at = cell_of(self._cells, call_id), self._overdue_at(now, wanted.policy)
        row = ConnectedBack(cell, call_id, wanted.binding_id, acting().by, now, overdue_at)
        await self._filing.connect_back(Back(host.cell, row))
        return Decision(
            action=Action.CONNECT,
            binding_id=wanted.binding_id,
            callee=wanted.callee,
            display_number=host.host,
            max_seconds=self._max_seconds(wanted.policy),
        )

    def _max_seconds(self, policy: CallPolicy) -> int:
        return min(self._policy.max_seconds, policy.max_seconds or self._policy.max_seconds)

    def _overdue_at(self, now: datetime, policy: CallPolicy) -> datetime:
        return now + timedelta(seconds=self._max_seconds(policy)) + OVERDUE

    def _refuse(self, host: Host, refused: Refusal) -> Decision:
        """The common no: with digits while others may be keyed, three times a call; only the code differs."""
        code = Code.CALLER_LOCKED_OUT if refused.locks else Code(refused.code)
        if refused.in_call < self._policy.tries_in_call:
            return _unreachable(code, host.ext_digits)
        return _unreachable(Code.TOO_MANY_TRIES if code is Code.NO_BINDING else code)

    def _filed(
        self,
        call_id: str,
        host: Host,
        caller_hash: bytes,
        digits: str,
        record: Record,
        facts: Facts,
        code: Code | None,
        most: list[int] | None,
    ) -> Filed:
        """What is filed of a call that is refused, or that a cap may refuse. Callers who withhold their number are many
        people with one name: they may try more together, and are locked out for a short time only."""
        policy, now = self._policy, facts.now
        recipient: bytes | None = record["recipient_hash"]
        return Filed(
            cell_of(self._cells, call_id),
            call_id,
            host.host,
            caller_hash,
            self._vault.fingerprint(digits).hex(),  # people key in phones by mistake
            acting().by,
            now,
            code or "",
            facts.caller,
            record["binding_id"],
            record["merchant_id"] or "",
            record["order_id"] or "",
            new_id(host.cell, now, urandom(RANDOM_BYTES)),
            counts(facts) and not (code is Code.BINDING_EXPIRED and tells_expiry(facts)),
            now - policy.window,
            policy.withheld_in_window if facts.withheld else policy.wrong_in_window,
            now + (policy.withheld_lock if facts.withheld else policy.lock),
            0 if recipient is None else cell_of_hash(self._cells, recipient),
            recipient,
            now - _HOUR,
            now - _DAY,
            most,
            self._overdue_at(now, facts.policy),
        )


def fail_closed(trouble: Refused | Exception) -> Decision:
    """What the switch is told when the answer could not be made."""
    refusal = trouble.refusal if isinstance(trouble, Refused) else None
    return _reject(Cause.TEMPORARY, refusal.code if refusal else Code.STORE_UNAVAILABLE)


def _reject(cause: Cause, code: Code, prompt: Prompt | None = None) -> Decision:
    return Decision(action=Action.REJECT, prompt=prompt, cause=cause, code=code)


def _unreachable(code: Code, digits: int | None = None) -> Decision:
    """What is said of digits that lead to nobody, for whatever reason. `digits` None = the call has no try left."""
    cause, prompt = Cause.UNALLOCATED, Prompt.WRONG_EXTENSION
    return Decision(action=Action.REJECT, prompt=prompt, digits=digits, cause=cause, code=code)
