"""Route: the switch asks where a call goes. Only this answer carries a real number, and only to the switch."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model.acting import acting
from vnum.model.cells import cell_of
from vnum.model.hosts import Host, HostState
from vnum.model.phones import ANONYMOUS, PhoneError, parse_caller
from vnum.model.refusals import Code, Refused
from vnum.service.clock import Clock, peek
from vnum.service.group import Group
from vnum.service.orders import Name
from vnum.service.registry import Registry
from vnum.store import calls as stored
from vnum.store.calls import Chosen
from vnum.store.database import Database
from vnum.vault import Vault

CallId = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Digits = Annotated[str, msgspec.Meta(max_length=32, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]


class RouteRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    shown: ClassVar[tuple[str, ...]] = ("digits",)

    call_id: CallId
    caller: Annotated[str, msgspec.Meta(max_length=64)]
    host: Name
    digits: Digits | None = None


class Action(StrEnum):
    COLLECT = "collect"
    CONNECT = "connect"
    REJECT = "reject"


class Cause(IntEnum):
    """Q.850 cause values that a reject carries."""

    UNALLOCATED = 1
    REJECTED = 21
    BAD_FORMAT = 28
    TEMPORARY = 41


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the switch does next. `callee` is the real number, E.164; `digits` how many to collect."""

    shown: ClassVar[tuple[str, ...]] = ("prompt", "digits")

    action: Action
    binding_id: UUID | None = None
    callee: str | None = None
    display_number: str | None = None
    max_seconds: int | None = None
    prompt: str | None = None
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


_ANY_CALL = ""


class _Dialled(msgspec.Struct, frozen=True, gc=False):
    cell: int
    host: str
    extension: str
    caller_hash: bytes
    at: datetime | None


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
        self._database = database
        self._vault = vault
        self._registry = registry
        self._clock = clock
        self._cells = cells
        self._policy = policy
        self._asked: Group[_Dialled, Record] = Group(self._ask, lanes=2)
        self._chosen: Group[Chosen, None] = Group(self._remember, lanes=1)

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
        caller_hash = self._vault.fingerprint(caller)
        digits = (request.digits or "").removesuffix("#")
        if not digits:
            return _collect(host, "extension")
        record = await self._look_up(host, digits, caller_hash, at)
        guards = self._policy.guards
        if guards and record["locked_out"]:
            return _reject(Cause.REJECTED, Code.CALLER_LOCKED_OUT)
        if record["binding_id"] is None:
            return await self._wrong(host, request.call_id, digits, caller)
        if refused := _not_live(record):
            if guards:
                await self._count(host, _ANY_CALL, digits, caller)
            return refused
        return await self._connect(host, request.call_id, record)

    async def _look_up(self, host: Host, digits: str, caller_hash: bytes, at: datetime | None) -> Record:
        """The slot dialled, whose columns are null when the digits are none; and whether the caller is locked out."""
        return await self._asked.submit(_Dialled(host.cell, host.host, digits, caller_hash, at))

    async def _connect(self, host: Host, call_id: str, record: Record) -> Decision:
        binding_id, key_id = record["binding_id"], record["key_id"]
        await self._vault.know(key_id)
        await self._chosen.submit(
            Chosen(cell_of(self._cells, call_id), call_id, binding_id, host.cell, record["now"], acting().by)
        )
        return Decision(
            action=Action.CONNECT,
            binding_id=binding_id,
            callee=self._vault.open(record["recipient"], binding_id, b"phone", key_id),
            display_number=host.host,
            max_seconds=self._policy.max_seconds,
        )

    async def _wrong(self, host: Host, call_id: str, digits: str, caller: str) -> Decision:
        """A wrong extension may be tried again, three times a call; who tries many is locked out."""
        if not self._policy.guards:
            return _reject(Cause.UNALLOCATED, Code.NO_BINDING)
        in_call, locked = await self._count(host, call_id, digits, caller)
        if locked:
            return _reject(Cause.REJECTED, Code.CALLER_LOCKED_OUT)
        if in_call >= self._policy.tries_in_call:
            return _reject(Cause.UNALLOCATED, Code.TOO_MANY_TRIES)
        return _collect(host, "wrong_extension", Code.NO_BINDING)

    async def _count(self, host: Host, call_id: str, digits: str, caller: str) -> tuple[int, bool]:
        """Files digits that reach nobody, lapsed ones too: else guessing were free. (how many in this call, locked)

        A lapsed number counts once, however often it is dialled: an old label is no guess.

        Callers who withhold their number are many people with one name: they may try more together, and are locked
        out for a short time only.
        """
        policy, now = self._policy, await peek(self._clock, self._database)
        withheld = caller == ANONYMOUS
        caller_hash = self._vault.fingerprint(caller)
        hashed = self._vault.fingerprint(digits).hex()  # people key in phones by mistake
        in_call, in_window = await stored.wrong_extension(
            self._database, host.cell, host.host, caller_hash, call_id, hashed, now - policy.window, now
        )
        locked = in_window >= (policy.withheld_in_window if withheld else policy.wrong_in_window)
        if locked:
            until = now + (policy.withheld_lock if withheld else policy.lock)
            await stored.lock_out(self._database, host.cell, host.host, caller_hash, until)
        return in_call, locked

    async def _ask(self, dialled: Sequence[_Dialled]) -> list[Record]:
        by_cell: defaultdict[int, list[int]] = defaultdict(list)
        for n, one in enumerate(dialled):
            by_cell[one.cell].append(n)
        answers: dict[int, Record] = {}
        for cell, positions in by_cell.items():
            asked = [msgspec.structs.astuple(dialled[n])[1:] for n in positions]
            found = await stored.route(self._database, cell, asked)
            answers |= zip(positions, found, strict=True)
        return [answers[n] for n in range(len(dialled))]

    async def _remember(self, rows: Sequence[Chosen]) -> list[None]:
        """The number is told when it is on disk who was told."""
        await stored.remember_routes(self._database, rows)
        return [None] * len(rows)


def _not_live(record: Record) -> Decision | None:
    """Why a binding can not be reached, by the clock."""
    if not record["bound_at"] <= record["now"] < record["ended_at"]:
        released = record["release_reason"] is not None
        return _reject(Cause.UNALLOCATED, Code.BINDING_RELEASED if released else Code.BINDING_EXPIRED)
    if record["recipient"] is None:
        return _reject(Cause.UNALLOCATED, Code.RECIPIENT_ERASED)
    return None


def fail_closed(trouble: Refused | Exception) -> Decision:
    """What the switch is told when the answer could not be made."""
    refusal = trouble.refusal if isinstance(trouble, Refused) else None
    return _reject(Cause.TEMPORARY, refusal.code if refusal else Code.STORE_UNAVAILABLE)


def _collect(host: Host, prompt: str, code: Code | None = None) -> Decision:
    return Decision(action=Action.COLLECT, prompt=prompt, digits=host.ext_digits, code=code)


def _reject(cause: Cause, code: Code) -> Decision:
    return Decision(action=Action.REJECT, cause=cause, code=code)
