"""A carrier's file against ours: what agrees, what is missing on which side, what differs, and what it comes to."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.engines import DAY, HOST, START, World
from vnum.carrier import CallFile, zone_named
from vnum.model.bindings import Binding
from vnum.model.refusals import Code, Refused, UnusableFile
from vnum.service.differences import COLUMNS, Difference, Kind, Report, csv_pieces
from vnum.service.reconcile import Terms
from vnum.service.records import CallRecord, Status
from vnum.service.tariffs import NewTariff

SECOND = timedelta(seconds=1)
CALLER = "13800000000"
HEAD = (
    "call_id",
    "host",
    "extension",
    "caller",
    "call_time",
    "answer_time",
    "release_time",
    "seconds",
    "minutes",
    "cost",
)
DIALLED = START + timedelta(hours=1)

Row = dict[str, Any]


def row(call_id: str, binding: Binding, seconds: int | None = 61, **changed: Any) -> Row:
    """A call an hour after the binding; seconds None = nobody answered."""
    answered = None if seconds is None else DIALLED + 9 * SECOND
    call = {
        "call_id": call_id,
        "host": binding.host,
        "extension": binding.extension,
        "caller": CALLER,
        "call_time": DIALLED,
        "answer_time": answered,
        "release_time": DIALLED + (30 if seconds is None else 9 + seconds) * SECOND,
    }
    return call | changed


def shifted(one: Row, by: timedelta) -> Row:
    return {name: value + by if isinstance(value, datetime) else value for name, value in one.items()}


def file_of(*rows: Row) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, HEAD, restval="")
    writer.writeheader()
    for one in rows:
        writer.writerow({name: "" if value is None else value for name, value in one.items()})
    return buffer.getvalue().encode()


async def pieces(data: bytes, size: int = 1_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def charge(world: World, *rows: Row) -> None:
    """These are our calls."""
    reported = await world.engine.records.report([CallRecord(**one) for one in rows])
    assert {one.status for one in reported} == {Status.RATED}, reported


async def reconcile(world: World, data: bytes, **terms: Any) -> tuple[Report, list[Difference]]:
    file = CallFile()
    async with world.engine.reconciler.run(file, pieces(data), Terms.of(**terms)) as found:
        return found.report, [difference async for difference in found.differences()]


def told(differences: list[Difference]) -> dict[str | None, list[str]]:
    return {one.call_id: one.kinds for one in differences}


@pytest.fixture
async def lent(world: World) -> Binding:
    """A binding, and a clock a month later."""
    binding = await world.bind("a")
    world.pass_time(30 * DAY)
    return binding


async def test_what_agrees(world: World, lent: Binding) -> None:
    calls = [row("a", lent), row("b", lent, None), row("c", lent, 0), row("d", lent, 3_600)]
    await charge(world, *calls)
    report, differences = await reconcile(world, file_of(*calls))
    assert differences == []
    assert report.agrees
    assert (report.matched, report.rows, report.outside) == (4, 4, 0)
    assert (report.ours.calls, report.ours.answered, report.ours.seconds, report.ours.minutes) == (4, 2, 3_661, 62)
    assert (report.theirs.calls, report.theirs.seconds, report.theirs.minutes) == (4, 3_661, 62)
    assert report.ours.charged == report.theirs.at_our_rates == Decimal("1.24")
    assert report.theirs.fee is None


async def test_an_unanswered_call_whose_answer_is_its_release(world: World, lent: Binding) -> None:
    """0 s on both sides, though the carrier dates it by another instant."""
    ours = row("a", lent, None)
    await charge(world, ours)
    report, _ = await reconcile(world, file_of(ours | {"answer_time": ours["release_time"]}))
    assert report.agrees


async def test_every_difference_is_named(world: World, lent: Binding) -> None:
    names = ("same", "longer", "party", "both", "ours", "drift")
    await charge(world, *(row(name, lent) for name in names))
    report, differences = await reconcile(
        world,
        file_of(
            row("same", lent),
            row("longer", lent, 121),
            row("party", lent, caller="13911112222"),
            row("both", lent, 30, extension="0", host="18400913999"),
            shifted(row("drift", lent), timedelta(hours=8)),
            row("theirs", lent, 10),
            row("same", lent),
            row("broken", lent) | {"call_time": "soon"},
        ),
        from_at=START,
        to_at=START + DAY,
    )
    assert told(differences) == {
        "longer": ["different_seconds"],
        "party": ["different_parties"],
        "both": ["different_seconds", "different_parties"],
        "drift": ["different_time"],
        "theirs": ["missing_here"],
        "same": ["duplicate_call_id"],
        "ours": ["missing_there"],
        None: ["unreadable"],
    }
    assert report.matched == 1
    assert report.counts == {
        Kind.MISSING_HERE: 1,
        Kind.MISSING_THERE: 1,
        Kind.DIFFERENT_SECONDS: 2,
        Kind.DIFFERENT_MINUTES: 0,
        Kind.DIFFERENT_PARTIES: 2,
        Kind.DIFFERENT_TIME: 1,
        Kind.DUPLICATE_CALL_ID: 1,
        Kind.UNREADABLE: 1,
    }
    notes = {one.call_id: one.note for one in differences}
    assert (notes["party"], notes["both"], notes["theirs"]) == ("caller", "host, extension", "no record came")
    assert "call_time is not a time" in (notes[None] or "")
    lines = {one.call_id: one.line for one in differences}
    assert (lines["longer"], lines["same"], lines[None], lines["ours"]) == (3, 8, 9, None)


async def test_the_carriers_seconds_at_our_rates(world: World, lent: Binding) -> None:
    """A call that we have costs what our own cost for as many seconds; a missing one what its binding's tariff says."""
    await charge(world, row("a", lent, 61))
    report, differences = await reconcile(
        world, file_of(row("a", lent, 200, cost="0.5"), row("b", lent, 60), row("c", lent, 1, host="18400913999"))
    )
    assert {one.call_id: one.their_cost_at_our_rates for one in differences} == {
        "a": Decimal("0.08"),
        "b": Decimal("0.02"),
        "c": Decimal("0.02"),
    }
    assert report.theirs.at_our_rates == Decimal("0.12")
    assert report.ours.charged == Decimal("0.04")
    assert (report.theirs.fee, report.theirs.fees) == (Decimal("0.5"), 1)
    known = {one.call_id: (one.merchant_id, one.order_id, one.binding_id) for one in differences}
    assert known["b"] == ("m", "a", lent.binding_id)
    assert known["c"] == (None, None, None)


