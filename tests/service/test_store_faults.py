"""PostgreSQL refuses, stops in the middle, or does not answer: what is bound is bound once, and the answer is true."""

import asyncio
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.engines import HOST, World, request
from tests.faults import STORE_FAULTS, FaultyStatement
from vnum.model.refusals import Code, Refusal
from vnum.service.batch import Outcome
from vnum.service.orders import Order
from vnum.store import bindings as stored

GATE = 4_217


@pytest.fixture
async def roomy(bare_world: World) -> World:
    """A host of 9,999 slots."""
    await bare_world.merchant()
    await bare_world.host(ext_digits=4)
    return bare_world


@pytest.fixture
def statement(monkeypatch: pytest.MonkeyPatch) -> FaultyStatement:
    statement = FaultyStatement(stored.bind)
    monkeypatch.setattr(stored, "bind", statement)
    return statement


def order(world: World, n: int, **smuggled: Any) -> Order:
    """An order past the checks, with what they would have refused."""
    checked = world.engine.binder.check(request(f"order-{n}", n))
    assert isinstance(checked, Order)
    return msgspec.structs.replace(checked, **smuggled)


def codes(outcomes: list[Outcome]) -> list[str]:
    return [str(outcome.code) if isinstance(outcome, Refusal) else "bound" for outcome in outcomes]


async def bindings(world: World) -> int:
    """Live bindings; each of an order of its own, on a slot of its own."""
    row = await world.owner.fetchrow(
        "SELECT count(*) AS n, count(DISTINCT order_id) AS orders, count(DISTINCT extension) AS slots FROM bindings"
    )
    assert row["n"] == row["orders"] == row["slots"]
    return int(row["n"])


async def free(world: World) -> int | None:
    hosts = await world.engine.hosts.list()
    return (await world.engine.pool.free_counts(hosts))[0]


# A row that can not be stored

BAD_ROWS = {
    "a NUL byte, which PostgreSQL refuses": {"order_status": "ship\0ped"},
    "a number that asyncpg can not encode": {"ttl_days": 40_000},
    "an instant past PostgreSQL's calendar": {"ttl_days": 32_000, "order_status": "\0"},
    "a column that may not be null": {"mode": None},
}


@pytest.mark.parametrize("smuggled", BAD_ROWS.values(), ids=BAD_ROWS)
async def test_one_bad_row_among_a_thousand_fails_alone(roomy: World, smuggled: dict[str, Any]) -> None:
    orders = [order(roomy, n, **(smuggled if n == 617 else {})) for n in range(1_000)]
    outcomes = await roomy.engine.binder.bind_orders(orders)
    assert codes(outcomes) == ["invalid_request" if n == 617 else "bound" for n in range(1_000)]
    assert await bindings(roomy) == 999
    assert await free(roomy) == 9_999 - 999, "the slot of the bad row was given back"


async def test_several_bad_rows_fail_and_no_other(roomy: World) -> None:
    bad = {0, 1, 50, 99}
    orders = [order(roomy, n, **({"mode": None} if n in bad else {})) for n in range(100)]
    outcomes = await roomy.engine.binder.bind_orders(orders)
    assert codes(outcomes) == ["invalid_request" if n in bad else "bound" for n in range(100)]
    assert await bindings(roomy) == 96


# Statements that PostgreSQL would take again


@pytest.mark.parametrize("fault", ["deadlock", "serialization"])
async def test_a_rollback_is_tried_again_twice(roomy: World, statement: FaultyStatement, fault: str) -> None:
    statement.plan.extend([fault, fault])
    assert codes([await roomy.try_bind("a")]) == ["bound"]
    assert statement.calls == 3
    assert await bindings(roomy) == 1


async def test_the_third_rollback_is_told(roomy: World, statement: FaultyStatement) -> None:
    statement.plan.extend(["deadlock"] * 3)
    assert (await roomy.refusal("a")).code is Code.STORE_UNAVAILABLE
    assert statement.calls == 3
    assert await bindings(roomy) == 0
    assert await free(roomy) == 9_999


async def test_a_statement_time_out_wrote_nothing_and_gives_the_slots_back(
    roomy: World, statement: FaultyStatement
) -> None:
    statement.plan.append("timeout")
    outcomes = await roomy.engine.binder.bind([request(f"order-{n}", n) for n in range(20)])
    assert codes(outcomes) == ["store_unavailable"] * 20
    assert await bindings(roomy) == 0
    assert await free(roomy) == 9_999


async def test_a_real_statement_time_out_is_no_unknown_outcome(roomy: World) -> None:
    """A lock held by others, and a session that waits no longer than 50 ms for its statement."""
    await roomy.owner.execute("SET lock_timeout = '10s'")
    async with roomy.owner.transaction():
        await roomy.owner.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        async with asyncio.TaskGroup() as group:
            binding = group.create_task(roomy.try_bind("a"))
            pid = await waiting_pid(roomy)
            await roomy.owner.execute("SELECT pg_cancel_backend($1)", pid)
    assert (await binding).code is Code.STORE_UNAVAILABLE  # type: ignore[union-attr]
    assert await bindings(roomy) == 0


# A connection that is lost


@pytest.mark.parametrize(
    ("fault", "answer", "written"), [("lost_after", "bound", 20), ("lost_before", "outcome_unknown", 0)]
)
async def test_after_a_lost_connection_the_orders_are_looked_up(
    roomy: World, statement: FaultyStatement, fault: str, answer: str, written: int
) -> None:
    statement.plan.append(fault)
    requests = [request(f"order-{n}", n) for n in range(20)]
    assert codes(await roomy.engine.binder.bind(requests)) == [answer] * 20
    assert await bindings(roomy) == written
    assert codes(await roomy.engine.binder.bind(requests)) == ["bound"] * 20
    assert await bindings(roomy) == 20


