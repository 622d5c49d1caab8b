"""The rest of a binding's life: look at it, extend it, release it. It expires by the clock, with nobody's help."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from vnum.model import bindings as rules
from vnum.model.bindings import Binding, Mode
from vnum.model.hosts import HostState
from vnum.model.ids import cell_in
from vnum.model.numbers import index_of, parse_extension
from vnum.model.phones import holds_phone
from vnum.model.refusals import Code, Refusal, Refused
from vnum.service.clock import Clock
from vnum.service.registry import Registry
from vnum.service.supply import Supply
from vnum.store import audit
from vnum.store import bindings as stored
from vnum.store.database import ENDED, LOST, Connection, Database, trying_again, writer_of

ATTEMPTS = 4
"""A write that finds the binding changed since it was read reads it again."""


class Seen(msgspec.Struct, frozen=True):
    """A binding as of `now`. `first_bound_at` = when its order's first number was bound; `max_reach_days` from then on
    the order's recipient may be reached, None = for ever."""

    binding: Binding
    now: datetime
    first_bound_at: datetime | None = None
    max_reach_days: int | None = None


Also = Callable[[Connection, Seen], Awaitable[None]]


class Lifetime:
    def __init__(self, database: Database, registry: Registry, supply: Supply, clock: Clock, cells: int) -> None:
        self._database = database
        self._registry = registry
        self._supply = supply
        self._clock = clock
        self._cells = cells

    async def get(self, binding_id: UUID) -> Seen:
        """Raises Refused (binding_not_found)."""
        self._in_range(binding_id)
        record = await stored.binding(self._database, cell_in(binding_id), binding_id, self._clock.simulated())
        now = max(record["server_now"], record["highest"] or record["server_now"])
        return Seen(_binding(record, binding_id), now)

    async def extend(self, binding_id: UUID, days: int, also: Also | None = None) -> Seen:
        """Adds days x 24 h to a live binding. Raises Refused: binding_not_found, binding_expired,
        binding_released, extend_limit, reach_window_over, host_locked, clock_jump, outcome_unknown.

        `also` writes with it, in the same transaction (an answer to be kept, say); what it raises undoes both.
        """
        for _ in range(ATTEMPTS):
            seen = await self.read(binding_id)
            binding = seen.binding
            expires_at = rules.extend(binding, days, seen.now)
            if isinstance(expires_at, Refusal):
                raise Refused(expires_at.code, expires_at.detail)
            beyond = rules.beyond_reach(expires_at, seen.first_bound_at or binding.bound_at, seen.max_reach_days)
            if beyond is not None:
                raise Refused(beyond.code, beyond.detail)
            self._refuse_locked(binding)
            held_until = self._held_until(binding, expires_at)
            extended = Seen(msgspec.structs.replace(binding, expires_at=expires_at, ended_at=expires_at), seen.now)
            if await self._write_extension(binding, extended, held_until, also):
                await self._move(binding, held_until)
                return extended
        raise _changing(binding_id)

    async def release(self, binding_id: UUID, reason: str) -> Seen:
        """Ends a live binding now; a released one stays as it is. Raises Refused: binding_not_found,
        binding_expired, clock_jump, invalid_request."""
        if holds_phone(reason):
            raise Refused(Code.INVALID_REQUEST, "reason: no phone numbers here, please; name the order or the request")
        for _ in range(ATTEMPTS):
            seen = await self.read(binding_id)
            verdict = rules.release(seen.binding, seen.now)
            if isinstance(verdict, Refusal):
                raise Refused(verdict.code, verdict.detail)
            if not verdict:
                return seen
            held_until = self._held_until(seen.binding, seen.now)
            if await self._write_release(seen, held_until, reason):
                await self._move(seen.binding, held_until)
                return Seen(msgspec.structs.replace(seen.binding, ended_at=seen.now, released=True), seen.now)
        raise _changing(binding_id)

    async def _write_extension(self, was: Binding, extended: Seen, held_until: datetime, also: Also | None) -> bool:
        """Raises Refused (outcome_unknown): a repeat without an Idempotency-Key could extend once more."""
        done = False
        try:
            async for attempt in trying_again():
                with attempt:
                    done = await self._extend(was, extended, held_until, also)
        except (*LOST, *ENDED) as trouble:
            raise Refused(
                Code.OUTCOME_UNKNOWN, "the connection to PostgreSQL was lost in the commit; look at the binding"
            ) from trouble
        return done

    async def _extend(self, was: Binding, extended: Seen, held_until: datetime, also: Also | None) -> bool:
        async with self._database.acquire() as connection, connection.transaction():
            done = await stored.extend(
                connection,
                cell_in(was.binding_id),
                extended.now,
                writer_of(connection),
                was.binding_id,
                was.expires_at,
                extended.binding.expires_at,
                held_until,
                self._clock.simulated(),
            )
            if done:
                await audit.add(
                    connection,
                    cell_in(was.binding_id),
                    extended.now,
                    "binding.extended",
                    [str(was.binding_id)],
                    f"until {extended.binding.expires_at:%FT%TZ}",
                )
            if done and also is not None:
                await also(connection, extended)
            return done

    async def _write_release(self, seen: Seen, held_until: datetime, reason: str) -> bool:
        binding_id, done = seen.binding.binding_id, False
        async for attempt in trying_again():
            with attempt:
                async with self._database.acquire() as connection, connection.transaction():
                    done = await stored.release(
                        connection,
                        cell_in(binding_id),
                        seen.now,
                        writer_of(connection),
                        binding_id,
                        held_until,
                        reason,
                    )
                    if done:
                        ids = [str(binding_id)]
                        await audit.add(connection, cell_in(binding_id), seen.now, "binding.released", ids, reason)
        return done

    async def read(self, binding_id: UUID) -> Seen:
        """For who will change it: by the clock behind its guard. Raises Refused (binding_not_found, clock_jump).

        No connection is held here: whoever waits for a second one with one in hand may wait for ever.
        """
        self._in_range(binding_id)
        await self._registry.refresh()
        record = await stored.binding(self._database, cell_in(binding_id), binding_id, self._clock.simulated())
        now = await self._clock.settle(record["server_now"], record["highest"])
        seen = Seen(_binding(record, binding_id), now, record["first_bound_at"], record["max_reach_days"])
        await self._registry.get(seen.binding.host)  # one registered within the last second may not be known yet
        return seen

    def _in_range(self, binding_id: UUID) -> None:
        if cell_in(binding_id) >= self._cells:
            raise _not_found(binding_id)

    def _held_until(self, binding: Binding, ended_at: datetime) -> datetime:
        return self._registry.known(binding.host).held_until(ended_at)

    def _refuse_locked(self, binding: Binding) -> None:
        if self._registry.known(binding.host).state is HostState.LOCKED:
            raise Refused(Code.HOST_LOCKED, f"host {binding.host} is locked: no extension while it is")

    async def _move(self, binding: Binding, held_until: datetime) -> None:
        index = index_of(parse_extension(binding.extension))
        await self._supply.move(cell_in(binding.binding_id), [(binding.host, index, held_until)])


def _binding(record: Record, binding_id: UUID) -> Binding:
    if record["binding_id"] is None:
        raise _not_found(binding_id)
    return Binding(
        binding_id=record["binding_id"],
        merchant_id=record["merchant_id"],
        order_id=record["order_id"],
        host=record["host"],
        extension=record["extension"],
        mode=Mode(record["mode"]),
        bound_at=record["bound_at"],
        expires_at=record["expires_at"],
        ended_at=record["ended_at"],
        released=record["release_reason"] is not None,
    )


def _not_found(binding_id: UUID) -> Refused:
    return Refused(Code.BINDING_NOT_FOUND, f"there is no binding {binding_id}")


def _changing(binding_id: UUID) -> Refused:
    return Refused(
        Code.STORE_UNAVAILABLE,
        f"binding {binding_id} is being changed by others; nothing was done, try again",
    )
