"""Retention: what is past its term is gone, key and all; what money rests on stays, and comes to the same invoice."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from tests.engines import DAY, World, connect_owner, open_world, phone
from vnum.finance import OfPeriod, Period, export_csv
from vnum.model.lifecycle import EventType
from vnum.model.retention import Keep, after
from vnum.servers import Endpoints
from vnum.service import retention as service
from vnum.service.call_record import CallRecord
from vnum.service.clock import ManualClock
from vnum.service.labels import LabelItem, Reader
from vnum.service.notes import NewRerating
from vnum.service.order_events import NewEvent
from vnum.service.records import Status
from vnum.service.retention import Retention
from vnum.store import retention as stored
from vnum.store.migrate import drop, migrate

CALLER = "13700000009"
BEGIN = datetime(2012, 3, 5, 4, tzinfo=UTC)
SCHEMA = "retention"
LEFT = """
SELECT (SELECT count(*) FROM bindings WHERE num_nonnulls(recipient, recipient_hash, recipient_name) > 0) AS phones,
       (SELECT count(*) FROM orders WHERE recipient_hash IS NOT NULL) AS orders,
       (SELECT count(*) FROM calls WHERE num_nonnulls(caller, caller_hash) > 0) AS callers,
       (SELECT count(*) FROM call_keys WHERE content <> '') AS contents,
       (SELECT count(*) FROM call_reviews WHERE record IS NOT NULL) AS records
