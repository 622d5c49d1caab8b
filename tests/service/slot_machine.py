"""Everything that may happen to slots, in any order, while Redis and PostgreSQL fail; audited at every step."""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.engines import DAY, START, TICK, WIPE, World, host_number, on_pool, phone, request, the
from tests.faults import REDIS_FAULTS, STORE_FAULTS, Dice, FaultyPool, FaultyStatement, Seconds
from tests.service.auditor import Auditor, Lease, Terms, Wanted
from vnum.engine import open_redis
from vnum.model.damm import is_valid
from vnum.model.hosts import HostState
from vnum.model.refusals import Code, Refusal, Refused
from vnum.pool.keys import Keys
from vnum.service.batch import Bound, Outcome
from vnum.service.labels import Label, LabelItem
from vnum.service.orders import BindRequest
from vnum.service.route import Action, Policy, RouteRequest
from vnum.store import clock as stored_clock

T = TypeVar("T")

DIGITS = frozenset("123456789")
CHECKED = frozenset(text for text in (f"{n:02}" for n in range(1, 100)) if is_valid(text))
HOSTS = {
    host_number(1): Terms(city="bj", extensions=DIGITS, quarantine_days=1),
    host_number(2): Terms(city="sh", extensions=DIGITS, quarantine_days=None, max_live=4),
    host_number(3): Terms(city="bj", extensions=CHECKED, quarantine_days=2),
}
PHONES = 6

orders = st.integers(0, 11).map(lambda n: f"order-{n}")
wanted = st.builds(
    Wanted,
    order=orders,
    phone=st.integers(1, PHONES),
    city=st.sampled_from([None, None, "bj", "sh", "gz"]),
    strict=st.booleans(),
    ttl_days=st.sampled_from([1, 1, 2, 3, 90]),
).map(lambda one: one if one.city else Wanted(order=one.order, phone=one.phone, ttl_days=one.ttl_days))
redis_faults = st.lists(st.sampled_from(REDIS_FAULTS), max_size=5)
store_faults = st.lists(st.sampled_from(STORE_FAULTS), max_size=3)
picks = st.integers(0, 10_000)


def asked(one: Wanted) -> BindRequest:
    return request(one.order, one.phone, city=one.city, city_strict=one.strict, ttl_days=one.ttl_days)