async def test_a_missing_call_is_priced_by_the_tariff_that_its_merchant_pays_then(world: World, lent: Binding) -> None:
    """By the version in force at its answer, whatever came later."""
    tariffs = world.engine.tariffs
    changed = world.now + 2 * DAY
    for tariff, from_at, minute in (("dear", changed, "0.5"), ("dear", changed + DAY, "0.7")):
        prices = {
            "tariff_id": tariff,
            "effective_from": from_at,
            "rental": {"model": "started_day", "rate": "0.00018"},
            "calls": {"model": "increments", "minute": minute},
        }
        await tariffs.add(msgspec.convert(prices, NewTariff, strict=False), "test")
    await tariffs.assign("m", "dear", changed, "test")
    binding = await world.bind("b", 2)
    world.pass_time(6 * DAY)
    before, then, later = (at - 9 * SECOND for at in (changed - SECOND, changed, changed + DAY))
    rows = (
        shifted(row(name, binding), at - DIALLED) for name, at in (("before", before), ("then", then), ("later", later))
    )
    _, differences = await reconcile(world, file_of(*rows))
    assert {one.call_id: str(one.their_cost_at_our_rates) for one in differences} == {
        "before": "0.04",
        "then": "1.0",
        "later": "1.4",
    }


async def test_why_a_call_is_missing_here(world: World, lent: Binding) -> None:
    await charge(world, row("elsewhere", lent))
    await world.engine.records.report([CallRecord(**row("refused", lent, caller="abc"))])
    _, differences = await reconcile(
        world,
        file_of(
            shifted(row("elsewhere", lent), 3 * DAY),
            shifted(row("refused", lent), 3 * DAY),
            shifted(row("late", lent), 40 * DAY),
            shifted(row("unheld", lent, extension="9" if lent.extension != "9" else "8"), 3 * DAY),
            shifted(row("stranger", lent, None, host="18400913999"), 3 * DAY),
        ),
    )
    assert {one.call_id: one.note for one in differences} == {
        "elsewhere": "charged here under another date",
        "refused": "rejected here: invalid_caller",
        "late": "no binding held this number",
        "unheld": "no binding held this number",
        "stranger": "the host is not registered",
    }


@pytest.mark.parametrize(("tolerance_s", "agrees"), [(0, False), (1, False), (2, True), (3, True)])
async def test_the_tolerance(world: World, lent: Binding, tolerance_s: int, agrees: bool) -> None:
    await charge(world, row("a", lent, 60), row("b", lent, 60))
    data = file_of(row("a", lent, 62), row("b", lent, 58))
    report, _ = await reconcile(world, data, tolerance_s=tolerance_s)
    assert report.agrees is agrees
    assert report.theirs.at_our_rates == Decimal("0.06"), "a tolerated difference is money all the same"