"""


@pytest.fixture
async def old(endpoints: Endpoints, tmp_path: Path) -> AsyncIterator[World]:
    """A service that began in March 2012: long enough ago for everything to come to its end by the real clock too."""
    await migrate(endpoints.postgres_admin_dsn, SCHEMA)
    owner = await connect_owner(endpoints, SCHEMA)
    try:
        async with open_world(endpoints, SCHEMA, tmp_path, clock=ManualClock(BEGIN), wipe=False) as world:
            await world.merchant()
            await world.host(ext_digits=2)
            yield world
    finally:
        await owner.close()
        await drop(endpoints.postgres_admin_dsn, SCHEMA)


async def march(world: World) -> None:
    """A binding of 30 days with two calls, one of 10 days with a name; and a record that is not taken."""
    long = await world.bind("long", 1)
    await world.bind("short", 2, ttl_days=10, recipient_name="张三")
    world.pass_time(DAY)
    at = world.now
    good = [
        CallRecord(
            call_id=f"c{n}",
            host=long.host,
            extension=long.extension,
            caller=CALLER,
            call_time=at,
            answer_time=at,
            release_time=at + timedelta(seconds=61),
        )
        for n in range(2)
    ]
    bad = CallRecord(call_id="bad", host="18499999999", caller=CALLER, call_time=at, release_time=at)
    statuses = [one.status for one in await world.engine.records.report([*good, bad])]
    assert statuses == [Status.RATED, Status.RATED, Status.REJECTED]


async def left(world: World) -> dict[str, int]:
    return dict(await world.owner.fetchrow(LEFT))


async def go_to(world: World, year: int, month: int, day: int = 1) -> None:
    """Without anything being forgotten on the way, but with its partitions."""
    assert world.clock is not None
    world.clock.instant = datetime(year, month, day, tzinfo=UTC)
    await world.owner.execute("SELECT ensure_months($1, $1)", world.now)


async def bill(world: World, period: str) -> bytes:
    async with aclosing(export_csv(world.engine.database, OfPeriod(period=Period.parse(period)))) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_nothing_is_forgotten_before_its_term(old: World) -> None:
    await march(old)
    before = await left(old)
    assert before == {"phones": 2, "orders": 2, "callers": 2, "contents": 2, "records": 1}
    await go_to(old, 2012, 9, 29)  # 182 days after March, and 178 after the long binding's end
    done = await old.engine.retention.run()
    assert (done.calls_emptied, done.keys_destroyed, await left(old)) == ([], [], before)


async def test_callers_go_first_and_phones_when_the_last_binding_is_past_its_term(old: World) -> None:
    await march(old)
    await go_to(old, 2012, 10, 1)  # the long binding ended on 4 April: its term ends on 4 October
    done = await old.engine.retention.run()
    assert (done.calls_emptied, done.keys_destroyed) == (["2012-03"], [])
    assert await left(old) == {"phones": 2, "orders": 2, "callers": 0, "contents": 0, "records": 0}
    await go_to(old, 2012, 10, 5)
    done = await old.engine.retention.run()
    assert (done.keys_destroyed, done.phones_emptied) == (["2012-03"], ["2012-03"])
    assert sum((await left(old)).values()) == 0
    key = await old.owner.fetchrow("SELECT wrapped, destroyed_at FROM data_keys WHERE month = '2012-03-01'")
    assert tuple(key) == (None, old.now)
    again = await old.engine.retention.run()
    assert (again.calls_emptied, again.keys_destroyed, again.phones_emptied, again.rows_dropped) == ([], [], [], [])


async def test_an_extended_binding_keeps_its_month(old: World) -> None:
    await march(old)
    binding = await old.owner.fetchval("SELECT binding_id FROM bindings WHERE order_id = 'long'")
    await old.engine.lifetime.extend(binding, 30)
    await go_to(old, 2012, 10, 5)
    assert (await old.engine.retention.run()).keys_destroyed == []
    await go_to(old, 2012, 11, 5)
    assert "2012-03" in (await old.engine.retention.run()).keys_destroyed


async def test_the_bill_comes_to_the_same_when_nobody_is_named_any_more(old: World) -> None:
    await march(old)
    await go_to(old, 2012, 5, 1)
    for period in ("2012-03", "2012-04"):
        await old.engine.invoices.close(period)
    bills = {period: await bill(old, period) for period in ("2012-03", "2012-04")}
    assert len(bills["2012-03"].splitlines()) == 1 + 27 + 10 + 2
    await go_to(old, 2013, 3, 1)
    assert "2012-03" in (await old.engine.retention.run()).phones_emptied
    for period, text in bills.items():
        assert await bill(old, period) == text
        again = await old.engine.notes.rerate(NewRerating(period=period, reason="checked", dry_run=True), "ann")
        assert again.found == [], "nothing differs from what was charged"


async def test_an_order_whose_recipient_is_gone_is_bound_anew_by_its_phone_only(old: World) -> None:
    await march(old)
    await go_to(old, 2013, 3, 1)
    await old.engine.retention.run()
    (label,) = await old.engine.labels.current([LabelItem(merchant_id="m", order_id="long")], reissue=True)
    assert getattr(label, "code", None) == "recipient_erased"
    assert (await old.bind("long", 1)).order_id == "long"


async def test_a_record_that_comes_after_its_term_is_charged_without_its_caller(old: World) -> None:
    await march(old)
    binding = await old.owner.fetchrow("SELECT host, extension, binding_id FROM bindings WHERE order_id = 'long'")
    await go_to(old, 2013, 3, 1)
    await old.engine.retention.run()
    at = BEGIN + 2 * DAY
    late = CallRecord(
        call_id="late",
        host=binding["host"],
        binding_id=binding["binding_id"],
        caller=CALLER,
        call_time=at,
        answer_time=at,
        release_time=at + timedelta(seconds=1),
    )
    (result,) = await old.engine.records.report([late])
    assert (result.status, result.minutes) == (Status.RATED, 1)
    assert (await left(old))["callers"] == 0
    (again,) = await old.engine.records.report([late])
    assert again.status is Status.CONFLICT, "kept for review, and not charged twice"


async def test_a_key_that_is_gone_seals_nothing_of_a_worker_that_still_has_it(old: World) -> None:
    """It has not read the keys again, and takes a record of a month that has just ended."""
    await march(old)
    binding = await old.owner.fetchrow("SELECT host, binding_id FROM bindings WHERE order_id = 'long'")
    await old.owner.execute(
        "UPDATE data_keys SET wrapped = NULL, destroyed_at = '2012-03-07+00' WHERE month = '2012-03-01'"
    )
    call = CallRecord(
        call_id="late",
        host=binding["host"],
        binding_id=binding["binding_id"],
        caller=CALLER,
        call_time=old.now,
        answer_time=old.now,
        release_time=old.now + timedelta(seconds=1),
    )
    (result,) = await old.engine.records.report([call])
    assert result.status is Status.RATED
    row = await old.owner.fetchrow("SELECT caller, caller_hash FROM calls WHERE call_id = 'late'")
    assert tuple(row) == (None, None)


LOGS = """
SELECT (SELECT count(*) FROM prints), (SELECT count(*) FROM order_events), (SELECT count(*) FROM recipient_changes)
"""


async def a_log(world: World, order_id: str, number: int) -> None:
    """A print, an event and a change of the recipient."""
    binding = await world.bind(order_id, number)
    await world.engine.prints.label("m", order_id, "json", Reader(prints=True))
    await world.engine.lifecycle.tell("m", order_id, NewEvent(type=EventType.SHIPPED))
    await world.engine.recipients.change(binding.binding_id, phone(number + 1), "moved")


async def test_what_was_printed_and_told_goes_with_the_logs(old: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SLICE", 1)
    for n in range(3):
        await a_log(old, f"o{n}", 10 * n + 1)
    term = timedelta(days=Keep().logs_days)
    await go_to(old, 2012, 4, 20)
    again = await old.bind("o0", 2)
    await old.engine.lifetime.extend(again.binding_id, 30)
    old.pass_time(BEGIN + term - old.now - DAY)
    done = await old.engine.retention.run()
    assert (done.prints, done.order_events, done.recipient_changes) == (0, 0, 0)
    old.pass_time(2 * DAY)
    done = await old.engine.retention.run()
    assert (done.prints, done.order_events, done.recipient_changes) == (3, 0, 3)
    assert tuple(await old.owner.fetchrow(LOGS)) == (0, 3, 0), "the orders had numbers since then"
    old.pass_time(30 * DAY)
    assert (await old.engine.retention.run()).order_events == 2, "all but the one that was bound again"
    old.pass_time(90 * DAY)
    assert (await old.engine.retention.run()).order_events == 1


async def test_terms_of_calls_and_logs_are_settings(old: World) -> None:
    binding = await old.bind("a")
    await a_log(old, "b", 3)
    await old.engine.lifetime.release(binding.binding_id, "x")
    assert (await old.dial(binding)).code
    assert await old.count("call_attempts") == 1
    keep = Keep(calls_days=10, logs_days=200)
    short = Retention(old.engine.database, old.engine.vault, old.clock, 1, keep)  # type: ignore[arg-type]
    old.pass_time(10 * DAY - timedelta(hours=1))
    assert (await short.run()).attempts == 0
    old.pass_time(timedelta(hours=2))
    assert (await short.run()).attempts == 1
    old.pass_time(190 * DAY)
    assert (await short.run()).prints == 1


async def test_the_application_can_not_forget_what_was_printed_of_late(old: World) -> None:
    """By the database's own clock, whatever the application takes for the time."""
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await stored.forget_logs(old.engine.database, 0, datetime(9999, 1, 1, tzinfo=UTC), 1)