async def test_unknown_is_said_of_the_lost_half_only(roomy: World, statement: FaultyStatement) -> None:
    """A bad row makes halves; the connection is lost in the second."""
    statement.plan.extend(["fine", "fine", "lost_before"])
    orders = [order(roomy, n, **({"mode": None} if n == 3 else {})) for n in range(4)]
    outcomes = codes(await roomy.engine.binder.bind_orders(orders))
    assert outcomes == ["bound", "bound", "outcome_unknown", "outcome_unknown"]
    assert await bindings(roomy) == 2


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bind statement stops at an advisory lock, after it has written."""
    sql, tail = stored.SQL["bind"], "\nSELECT slot.binding_id"
    assert sql.count(tail) == 1
    held = sql.replace(tail, f"\nSELECT pg_advisory_xact_lock_shared({GATE})::text, slot.binding_id")
    monkeypatch.setitem(stored.SQL, "bind", held)


async def waiting_pid(world: World) -> int:
    """The session that waits for a lock; asked again until there is one."""
    async with asyncio.timeout(30):
        while True:
            pid = await world.owner.fetchval(
                "SELECT pid FROM pg_locks WHERE NOT granted AND database = "
                "(SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            if pid:
                return int(pid)
            await asyncio.sleep(0)


async def test_a_session_killed_in_the_middle_of_a_batch_leaves_nothing_and_the_repeat_binds_once(
    roomy: World, gated: None
) -> None:
    await roomy.owner.execute("SELECT pg_advisory_lock($1)", GATE)
    requests = [request(f"order-{n}", n) for n in range(50)]
    async with asyncio.TaskGroup() as group:
        batch = group.create_task(roomy.engine.binder.bind(requests))
        await roomy.owner.execute("SELECT pg_terminate_backend($1)", await waiting_pid(roomy))
    assert codes(await batch) == ["store_unavailable"] * 50, "it is known that nothing was written"
    assert await bindings(roomy) == 0
    await roomy.owner.execute("SELECT pg_advisory_unlock($1)", GATE)
    for _ in range(2):
        assert codes(await roomy.engine.binder.bind(requests)) == ["bound"] * 50
        assert await bindings(roomy) == 50


async def test_sessions_killed_while_idle_cost_no_request(roomy: World) -> None:
    await roomy.bind("a", 1)
    await roomy.owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'vnum'")
    outcomes = [codes([await roomy.try_bind("b", 2)])[0] for _ in range(4)]
    assert set(outcomes) <= {"bound", "store_unavailable", "outcome_unknown"}
    assert outcomes[-1] == "bound"
    assert await bindings(roomy) == 2


# What was bound before the trouble stays answered


async def test_trouble_in_the_second_attempt_does_not_unsay_the_first(
    roomy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two orders one gets a stale slot; then PostgreSQL is away: only that one is refused."""
    reads = 0
    before_bind = stored.before_bind

    async def away_the_second_time(*args: Any) -> Any:
        nonlocal reads
        reads += 1
        if reads == 2:
            raise asyncpg.ConnectionDoesNotExistError("gone")
        return await before_bind(*args)

    monkeypatch.setattr(stored, "before_bind", away_the_second_time)
    real = stored.bind

    async def one_slot_stale(*args: Any) -> dict[Any, bool]:
        answer = await real(*args[:-1], args[-1][:1])
        return dict(answer)

    monkeypatch.setattr(stored, "bind", one_slot_stale)
    outcomes = await roomy.engine.binder.bind([request("a", 1), request("b", 2)])
    assert codes(outcomes) == ["bound", "store_unavailable"]


async def test_a_parcel_that_could_not_be_filed_is_not_acknowledged(
    roomy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    filing = FaultyStatement(stored.file_waybills)
    monkeypatch.setattr(stored, "file_waybills", filing)
    one = request("a", 1, parcels=[{"carrier": "sf", "waybill_no": "SF1"}])
    one = msgspec.convert(msgspec.to_builtins(one), type(one))
    filing.plan.append("lost_before")
    assert codes(await roomy.engine.binder.bind([one, request("b", 2)])) == ["outcome_unknown", "bound"]
    assert codes(await roomy.engine.binder.bind([one])) == ["bound"]
    assert await roomy.count("waybills") == 1


@pytest.mark.parametrize("faults", [[fault] * n for fault in STORE_FAULTS for n in (1, 4)], ids=str)
async def test_no_slot_stays_in_flight_whatever_happens(
    bare_world: World, statement: FaultyStatement, faults: list[str]
) -> None:
    """A capped host would lend less and less."""
    await bare_world.merchant()
    await bare_world.host(max_live=1)
    statement.plan.extend(faults)
    await bare_world.try_bind("a", 1)
    statement.plan.clear()
    if await bindings(bare_world) == 0:
        assert codes([await bare_world.try_bind("b", 2)]) == ["bound"]
    assert bare_world.engine.supply._in_flight[HOST] == set()


async def test_a_request_cut_off_in_the_middle_leaves_no_slot_in_flight(
    bare_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(*_: Any) -> Any:
        raise asyncio.CancelledError

    await bare_world.merchant()
    await bare_world.host(max_live=1)
    monkeypatch.setattr(stored, "bind", cut_off)
    with pytest.raises(asyncio.CancelledError):
        await bare_world.try_bind("a")
    monkeypatch.undo()
    await bare_world.bind("a")