async def test_what_the_carrier_counts_is_believed_before_its_times(world: World, lent: Binding) -> None:
    await charge(world, row("a", lent, 60), row("b", lent, 60))
    report, differences = await reconcile(
        world, file_of(row("a", lent, 60) | {"seconds": 59, "minutes": 1}, row("b", lent, 60) | {"minutes": 2})
    )
    assert told(differences) == {"a": ["different_seconds"], "b": ["different_minutes"]}
    assert (report.theirs.seconds, report.theirs.minutes) == (119, 3)


async def test_the_window_is_half_open_and_by_the_calls_date(world: World, lent: Binding) -> None:
    """Our calls beyond it are not asked for; a call that the two date to different sides of an edge finds its half."""
    edge = DIALLED + 9 * SECOND
    before, at, after = (
        shifted(row(name, lent), by * SECOND) for name, by in (("before", -1), ("at", 0), ("after", 1))
    )
    await charge(world, before, at, after)
    report, differences = await reconcile(world, file_of(), from_at=edge - 5 * SECOND, to_at=edge)
    assert told(differences) == {"before": ["missing_there"]}
    report, differences = await reconcile(world, file_of(), from_at=edge, to_at=edge + SECOND)
    assert told(differences) == {"at": ["missing_there"]}
    skewed = file_of(shifted(at, -2 * SECOND))
    report, differences = await reconcile(world, skewed, from_at=edge, to_at=edge + SECOND)
    assert report.agrees
    report, differences = await reconcile(world, file_of(before, at, after), from_at=edge, to_at=edge + SECOND)
    assert report.agrees
    assert (report.matched, report.outside) == (1, 2)
    assert report.rows == 3


async def test_without_a_window_the_files_own_span_counts(world: World, lent: Binding) -> None:
    calls = [shifted(row(f"c{n}", lent), n * DAY) for n in range(5)]
    await charge(world, *calls)
    report, differences = await reconcile(world, file_of(calls[1], calls[3]))
    assert told(differences) == {"c2": ["missing_there"]}
    assert (report.from_at, report.to_at) == (calls[1]["answer_time"], calls[3]["answer_time"] + SECOND)


async def test_a_month_by_shanghai(world: World, lent: Binding) -> None:
    last = row("last", lent) | {
        "call_time": datetime.fromisoformat("2026-10-31T23:59:50+08:00"),
        "answer_time": datetime.fromisoformat("2026-10-31T23:59:59+08:00"),
        "release_time": datetime.fromisoformat("2026-11-01T00:05:00+08:00"),
    }
    next_ = shifted(last, SECOND) | {"call_id": "next"}
    await charge(world, last, next_)
    report, differences = await reconcile(world, file_of(), period="2026-10")
    assert told(differences) == {"last": ["missing_there"]}
    assert report.to_at.isoformat() == "2026-10-31T16:00:00+00:00"


async def test_other_carriers_hosts_are_not_asked_for(world: World) -> None:
    """A file of one carrier says nothing of the calls on another's hosts."""
    await world.host("18400913970", carrier="cmcc", city="c")
    await world.host("18400913971", carrier="cmcc", city="c")
    await world.host("18400913972", carrier="cucc", city="u")
    mine = [await world.bind(f"c{n}", n, city="c", city_strict=True) for n in range(1, 13)]
    other = await world.bind("u", 30, city="u", city_strict=True)
    assert {binding.host for binding in mine} == {"18400913970", "18400913971"}
    world.pass_time(2 * DAY)
    calls = [row(f"call-{n}", binding) for n, binding in enumerate([*mine, other])]
    await charge(world, *calls)
    first = calls[0]["host"]
    in_file = [one for one in calls[:-1] if one["host"] == first]
    report, differences = await reconcile(world, file_of(*in_file))
    assert {one.our_host for one in differences} == {"18400913970", "18400913971"} - {first}
    report, _ = await reconcile(world, file_of(*calls[:-1]), carrier="cmcc")
    assert report.agrees
    report, differences = await reconcile(world, file_of(*calls[:-1]), carrier="cucc")
    assert told(differences) == {f"call-{len(mine)}": ["missing_there"]}
    with pytest.raises(Refused) as refused:
        await reconcile(world, file_of(), carrier="nobody")
    assert refused.value.refusal.code is Code.INVALID_REQUEST


async def test_hosts_and_callers_as_carriers_write_them(world: World, lent: Binding) -> None:
    await charge(world, row("a", lent), row("b", lent), row("c", lent))
    report, _ = await reconcile(
        world,
        file_of(
            row("a", lent, host="+8618400913965", caller="0086 138 0000 0000"),
            row("b", lent, caller="138****0000", extension=""),
            row("c", lent, caller=""),
        ),
    )
    assert report.agrees
    assert report.callers_not_compared == 2