async def test_a_run_that_broke_off_is_finished_by_the_next(old: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await march(old)
    await go_to(old, 2013, 3, 1)

    async def dies(*_: object) -> None:
        raise ConnectionError

    for name in ("empty_calls", "calls_emptied", "destroy_key", "empty_bindings", "bindings_emptied"):
        with monkeypatch.context() as patch:
            patch.setattr(stored, name, dies)
            with pytest.raises(ConnectionError):
                await old.engine.retention.run()
    await old.engine.retention.run()
    assert sum((await left(old)).values()) == 0
    entries = await old.owner.fetch("SELECT did FROM audit_entries WHERE did LIKE 'month.%' AND subjects = '{2012-03}'")
    assert sorted(row["did"] for row in entries) == [
        "month.calls_emptied",
        "month.key_destroyed",
        "month.phones_emptied",
    ]


async def test_a_month_from_before_data_keys_is_emptied_as_well(old: World) -> None:
    """The standing key sealed it, and stays; the month gets no key of its own any more."""
    await march(old)
    await old.owner.execute("DELETE FROM data_keys WHERE month = '2012-03-01'")
    await go_to(old, 2013, 3, 1)
    await old.engine.retention.run()
    assert sum((await left(old)).values()) == 0
    assert await old.count("data_keys WHERE month = '2012-03-01' AND wrapped IS NULL") == 1
    assert await old.count("data_keys WHERE purpose = 'standing' AND wrapped IS NOT NULL") == 1


async def test_rows_are_dropped_when_invoices_need_them_no_more(old: World) -> None:
    await march(old)
    await go_to(old, 2012, 5, 1)
    for period in ("2012-03", "2012-04"):
        await old.engine.invoices.close(period)
    await go_to(old, 2022, 9, 1)
    await old.engine.retention.run()
    assert (await old.engine.retention.run()).rows_dropped == []
    assert await old.count("bindings") == 2
    await go_to(old, 2022, 10, 1)  # ten years and half a year after March
    assert (await old.engine.retention.run()).rows_dropped == ["2012-03"]
    assert (await old.count("bindings"), await old.count("calls")) == (0, 0)
    shown = next(month for month in (await old.engine.retention.shown()).months if month.month == "2012-03")
    assert shown.rows_dropped_at == old.now
    assert (await old.engine.retention.run()).rows_dropped == []


async def test_rows_that_are_not_billed_yet_are_not_dropped(old: World) -> None:
    await march(old)
    await go_to(old, 2022, 10, 1)
    await old.engine.retention.run()
    assert (await old.engine.retention.run()).rows_dropped == []
    assert await old.count("bindings") == 2


async def test_a_slot_keeps_its_tombstone(old: World) -> None:
    await old.host("18400000001", quarantine_days=None, ext_digits=2, city="X")
    await old.bind("never", 5, city="X", city_strict=True)
    await go_to(old, 2013, 3, 1)
    before = await old.owner.fetch("SELECT * FROM slots ORDER BY host, extension")
    await old.engine.retention.run()
    assert await old.owner.fetch("SELECT * FROM slots ORDER BY host, extension") == before


async def test_the_care_of_the_pool_does_it_once_a_day(old: World) -> None:
    await march(old)
    await go_to(old, 2013, 3, 1)
    await old.engine.care.tend()
    assert sum((await left(old)).values()) == 0


async def test_what_is_kept_until_when_is_shown(old: World) -> None:
    retained = await old.engine.retention.shown()
    first = retained.months[0]
    assert (retained.keep, first.month) == (Keep(), "2012-03")
    assert first.calls_until == after(date(2012, 3, 1)) + 183 * DAY
    assert first.phones_until == after(date(2012, 3, 1)) + (180 + 183) * DAY
    assert first.rows_until == after(date(2012, 3, 1)) + (180 + 3_653) * DAY
    assert (first.calls_emptied_at, first.key_destroyed_at, first.rows_dropped_at) == (None, None, None)


@pytest.mark.parametrize(
    ("month", "end"),
    [((2026, 1), (2026, 2)), ((2026, 11), (2026, 12)), ((2026, 12), (2027, 1)), ((2024, 2), (2024, 3))],
)
def test_the_end_of_a_month(month: tuple[int, int], end: tuple[int, int]) -> None:
    assert after(date(*month, 1)) == datetime(*end, 1, tzinfo=UTC)
