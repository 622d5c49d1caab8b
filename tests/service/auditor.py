"""The life of a slot, told a second time: what the promises of design section 2 allow, from what was answered alone.

It shares no rule with the engine: quarantines, owners and reasons are worked out here anew, by brute force.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from vnum.model.bindings import Binding
from vnum.model.refusals import Code, Refusal, Shortage

DAY = timedelta(hours=24)
Slot = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was said when a host was registered."""

    city: str
    extensions: frozenset[str]
    quarantine_days: int | None
    max_live: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an order asked for."""

    order: str
    phone: int
    city: str | None = None
    strict: bool = False
    ttl_days: int = 1


@dataclass(slots=True, kw_only=True)
class Lease:
    """One binding as it was answered."""

    binding_id: UUID
    wanted: Wanted
    slot: Slot
    bound_at: datetime
    ended_at: datetime
    released: bool = False

    @property
    def order(self) -> str:
        return self.wanted.order

    @property
    def phone(self) -> int:
        return self.wanted.phone

    def live(self, now: datetime) -> bool:
        return self.bound_at <= now < self.ended_at


@dataclass(slots=True)
class Auditor:
    """Every lease there ever was; each method raises AssertionError where an answer breaks a promise."""

    hosts: dict[str, Terms]
    states: dict[str, str] = field(default_factory=dict)
    leases: dict[UUID, Lease] = field(default_factory=dict)
    of_order: dict[str, Lease] = field(default_factory=dict)
    of_slot: dict[Slot, Lease] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.states = dict.fromkeys(self.hosts, "active")

    def bound(self, wanted: Wanted, binding: Binding, now: datetime) -> None:
        """An order was given a slot."""
        slot = (binding.host, binding.extension)
        self._may_have(wanted, slot, now)
        assert binding.order_id == wanted.order
        assert binding.bound_at == now, "bound at the instant of the batch"
        assert binding.expires_at == binding.ended_at == now + wanted.ttl_days * DAY
        lease = Lease(
            binding_id=binding.binding_id,
            wanted=wanted,
            slot=slot,
            bound_at=now,
            ended_at=binding.ended_at,
        )
        self.leases[lease.binding_id] = self.of_order[wanted.order] = self.of_slot[slot] = lease

    def kept(self, wanted: Wanted, binding: Binding, now: datetime) -> None:
        """An order was answered with the binding that it has."""
        lease = self.of_order[wanted.order]
        assert lease.live(now), "a lapsed binding is never revived"
        assert lease.phone == wanted.phone
        assert (binding.binding_id, (binding.host, binding.extension)) == (lease.binding_id, lease.slot)
        assert binding.ended_at == lease.ended_at

    def refused(self, wanted: Wanted, refusal: Refusal, now: datetime) -> None:
        """An order was refused for what the auditor can see: another phone, or no number."""
        lease = self.of_order.get(wanted.order)
        if lease is not None and lease.live(now):
            assert refusal.code is Code.BINDING_CONFLICT, refusal
            assert lease.phone != wanted.phone
            return
        assert refusal.code is Code.NO_NUMBER_AVAILABLE, refusal
        assert self.open_to(wanted, now) == [], "there was a number"
        assert refusal.reason in self.reasons(wanted, now), refusal

    def extended(self, lease: Lease, days: int, ended_at: datetime, now: datetime) -> None:
        assert lease.live(now), "only a live binding is extended"
        assert self.states[lease.slot[0]] != "locked"
        assert ended_at == lease.ended_at + days * DAY
        assert ended_at - lease.bound_at <= 180 * DAY
        lease.ended_at = ended_at

    def not_extended(self, lease: Lease, days: int, code: Code, now: datetime) -> None:
        if not lease.live(now):
            assert code is (Code.BINDING_RELEASED if lease.released else Code.BINDING_EXPIRED)
        elif lease.ended_at + days * DAY - lease.bound_at > 180 * DAY:
            assert code is Code.EXTEND_LIMIT
        else:
            assert self.states[lease.slot[0]] == "locked"
            assert code is Code.HOST_LOCKED

    def ended(self, lease: Lease, ended_at: datetime, now: datetime) -> None:
        """A release was answered with success."""
        if lease.released:
            assert ended_at == lease.ended_at, "a released binding stays as it is"
            return
        assert lease.live(now)
        assert ended_at == now
        lease.ended_at, lease.released = now, True

    def not_ended(self, lease: Lease, code: Code, now: datetime) -> None:
        assert code is Code.BINDING_EXPIRED
        assert not lease.live(now)
        assert not lease.released

    def live_on(self, hosts: Iterable[str], now: datetime) -> list[Lease]:
        wanted = set(hosts)
        return [lease for lease in self.leases.values() if lease.slot[0] in wanted and lease.live(now)]

    def open_to(self, wanted: Wanted, now: datetime) -> list[Slot]:
        """Every slot that this order might be given now."""
        return [
            (host, extension)
            for host in self._lending(wanted)
            if not self._capped(host, now)
            for extension in self.hosts[host].extensions
            if self._why_not(wanted, (host, extension), now) is None
        ]

    def reasons(self, wanted: Wanted, now: datetime) -> set[Shortage]:
        """The reasons that are true."""
        if wanted.strict and all(terms.city != wanted.city for terms in self.hosts.values()):
            return {Shortage.NO_HOST_IN_CITY}
        hosts = self._lending(wanted)
        if not hosts:
            return {Shortage.NO_ACTIVE_HOST}
        held = self._held(hosts, now)
        live = sum(lease.live(now) for lease in held)
        free = sum(len(self.hosts[host].extensions) for host in hosts) - len(held)
        if free and any(self._capped(host, now) for host in hosts):
            return {Shortage.HOST_FULL}
        if free or len(held) > 2 * live:
            return {Shortage.ALL_QUARANTINED}  # a free number is kept from its own last holder
        return {Shortage.ALL_BOUND}

    def held_until(self, lease: Lease) -> datetime | None:
        """None = never free again."""
        days = self.hosts[lease.slot[0]].quarantine_days
        return None if days is None else lease.ended_at + days * DAY

    def _held(self, hosts: list[str], now: datetime) -> list[Lease]:
        return [lease for slot, lease in self.of_slot.items() if slot[0] in hosts and not self._over(lease, now)]

    def _over(self, lease: Lease, now: datetime) -> bool:
        until = self.held_until(lease)
        return until is not None and until <= now

    def _lending(self, wanted: Wanted) -> list[str]:
        return [
            host
            for host, terms in self.hosts.items()
            if self.states[host] == "active" and not (wanted.strict and terms.city != wanted.city)
        ]

    def _capped(self, host: str, now: datetime) -> bool:
        cap = self.hosts[host].max_live
        return cap is not None and len(self.live_on([host], now)) >= cap

    def _may_have(self, wanted: Wanted, slot: Slot, now: datetime) -> None:
        previous = self.of_order.get(wanted.order)
        assert previous is None or not previous.live(now), "one live binding an order"
        assert slot[0] in self._lending(wanted), "a host that lends, in the city that was asked for"
        assert not self._capped(slot[0], now), "no more than max_live"
        why_not = self._why_not(wanted, slot, now)
        assert why_not is None, why_not

    def _why_not(self, wanted: Wanted, slot: Slot, now: datetime) -> str | None:
        if slot[1] not in self.hosts[slot[0]].extensions:
            return "an extension that is never lent"
        last = self.of_slot.get(slot)
        if last is None:
            return None
        if last.live(now):
            return "one slot, two owners"
        if not self._over(last, now):
            return "used again before its quarantine had passed"
        if wanted.order == last.order or wanted.phone == last.phone:
            return "back to whom held it last"
        return None