class SlotMachine(RuleBasedStateMachine):
    """`home`, `runner`, `statement`, `seconds` and `dice` are set by the test that runs it."""

    home: ClassVar[World]
    runner: ClassVar["asyncio.Runner"]
    statement: ClassVar[FaultyStatement]
    seconds: ClassVar[Seconds]
    dice: ClassVar[Dice]

    def run(self, coroutine: Coroutine[Any, Any, T], redis: Sequence[str] = (), store: Sequence[str] = ()) -> T:
        """Runs it while the servers fail as told."""
        self.seconds.now_s += 0.3
        self.pool.plan.extend(redis)
        self.statement.plan.extend(store)
        try:
            return self.runner.run(coroutine)
        finally:
            self.pool.plan.clear()
            self.statement.plan.clear()

    @initialize()
    def begin(self) -> None:
        self.auditor = Auditor(HOSTS)
        self.highest: datetime | None = None
        self.dice.throw_again()
        self.pool = FaultyPool(open_redis(self.home.parts.redis_url), Keys(self.home.parts.schema))
        self.run(self._begin())

    async def _begin(self) -> None:
        home = self.home
        assert home.clock is not None
        home.clock.instant = START
        await home.owner.execute(WIPE)
        await self.pool.drop()
        world = on_pool(home, self.pool, policy=Policy(guards=False))
        self.engine = world.engine
        await world.merchant()
        for number, terms in HOSTS.items():
            checked = terms.extensions == CHECKED
            await world.host(
                number,
                city=terms.city,
                ext_digits=2 if checked else 1,
                ext_check="damm" if checked else "none",
                quarantine_days=terms.quarantine_days,
                max_live=terms.max_live,
            )

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            self.run(self.pool.close())

    # What is true now

    @property
    def clock(self) -> Any:
        return self.home.clock

    @property
    def now(self) -> Any:
        """The instant that counts: the clock's, or the highest ever committed if that is ahead."""
        return max(self.clock.instant, self.highest or self.clock.instant)

    @property
    def leases(self) -> list[Lease]:
        return list(self.auditor.leases.values())

    def lease(self, pick: int) -> Lease:
        """Of the last few leases more often than of old ones."""
        recent = self.leases[-12:]
        return recent[pick % len(recent)]

    # Bindings

    @rule(one=wanted, redis=redis_faults, store=store_faults)
    def bind(self, one: Wanted, redis: list[str], store: list[str]) -> None:
        self._bind([one], redis, store)

    @rule(several=st.lists(wanted, min_size=2, max_size=12), redis=redis_faults, store=store_faults)
    def bind_many(self, several: list[Wanted], redis: list[str], store: list[str]) -> None:
        self._bind(several, redis, store)

    @rule(phones=st.permutations(range(1, 13)), ttl_days=st.sampled_from([1, 2]), redis=redis_faults)
    def bind_all_there_is(self, phones: list[int], ttl_days: int, redis: list[str]) -> None:
        """A rush of new orders, so that slots run short."""
        first = len(self.auditor.leases)
        self._bind(
            [Wanted(order=f"rush-{first + n}", phone=p, ttl_days=ttl_days) for n, p in enumerate(phones)], redis, []
        )

    @precondition(lambda self: self.leases)
    @rule(pick=picks, redis=redis_faults)
    def bind_again(self, pick: int, redis: list[str]) -> None:
        """An order that had a number, with the same phone."""
        last = self.lease(pick)
        self._bind([Wanted(order=last.order, phone=last.phone)], redis, [])

    def _bind(self, several: list[Wanted], redis: list[str], store: list[str]) -> None:
        outcomes = self.run(self.engine.binder.bind([asked(one) for one in several]), redis, store)
        self._audit_outcomes(several, outcomes, store)

    def _audit_outcomes(self, several: list[Wanted], outcomes: list[Outcome], store: list[str]) -> None:
        now = self._settled()
        for one, outcome in zip(several, outcomes, strict=True):
            if isinstance(outcome, Bound):
                assert outcome.now == now
                (self.auditor.bound if outcome.created else self.auditor.kept)(one, outcome.binding, now)
        answered: dict[str, Outcome] = {}
        for one, outcome in zip(several, outcomes, strict=True):
            first = answered.get(one.order)
            answered.setdefault(one.order, outcome)
            if isinstance(outcome, Bound) or _excused(outcome, store):
                continue
            if first is None or isinstance(first, Bound):
                self.auditor.refused(one, outcome, now)
            else:
                assert outcome == first, "the second request for an order gets the answer of the first"

    @precondition(lambda self: self.leases)
    @rule(pick=picks, days=st.sampled_from([7, 15, 30]), redis=redis_faults)
    def extend(self, pick: int, days: int, redis: list[str]) -> None:
        lease = self.lease(pick)
        try:
            seen = self.run(self.engine.lifetime.extend(lease.binding_id, days), redis)
        except Refused as refused:
            self.auditor.not_extended(lease, days, refused.refusal.code, self.now)
        else:
            self.auditor.extended(lease, days, seen.binding.ended_at, self._settled())

    @precondition(lambda self: self.leases)
    @rule(pick=picks, redis=redis_faults)
    def release(self, pick: int, redis: list[str]) -> None:
        lease = self.lease(pick)
        try:
            seen = self.run(self.engine.lifetime.release(lease.binding_id, "done"), redis)
        except Refused as refused:
            self.auditor.not_ended(lease, refused.refusal.code, self.now)
        else:
            self.auditor.ended(lease, seen.binding.ended_at, self._settled())

    @rule(order=orders, reissue=st.booleans(), redis=redis_faults)
    def label(self, order: str, reissue: bool, redis: list[str]) -> None:
        lease = self.auditor.of_order.get(order)
        item = LabelItem(merchant_id="m", order_id=order)
        (answer,) = self.run(self.engine.labels.current([item], reissue=reissue), redis)
        if lease is None:
            assert isinstance(answer, Refusal)
            assert answer.code is Code.BINDING_NOT_FOUND
        elif lease.live(self.now):
            assert isinstance(answer, Label)
            assert answer.binding.binding_id == lease.binding_id
        elif lease.released:
            assert isinstance(answer, Refusal)
            assert answer.code is Code.BINDING_RELEASED
        elif reissue:
            self._audit_reissue(lease, answer)
        else:
            assert isinstance(answer, Refusal)
            assert answer.code is Code.BINDING_EXPIRED

    def _audit_reissue(self, lease: Lease, answer: Label | Refusal) -> None:
        """It asks for what the order had asked for last."""
        now = self._settled()
        if isinstance(answer, Label):
            self.auditor.bound(lease.wanted, answer.binding, now)
        else:
            self.auditor.refused(lease.wanted, answer, now)

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def dial(self, pick: int) -> None:
        """A slot reaches who holds it now, and nobody else."""
        slot = self.lease(pick).slot
        holder = self.auditor.of_slot[slot]
        decision = self.run(
            self.engine.routes.route(RouteRequest(call_id="c", caller="13800000000", host=slot[0], digits=slot[1]))
        )
        if self.auditor.states[slot[0]] == "retired":
            assert decision.code is Code.HOST_NOT_FOUND
        elif holder.live(self.now):
            assert decision.action is Action.CONNECT
            assert decision.callee == "+86" + phone(holder.phone)
            assert decision.binding_id == holder.binding_id
        else:
            assert decision.action is Action.REJECT
            assert decision.code is (Code.BINDING_RELEASED if holder.released else Code.BINDING_EXPIRED)

    # Hosts

    @rule(host=st.sampled_from(sorted(HOSTS)), state=st.sampled_from([*HostState, HostState.ACTIVE]))
    def host_state(self, host: str, state: HostState) -> None:
        live = self.auditor.live_on([host], self.now)
        if state is HostState.RETIRED and live:
            with pytest.raises(Refused) as error:
                self.run(self.engine.hosts.set_state(host, state))
            assert the(error).code is Code.HOST_IN_USE
        else:
            self.run(self.engine.hosts.set_state(host, state))
            self.auditor.states[host] = str(state)

    # Time

    @rule(hours=st.sampled_from([1, 12, 24, 24, 25, 48, 96]))
    def hours_pass(self, hours: int) -> None:
        self._set_clock(self.clock.instant + timedelta(hours=hours))

    @rule(hours=st.sampled_from([1, 25, 72]))
    def clock_set_back(self, hours: int) -> None:
        self._set_clock(self.clock.instant - timedelta(hours=hours))

    @precondition(lambda self: self.leases)
    @rule(pick=picks, quarantine=st.booleans(), off=st.sampled_from([-TICK, TICK * 0, TICK]))
    def until_an_edge(self, pick: int, quarantine: bool, off: timedelta) -> None:
        """To the very instant at which a binding, or its quarantine, ends; or a microsecond beside."""
        lease = self.lease(pick)
        edge = self.auditor.held_until(lease) if quarantine else lease.ended_at
        if edge is not None and self.now < edge + off < self.now + 8 * DAY:
            self._set_clock(edge + off)

    def _set_clock(self, instant: Any) -> None:
        self.clock.instant = instant
        self.run(stored_clock.ensure_months(self.engine.database, self.now))

    # Redis

    @rule()
    def redis_emptied(self) -> None:
        self.run(self.pool.drop())

    @rule(nth=picks)
    def redis_loses_a_key(self, nth: int) -> None:
        self.run(self.pool.lose_key(nth))

    @rule()
    def redis_backed_up(self) -> None:
        self.run(self.pool.dump())

    @rule()
    def redis_restored_from_backup(self) -> None:
        self.run(self.pool.restore())

    @rule(down=st.booleans())
    def redis_cut_off(self, down: bool) -> None:
        self.pool.down = down
        self.seconds.now_s += 2 * (not down)

    @precondition(lambda self: not self.pool.down)
    @rule()
    def pool_rebuilt(self) -> None:
        self.run(self.engine.care.rebuild())

    @rule()
    def tended(self) -> None:
        self.run(self.engine.care.tend())

    # The audit

    def _settled(self) -> Any:
        """Takes over the highest instant committed: it never falls, and is the clock's or one before."""
        highest = self.run(self.home.owner.fetchval("SELECT max(instant) FROM clocks"))
        assert highest in (self.highest, self.now)
        self.highest = highest
        return self.now

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        if not hasattr(self, "engine"):
            return
        rows = self.run(
            self.home.owner.fetch("SELECT binding_id, order_id, host, extension, bound_at, ended_at FROM bindings")
        )
        ledger = {row["binding_id"]: tuple(row)[1:] for row in rows}
        assert ledger == {
            lease.binding_id: (lease.order, *lease.slot, lease.bound_at, lease.ended_at) for lease in self.leases
        }

    @invariant()
    def one_slot_one_owner_and_one_order_one_binding(self) -> None:
        if not hasattr(self, "engine"):
            return
        rows = self.run(
            self.home.owner.fetch(
                """SELECT (SELECT count(*) FROM bindings WHERE bound_at <= $1 AND $1 < ended_at) AS live,
                          (SELECT count(DISTINCT (host, extension)) FROM bindings
                           WHERE bound_at <= $1 AND $1 < ended_at) AS slots,
                          (SELECT count(DISTINCT order_id) FROM bindings
                           WHERE bound_at <= $1 AND $1 < ended_at) AS orders,
                          (SELECT count(*) FROM slots WHERE ended_at > $1) AS owned,
                          (SELECT count(*) FROM orders WHERE ended_at > $1) AS current""",
                self.now,
            )
        )
        assert len(set(rows[0])) == 1, dict(rows[0])

    @precondition(lambda self: self.leases)
    @invariant()
    def a_binding_is_live_by_the_clock_alone(self) -> None:
        lease = self.leases[-1]
        seen = self.run(self.engine.lifetime.get(lease.binding_id))
        assert seen.now == self.now
        assert str(seen.binding.state(seen.now)) == _state(lease, self.now)


def _state(lease: Lease, now: Any) -> str:
    if lease.live(now):
        return "live"
    return "released" if lease.released else "expired"


def _excused(refusal: Refusal, store: list[str]) -> bool:
    """PostgreSQL was made to fail, and the refusal says no more than that."""
    if refusal.code is Code.OUTCOME_UNKNOWN:
        return bool({"lost_before", "lost_after"} & set(store))
    return refusal.code is Code.STORE_UNAVAILABLE and bool({"timeout", "deadlock", "serialization"} & set(store))