async def test_no_phone_is_shown_or_kept(world: World, lent: Binding) -> None:
    """Also not one that stands where a host or an extension should, as when two columns changed places."""
    phone = "13511112222"
    await charge(world, row("a", lent))
    file = CallFile()
    data = file_of(row("a", lent, host=phone, extension=phone, caller=HOST), row("b", lent, caller=phone))
    async with world.engine.reconciler.run(file, pieces(data), Terms()) as found:
        written = b"".join([piece async for piece in csv_pieces(found.differences())]).decode()
        session = found._session._connection
        staged = await session.fetch("SELECT t::text FROM file_calls t UNION ALL SELECT t::text FROM call_pairs t")
    for text in (written, *(record[0] for record in staged)):
        assert phone not in text
        assert CALLER not in text
    assert "host, extension, caller" in written


async def test_the_csv_has_every_difference_and_no_formula(world: World, lent: Binding) -> None:
    await charge(world, row("=1+1", lent), row("x", lent))
    file = CallFile()
    data = file_of(row("=1+1", lent, 9), *(row(f"m{n}", lent) for n in range(2_500)))
    async with world.engine.reconciler.run(file, pieces(data, 1 << 20), Terms()) as found:
        text = b"".join([piece async for piece in csv_pieces(found.differences())]).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 2_502
    by_id = {one["call_id"]: one for one in rows}
    changed = by_id["'=1+1"]
    assert (changed["our_seconds"], changed["their_seconds"], changed["our_cost"]) == ("61", "9", "0.04")
    assert changed["their_answer_time"] == "2026-10-10T10:30:09Z"
    assert by_id["x"]["kinds"] == "missing_there"


async def test_a_file_without_calls_and_files_that_are_none(world: World) -> None:
    report, differences = await reconcile(world, file_of(), period="2026-10")
    assert (report.agrees, report.rows, differences) == (True, 0, [])
    for data in (file_of(), b"", b"name,age\n1,2\n", b"PK\x03\x04"):
        with pytest.raises(UnusableFile):
            await reconcile(world, data)
    assert await world.engine.database.fetchval("SELECT to_regclass('pg_temp.file_calls')") is None


async def test_one_at_a_time(world: World) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield file_of()
        begun.set()
        await go_on.wait()

    async def first() -> Report:
        async with world.engine.reconciler.run(CallFile(), slow(), Terms.of(period="2026-10")) as found:
            return found.report

    task = asyncio.create_task(first())
    await begun.wait()
    assert await world.count("pg_stat_activity WHERE state LIKE 'idle in transaction%' AND usename = 'vnum_app'") == 0
    with pytest.raises(Refused) as refused:
        await reconcile(world, file_of())
    assert refused.value.refusal.code is Code.OVERLOADED
    go_on.set()
    assert (await task).agrees
    task = asyncio.create_task(first())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await reconcile(world, file_of(), period="2026-10"))[0].agrees


@pytest.mark.parametrize(
    "terms",
    [
        {"from_at": START},
        {"to_at": START},
        {"from_at": START, "to_at": START},
        {"from_at": START, "to_at": START - DAY},
        {"period": "2026-10", "from_at": START, "to_at": START + DAY},
        {"from_at": datetime.min.replace(tzinfo=UTC), "to_at": START},
        {"from_at": START, "to_at": datetime.max.replace(tzinfo=UTC)},
        {"tolerance_s": -1},
        {"tolerance_s": 3_601},
    ],
)
def test_terms_that_will_not_do(terms: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        Terms.of(**terms)


async def test_asterisk_against_what_the_switch_reported(world: World, lent: Binding) -> None:
    """The switch's own file says 87 billed seconds; the callee was on for 61, and so it agrees."""
    await charge(world, row("1791172874.12", lent))
    answered = DIALLED + 9 * SECOND
    cells = ["", CALLER, lent.host, "vnum", "", "in", "out", "Dial", "x", f"{DIALLED:%F %T}", f"{DIALLED:%F %T}"]
    cells += [f"{answered + 61 * SECOND:%F %T}", "70", "70", "ANSWERED", "3", "1791172874.12"]
    cells += [f"caller={CALLER};ext={lent.extension};answer={int(answered.timestamp())}"]
    file = CallFile(zone=zone_named("UTC"))
    async with world.engine.reconciler.run(file, pieces(",".join(cells).encode()), Terms()) as found:
        assert found.report.agrees
        assert found.report.matched == 1
