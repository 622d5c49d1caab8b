"""A close against writers and against itself. Nothing here waits for time to pass, only for events."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing import drain
from billing.errors import CloseBlocked, PeriodOutOfOrder

GATE = 7_101  # an advisory lock at which a writer's statement stops, after its snapshot was taken

TEMPORARY_TABLES = "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"

WRITE_CALL_BEHIND_GATE = """
WITH gate AS MATERIALIZED (SELECT pg_advisory_xact_lock(7101))
INSERT INTO usage_calls
SELECT $1, $2, $3, $4, $5::timestamptz, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,
    EXISTS (SELECT 1 FROM periods p WHERE p.merchant_id = $1 AND p.ends_at > $5::timestamptz)
FROM gate
"""


@pytest.fixture
def drained(monkeypatch: pytest.MonkeyPatch) -> "asyncio.Queue[set[str]]":
    """What the close found to be in progress, each time it looked."""
    looks: asyncio.Queue[set[str]] = asyncio.Queue()
    listed = drain._listed

    async def recorded(connection: Any, kind: str) -> set[str]:
        found = await listed(connection, kind)
        looks.put_nowait(found)
        return found

    monkeypatch.setattr(drain, "_listed", recorded)
    return looks


async def until_waiting_for(looks: "asyncio.Queue[set[str]]", pid: int) -> None:
    """Until the close has looked twice at that session and still sees it."""
    seen = 0
    while seen < 2:
        async with asyncio.timeout(60):
            found = await looks.get()
        seen += any(name.endswith(f" of process {pid}") for name in found)


async def until(query: str, connection: Any, *args: object) -> None:
    """Until a query says true; it is asked again and again, at most for a minute."""
    async with asyncio.timeout(60):
        while not await connection.fetchval(query, *args):  # noqa: ASYNC110 (it happens in the database)
            await asyncio.sleep(0)


async def start_writer(world: Any, connect: Callable[..., Any]) -> tuple[Any, Any, "asyncio.Task[str]"]:
    """A writer whose statement holds a snapshot from before the mark, and no transaction id yet."""
    gate, writer = await connect(owner=True), await connect()
    await gate.execute("SELECT pg_advisory_lock($1)", GATE)
    row = await world.call_row("m", "2026-10-31 23:59:00", "2026-10-31 23:59:59", "in flight")
    task = asyncio.create_task(writer.execute(WRITE_CALL_BEHIND_GATE, *row))
    pid = writer.get_server_pid()
    await until(
        "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE pid = $1 AND locktype = 'advisory' AND NOT granted)",
        world.owner, pid,
    )  # fmt: skip
    state = await world.owner.fetchrow("SELECT backend_xid, backend_xmin FROM pg_stat_activity WHERE pid = $1", pid)
    assert state["backend_xid"] is None  # pg_current_snapshot's xmin would not wait for it
    assert state["backend_xmin"] is not None
    return gate, writer, task


async def test_a_statement_with_an_old_snapshot_and_no_xid_is_waited_for(
    world: Any, connect: Callable[..., Any], drained: "asyncio.Queue[set[str]]"
) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    gate, writer, task = await start_writer(world, connect)
    closing = asyncio.create_task(world.close("2026-10"))
    await until_waiting_for(drained, writer.get_server_pid())
    assert await world.owner.fetchval("SELECT count(*) FROM periods") == 1  # marked, and not closed
    assert not closing.done()

    await gate.execute("SELECT pg_advisory_unlock($1)", GATE)
    await task
    await closing
    assert await world.owner.fetchval("SELECT late FROM usage_calls") is False
    assert await world.dues() == {"m 2026-10": ("0.02", "0.02", "0")}


async def test_without_the_wait_that_call_would_never_be_billed(
    world: Any, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary: the test above can fail."""
    await world.account("m", opened="2026-10-01 00:00")
    gate, _, task = await start_writer(world, connect)

    async def no_drain(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("billing.close.drain", no_drain)
    await world.close("2026-10")
    await gate.execute("SELECT pg_advisory_unlock($1)", GATE)
    await task
    monkeypatch.undo()
    await world.close("2026-11")
    assert await world.owner.fetchval("SELECT late FROM usage_calls") is False
    assert await world.invoices() == []


async def test_a_transaction_that_wrote_and_did_not_commit_yet_is_waited_for(
    world: Any, connect: Callable[..., Any], drained: "asyncio.Queue[set[str]]"
) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    writer = await connect()
    transaction = writer.transaction()
    await transaction.start()
    bound, ended = world.at("2026-10-30 12:00"), world.at("2026-11-29 12:00")
    await writer.execute("INSERT INTO usage_rentals VALUES ('m', 'order', gen_random_uuid(), $1, $2)", bound, ended)
    closing = asyncio.create_task(world.close("2026-10"))
    await until_waiting_for(drained, writer.get_server_pid())
    await transaction.commit()
    await closing
    assert await world.dues() == {"m 2026-10": ("0.00036", "0.00", "0.00036")}


async def test_what_begins_after_the_mark_is_late_and_not_waited_for(
    world: Any, connect: Callable[..., Any], drained: "asyncio.Queue[set[str]]"
) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    old, young = await connect(), await connect()
    row = await world.call_row("m", "2026-10-31 23:59:00", "2026-10-31 23:59:59", "after the mark")
    async with old.transaction():
        await old.fetchval("SELECT 1")
        closing = asyncio.create_task(world.close("2026-10"))
        await until_waiting_for(drained, old.get_server_pid())
        transaction = young.transaction()
        await transaction.start()
        await young.execute(
            "INSERT INTO usage_calls SELECT $1, $2, $3, $4, $5::timestamptz, $6, $7, $8, $9, $10, $11, $12, $13, $14, "
            "$15, "
            "EXISTS (SELECT 1 FROM periods p WHERE p.merchant_id = $1 AND p.ends_at > $5::timestamptz)",
            *row,
        )
    await closing  # although the young one is still open
    await transaction.commit()
    assert await world.invoices() == []
    await world.close("2026-11")
    (invoice,) = await world.invoices()
    assert (str(invoice.period), invoice.late_count, invoice.total_exact) == ("2026-11", 1, Decimal("0.02"))


async def test_a_transaction_that_does_not_end_refuses_the_close(world: Any, connect: Callable[..., Any]) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    await world.rental("m", "2026-10-30 12:00", "2026-10-31 12:00")
    reader = await connect(owner=True)  # another role's transactions are seen as well
    async with reader.transaction():
        await reader.fetchval("SELECT 1")
        with pytest.raises(CloseBlocked, match=f"of process {reader.get_server_pid()}") as refused:
            await world.close("2026-10", patience=timedelta(0))
        assert refused.value.code == "close_blocked"
    assert await world.invoices() == []
    assert (await world.close("2026-10")).invoices_made == 1


async def test_closes_at_once_make_each_invoice_once(world: Any) -> None:
    merchants = [f"m{n:02}" for n in range(20)]
    for merchant in merchants:
        await world.account(merchant)
        await world.call(merchant, "2026-01-01 00:00:00", "2026-01-01 00:00:01")
    closes = [
        world.close("2026-01", chunk_merchants=3),
        world.close("2026-01", chunk_merchants=7),
        world.close("2026-01", merchant_id="m13"),
        world.close("2026-01", merchant_id="m02"),
    ]
    reports = await asyncio.gather(*closes)
    invoices = await world.invoices()
    assert [invoice.buyer.merchant_id for invoice in invoices] == merchants
    assert sorted(invoice.serial.serial for invoice in invoices) == list(range(1, 21))
    assert sum(report.invoices_made for report in reports) == 20
    assert {report.invoices for report in reports[:2]} == {20}


async def test_a_cancelled_close_leaves_no_lock_behind(
    world: Any, connect: Callable[..., Any], drained: "asyncio.Queue[set[str]]"
) -> None:
    await world.account("m", opened="2026-10-01 00:00")
    await world.rental("m", "2026-10-30 12:00", "2026-10-31 12:00")
    other = await connect()
    async with other.transaction():
        await other.fetchval("SELECT 1")
        closing = asyncio.create_task(world.close("2026-10"))
        await until_waiting_for(drained, other.get_server_pid())
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
    async with asyncio.timeout(60):
        assert (await world.close("2026-10")).invoices_made == 1


async def test_a_close_leaves_its_session_as_it_was(world: Any) -> None:
    """Lent back to the pool without lock, tables and lifted limits, also after a refusal."""
    await world.account("m", opened="2026-10-01 00:00")
    await world.close("2026-10")
    with pytest.raises(PeriodOutOfOrder):
        await world.close("2026-12")
    async with world.pool.acquire() as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "30s"
        assert await connection.fetchval("SHOW work_mem") == await world.owner.fetchval("SHOW work_mem")
        assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
        assert await connection.fetchval(TEMPORARY_TABLES) == 0
    await world.close("2026-11")
    assert (await world.close("2026-12")).merchants == 1
