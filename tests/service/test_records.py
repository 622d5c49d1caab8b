"""Call records: whose call it was, what it costs, and what becomes of those that can not be charged."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.engines import DAY, HOST, World, unknown_id
from vnum.model.bindings import Binding
from vnum.model.refusals import Code
from vnum.service.call_record import normal
from vnum.service.records import CallRecord, Reported, Status
from vnum.service.tariffs import NewTariff

SECOND = timedelta(seconds=1)
SHANGHAI = timezone(timedelta(hours=8))
CALLER = "13800000000"


def record(world: World, binding: Binding | None, **given: Any) -> CallRecord:
    """A call of 61 seconds that has just ended; what is given stands in its place."""
    ended = world.now
    fields: dict[str, Any] = {
        "call_id": "call",
        "host": HOST,
        "extension": binding.extension if binding else "5",
        "caller": CALLER,
        "call_time": ended - 70 * SECOND,
        "answer_time": ended - 61 * SECOND,
        "release_time": ended,
    }
    return CallRecord(**(fields | given))


async def lent(world: World) -> Binding:
    """A binding that was made two hours ago."""
    binding = await world.bind("a")
    world.pass_time(timedelta(hours=2))
    return binding


async def report(world: World, *records: CallRecord) -> list[Reported]:
    return await world.engine.records.report(records)


async def status(world: World, one: CallRecord) -> tuple[Status, Code | None]:
    (reported,) = await report(world, one)
    return reported.status, reported.code


RATED = (Status.RATED, None)
STANDARD = (Decimal(0), Decimal("0.02"), 60, "default")
"""Set-up fee, price of a unit, seconds of a unit, tariff."""


async def charged(world: World) -> list[Any]:
    return list(await world.owner.fetch("SELECT * FROM calls ORDER BY call_id"))


# The price


@pytest.mark.parametrize(
    ("seconds", "minutes", "cost"),
    [(0, 0, "0"), (1, 1, "0.02"), (60, 1, "0.02"), (61, 2, "0.04"), (3_600, 60, "1.20")],
)
async def test_started_minutes_are_charged(world: World, seconds: int, minutes: int, cost: str) -> None:
    binding = await lent(world)
    answered = world.now - seconds * SECOND
    call = record(world, binding, call_time=answered - 9 * SECOND, answer_time=answered)
    (reported,) = await report(world, call)
    assert (reported.status, reported.minutes, reported.cost) == (Status.RATED, minutes, Decimal(cost))


async def test_an_unanswered_call_is_rated_and_free(world: World) -> None:
    binding = await lent(world)
    (reported,) = await report(world, record(world, binding, answer_time=None))
    assert (reported.status, reported.minutes, reported.cost) == (Status.RATED, 0, Decimal(0))


async def test_seconds_are_cut_to_whole_ones_before_they_are_counted(world: World) -> None:
    binding = await lent(world)
    half = timedelta(milliseconds=999)
    call = record(world, binding, answer_time=world.now - 61 * SECOND + half, release_time=world.now - SECOND + half)
    (reported,) = await report(world, call)
    assert reported.minutes == 1


# Whose call


async def test_the_binding_that_is_named(world: World) -> None:
    old = await world.bind("a")
    await world.engine.lifetime.release(old.binding_id, "done")
    assert await status(world, record(world, old, binding_id=old.binding_id)) == RATED
    assert (await charged(world))[0]["order_id"] == "a"


async def test_the_binding_that_route_connected(world: World) -> None:
    """Told by the call's id, though the record names no extension and the number was changed hands by then."""
    binding = await world.bind("a", ttl_days=1)
    await world.dial(binding, call_id="call")
    world.pass_time(3 * DAY)
    await world.fill(9, first=20)
    assert await status(world, record(world, None, extension=None)) == RATED
    assert (await charged(world))[0]["binding_id"] == binding.binding_id


async def test_the_last_route_of_a_call_counts(world: World) -> None:
    first, second = await world.bind("a", 1), await world.bind("b", 2)
    await world.dial(first, call_id="call")
    await world.dial(second, call_id="call")
    assert await status(world, record(world, None, extension=None)) == RATED
    assert (await charged(world))[0]["order_id"] == "b"


async def test_the_binding_that_held_the_number_when_the_caller_dialled(world: World) -> None:
    first = await world.bind("a", 1, ttl_days=1)
    world.pass_time(3 * DAY)
    owners = await world.fill(9, first=20)
    then, now = first.bound_at + timedelta(hours=1), world.now
    calls = [
        record(world, first, call_id="then", call_time=then, answer_time=then + SECOND, release_time=then + 9 * SECOND),
        record(world, first, call_id="now", call_time=now, answer_time=None),
    ]
    assert {one.status for one in await report(world, *calls)} == {Status.RATED}
    owner = next(one for one in owners if one.extension == first.extension)
    found = {row["call_id"]: row["binding_id"] for row in await charged(world)}
    assert found == {"then": first.binding_id, "now": owner.binding_id}


async def test_a_call_that_ran_when_its_binding_expired_is_charged_to_it(world: World) -> None:
    binding = await world.bind("a", ttl_days=1)
    world.pass_time(DAY + timedelta(minutes=30))
    call = record(
        world,
        binding,
        call_time=binding.ended_at - SECOND,
        answer_time=binding.ended_at + 5 * SECOND,
        release_time=binding.ended_at + timedelta(minutes=20),
    )
    (reported,) = await report(world, call)
    assert (reported.status, reported.minutes) == (Status.RATED, 20)


async def test_a_call_dialled_at_the_end_belongs_to_nobody(world: World) -> None:
    binding = await world.bind("a", ttl_days=1)
    world.pass_time(DAY + timedelta(hours=1))
    call = record(world, binding, call_time=binding.ended_at, answer_time=None)
    assert await status(world, call) == (Status.REJECTED, Code.NO_BINDING)


async def test_a_call_dialled_in_the_second_of_its_binding_is_its_own(world: World) -> None:
    """The binding is a microsecond exact, the record of the call in whole seconds."""
    world.pass_time(timedelta(milliseconds=700))
    binding = await world.bind("a")
    call = record(world, binding, call_time=world.now.replace(microsecond=0), answer_time=None)
    assert await status(world, call) == RATED


# What is rejected


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"extension": "9" * 32}, Code.INVALID_NUMBER),
        ({"extension": "x"}, Code.INVALID_NUMBER),
        ({"host": "18400000009"}, Code.HOST_NOT_FOUND),
        ({"caller": "?"}, Code.INVALID_CALLER),
        ({"extension": "other"}, Code.NO_BINDING),
        ({"binding_id": "unknown"}, Code.NO_BINDING),
        ({"binding_id": "own", "extension": "other"}, Code.BINDING_MISMATCH),
        ({"binding_id": "own", "host": "18400000008"}, Code.BINDING_MISMATCH),
        ({"answer_time": timedelta(seconds=1)}, Code.RELEASE_BEFORE_ANSWER),
        ({"call_time": timedelta(seconds=1), "answer_time": None}, Code.RELEASE_BEFORE_ANSWER),
        ({"release_time": timedelta(minutes=5, seconds=1)}, Code.TIME_IN_FUTURE),
        ({"release_time": timedelta(hours=8)}, Code.TIME_IN_FUTURE),
        ({"call_time": -timedelta(days=3_000)}, Code.INVALID_REQUEST),
    ],
    ids=str,
)
async def test_what_is_rejected_is_kept_with_its_reason(world: World, given: dict[str, Any], code: Code) -> None:
    binding = await lent(world)
    await world.host("18400000008")
    call = record(world, binding, **{name: _meant(world, binding, value) for name, value in given.items()})
    assert await status(world, call) == (Status.REJECTED, code)
    assert await charged(world) == []
    kept = await world.owner.fetchrow("SELECT * FROM call_reviews")
    assert (kept["call_id"], kept["status"], kept["code"]) == ("call", "rejected", code)
    assert CALLER.encode() not in kept["record"], "the record is sealed"
    text = world.engine.vault.open(kept["record"], kept["review_id"], b"record", kept["key_id"])
    assert text == msgspec.json.encode(call).decode()


def _meant(world: World, binding: Binding, value: Any) -> Any:
    match value:
        case "own":
            return binding.binding_id
        case "unknown":
            return unknown_id(binding)
        case "other":
            return next(digit for digit in "123456789" if digit != binding.extension)
        case timedelta():
            return world.now + value
    return value


async def test_five_minutes_ahead_is_a_clock_and_no_mistake(world: World) -> None:
    binding = await lent(world)
    call = record(world, binding, answer_time=world.now, release_time=world.now + timedelta(minutes=5))
    assert await status(world, call) == RATED


async def test_a_rejected_record_can_be_sent_again(world: World) -> None:
    """The binding came later than the record, or the switch sent it right the second time."""
    call = record(world, None, call_time=world.now, answer_time=None)
    assert await status(world, call) == (Status.REJECTED, Code.NO_BINDING)
    assert await status(world, call) == (Status.REJECTED, Code.NO_BINDING)
    assert await world.count("call_reviews") == 1, "the same content is kept once"
    await world.fill(9)
    assert await status(world, call) == RATED
    assert await world.count("calls") == 1


# Duplicates and conflicts


WRITTEN = {
    "as it was": {},
    "in another zone": {"zone": SHANGHAI},
    "with fractions of a second": {"fraction": timedelta(microseconds=999_999)},
    "the caller with its country": {"caller": "+86" + CALLER},
    "another cause": {"release_cause": 31},
    "another direction": {"release_dir": 2},
}


@pytest.mark.parametrize("change", WRITTEN.values(), ids=WRITTEN)
async def test_the_same_content_is_a_duplicate_however_written(world: World, change: dict[str, Any]) -> None:
    binding = await lent(world)
    call = record(world, binding, release_cause=16, release_dir=1)
    assert await status(world, call) == RATED
    zone, fraction = change.get("zone"), change.get("fraction", timedelta(0))
    times = {name: getattr(call, name) + fraction for name in ("call_time", "answer_time", "release_time")}
    rest = {name: value for name, value in change.items() if name not in ("zone", "fraction")}
    again = msgspec.structs.replace(call, **{name: at.astimezone(zone) for name, at in times.items()}, **rest)
    (reported,) = await report(world, again)
    assert (reported.status, reported.minutes, reported.cost) == (Status.DUPLICATE, 2, Decimal("0.04"))
    assert await world.count("calls") == 1
    assert await world.count("call_reviews") == 0


OTHER = {
    "another caller": {"caller": "13800000001"},
    "a longer call": {"release_time": SECOND},
    "a later answer": {"answer_time": SECOND},
    "an earlier dial": {"call_time": -SECOND},
    "not answered": {"answer_time": None},
}


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
async def test_other_content_is_a_conflict_and_kept_aside(world: World, change: dict[str, Any]) -> None:
    binding = await lent(world)
    call = record(world, binding)
    await report(world, call)
    moved = {
        name: getattr(call, name) + value if isinstance(value, timedelta) else value for name, value in change.items()
    }
    conflict = msgspec.structs.replace(call, **moved)
    for _ in range(2):
        assert await status(world, conflict) == (Status.CONFLICT, Code.RECORD_CONFLICT)
    assert [row["minutes"] for row in await charged(world)] == [2], "the first one counts"
    kept = await world.owner.fetch("SELECT status, code FROM call_reviews")
    assert list(map(tuple, kept)) == [("conflict", "record_conflict")]
    assert await status(world, call) == (Status.DUPLICATE, None)


async def test_a_call_id_is_known_for_ever(world: World) -> None:
    """Across months and hosts."""
    await world.host("18400000008")
    first = await lent(world)
    await report(world, record(world, first, host=first.host))
    world.pass_time(100 * DAY)
    await world.engine.care.tend()
    second = await world.bind("b", 2)
    world.pass_time(timedelta(hours=1))
    assert await status(world, record(world, second, host=second.host)) == (Status.CONFLICT, Code.RECORD_CONFLICT)


async def test_one_batch_tells_of_each_in_order(world: World) -> None:
    binding = await lent(world)
    call = record(world, binding)
    batch = [
        call,
        record(world, binding, call_id="two", answer_time=None),
        msgspec.structs.replace(call, caller="13800000001"),
        record(world, binding, call_id="three", caller="?"),
        call,
        call,
    ]
    reported = await report(world, *batch)
    assert [one.call_id for one in reported] == [one.call_id for one in batch]
    assert [str(one.status) for one in reported] == ["rated", "rated", "conflict", "rejected", "duplicate", "duplicate"]


async def test_each_call_of_a_batch_is_filed_with_its_own_price(world: World) -> None:
    """Two merchants of two tariffs, calls of many lengths and some unanswered, mixed."""
    dear = {"tariff_id": "dear", "effective_from": world.now + DAY, "rental": {"model": "started_day", "rate": "0.001"}}
    calls = {"model": "increments", "minute": "0.06", "first_s": 6, "next_s": 6, "setup_fee": "0.5"}
    await world.engine.tariffs.add(msgspec.convert(dear | {"calls": calls}, NewTariff, strict=False), "test")
    world.pass_time(2 * DAY)
    await world.merchant("n", tariff_id="dear")
    bindings = [await world.bind("a"), await world.bind("b", 2, merchant="n")]
    world.pass_time(timedelta(hours=2))
    batch = [
        record(
            world,
            bindings[n % 2],
            call_id=f"c{n:03d}",
            call_time=world.now - 400 * SECOND,
            answer_time=world.now - n * SECOND if n % 7 else None,
        )
        for n in range(1, 301)
    ]
    await report(world, *reversed(batch))
    rows = await charged(world)
    assert len(rows) == 300
    for n, row in enumerate(rows, start=1):
        talked = n if n % 7 else 0
        fee, rate, unit_s, tariff = (Decimal("0.5"), Decimal("0.006"), 6, "dear") if n % 2 else STANDARD
        units = -(-talked // unit_s)
        cost = (fee if talked else 0) + units * rate
        assert (row["seconds"], row["units"], row["rate"], row["cost"]) == (talked, units, rate, cost)
        assert (row["minutes"], row["unit_s"], row["tariff_id"]) == (-(-units * unit_s // 60), unit_s, tariff)


async def test_a_call_reported_by_many_at_once_is_charged_once(world: World) -> None:
    binding = await lent(world)
    calls = [record(world, binding, call_id=f"c{n}") for n in range(20)]
    answers = await asyncio.gather(*(report(world, *calls[at:], *calls[:at]) for at in range(6)))
    by_call: dict[str, list[Status]] = {}
    for one in (one for answer in answers for one in answer):
        by_call.setdefault(one.call_id, []).append(one.status)
    for statuses in by_call.values():
        assert sorted(statuses) == [Status.DUPLICATE] * 5 + [Status.RATED]
    assert await world.count("calls") == 20


async def test_one_record_that_can_not_be_stored_fails_alone(world: World) -> None:
    """A call in a month before the service began has no place: the switch must get rid of the others."""
    binding = await lent(world)
    long_ago = datetime(2025, 3, 1, tzinfo=SHANGHAI)
    calls = [record(world, binding, call_id=f"c{n}") for n in range(50)]
    calls[17] = record(
        world, binding, call_id="c17", binding_id=binding.binding_id, call_time=long_ago, answer_time=long_ago
    )
    statuses = [one.status for one in await report(world, *calls)]
    assert statuses == [Status.REJECTED if n == 17 else Status.RATED for n in range(50)]


async def test_the_caller_is_sealed_and_found_by_its_hash(world: World) -> None:
    binding = await lent(world)
    await report(world, record(world, binding))
    (row,) = await charged(world)
    assert CALLER.encode() not in row["caller"]
    assert world.engine.vault.open(row["caller"], "call", b"caller", row["key_id"]) == "+86" + CALLER
    assert row["caller_hash"] == world.engine.vault.fingerprint("+86" + CALLER)


# What is cut, and what is not


@pytest.mark.parametrize(
    ("answer", "release", "minutes", "cost"),
    [
        (timedelta(seconds=-61.1), timedelta(seconds=-1), 1, Decimal("0.02")),
        (timedelta(seconds=-61.5), timedelta(seconds=-0.5), 2, Decimal("0.04")),
        (timedelta(seconds=-61.0), timedelta(seconds=-0.1), 1, Decimal("0.02")),
        (timedelta(seconds=-1.1), timedelta(seconds=-0.9), 0, Decimal(0)),
    ],
)
async def test_seconds_are_cut_from_the_difference_not_from_the_times(
    world: World, answer: timedelta, release: timedelta, minutes: int, cost: Decimal
) -> None:
    """60.9 s that lie in 61 seconds of the clock are one minute; 0.2 s over a second's end are free."""
    binding = await lent(world)
    call = record(world, binding, answer_time=world.now + answer, release_time=world.now + release)
    (reported,) = await report(world, call)
    assert (reported.minutes, reported.cost) == (minutes, cost)


async def test_the_extension_of_the_binding_is_understood_where_a_record_has_none(world: World) -> None:
    binding = await lent(world)
    call = record(world, binding, extension=None, binding_id=binding.binding_id)
    assert await status(world, call) == RATED
    with_extension = msgspec.structs.replace(call, extension=binding.extension)
    assert await status(world, with_extension) == (Status.DUPLICATE, None)


async def test_an_answer_hours_before_the_call_is_another_clock(world: World) -> None:
    binding = await lent(world)
    call = record(world, binding, answer_time=world.now - timedelta(hours=5))
    assert await status(world, call) == (Status.REJECTED, Code.INVALID_REQUEST)


@pytest.mark.parametrize(
    "given",
    [
        {"call_time": timedelta(seconds=-60.6), "answer_time": timedelta(seconds=-61)},
        {"ring_time": timedelta(hours=-5)},
        {"ring_time": timedelta(seconds=4)},
        {"ring_time": timedelta(days=900_000)},
    ],
)
async def test_steps_that_bill_nothing_or_differ_by_the_fineness_of_a_clock_spoil_no_record(
    world: World, given: dict[str, timedelta]
) -> None:
    binding = await lent(world)
    call = record(world, binding, **{name: world.now + span for name, span in given.items()})
    (reported,) = await report(world, call)
    assert (reported.status, reported.minutes) == (Status.RATED, 2)


async def test_a_call_dated_before_the_merchants_first_month_is_charged_with_it(world: World) -> None:
    """The switch's clock was slow, and the merchant was opened as the month began."""
    world.pass_time(datetime(2026, 10, 31, 16, 0, 2, tzinfo=world.now.tzinfo) - world.now)
    await world.merchant("new")
    binding = await world.bind("first", merchant="new")
    world.pass_time(30 * SECOND)
    call = record(world, None, binding_id=binding.binding_id, extension=None)
    assert await status(world, call) == RATED
    (filed,) = await charged(world)
    assert filed["late"], "October is never closed for a merchant of November"
    world.pass_time(40 * DAY)
    report_of_november = await world.engine.invoices.close("2026-11", "new")
    assert report_of_november.total_exact == 30 * Decimal("0.00018") + filed["cost"]


@pytest.mark.parametrize("fraction", [0, 1, 999_999])
@pytest.mark.parametrize("zone", [UTC, SHANGHAI])
async def test_the_content_of_a_record_is_the_text_whose_hash_is_stored(
    world: World, fraction: int, zone: timezone
) -> None:
    """A call known for ever must be known again by every later release: so this text never changes."""
    at = datetime(2026, 10, 31, 15, 59, 58, fraction, tzinfo=UTC).astimezone(zone)
    one = record(world, None, call_time=at, answer_time=at + SECOND, release_time=at + 61 * SECOND)
    read = normal(one, await world.engine.registry.get(HOST), 1, at + DAY)
    times = "2026-10-31T15:59:58+00:00\0{}\x002026-10-31T16:00:59+00:00"
    assert read.content("7") == f"{HOST}\x005\0+86{CALLER}\0" + times.format("2026-10-31T15:59:59+00:00")
    unanswered = normal(msgspec.structs.replace(one, answer_time=None, extension=None), read.host, 1, at + DAY)
    assert unanswered.content("7") == f"{HOST}\x007\0+86{CALLER}\0" + times.format("")


async def test_a_record_before_its_route_is_charged_and_stays(world: World) -> None:
    """A switch that asks late, or again, changes nothing of a call that is over."""
    binding = await lent(world)
    other = await world.bind("b", 2)
    one = record(world, binding)
    assert await status(world, one) == RATED
    assert (await world.dial(other)).action == "connect"
    assert await status(world, one) == (Status.DUPLICATE, None)
    (row,) = await charged(world)
    assert row["binding_id"] == binding.binding_id
    world.pass_time(timedelta(hours=6))
    assert await world.engine.unrecorded.page() == []


CUT = [
    ("the second a moment later", {"release_time": SECOND}, Status.CONFLICT),
    ("the second within the same second", {"release_time": timedelta(milliseconds=400)}, Status.DUPLICATE),
    ("the second without an answer", {"answer_time": None}, Status.CONFLICT),
    ("the second released by the platform", {"release_dir": 0, "release_cause": 102}, Status.DUPLICATE),
]


@pytest.mark.parametrize(("change", "second"), [one[1:] for one in CUT], ids=[one[0] for one in CUT])
@pytest.mark.parametrize("together", [True, False])
async def test_of_two_records_of_a_call_the_first_is_kept(
    world: World, change: dict[str, Any], second: Status, *, together: bool
) -> None:
    """Such as a switch posts that cuts a call at its limit."""
    binding = await lent(world)
    first = record(world, binding, release_time=world.now - 10 * SECOND)
    moved = {
        name: first.release_time + value if isinstance(value, timedelta) else value for name, value in change.items()
    }
    again = msgspec.structs.replace(first, **moved)
    results = (
        await report(world, first, again) if together else [*await report(world, first), *await report(world, again)]
    )
    assert [one.status for one in results] == [Status.RATED, second]
    (row,) = await charged(world)
    assert (row["release_time"], row["seconds"]) == (first.release_time, 51)


@pytest.mark.parametrize(
    ("answer_ms", "release_ms", "seconds"),
    [(0, 60_000, 60), (400, 60_399, 59), (400, 60_400, 60), (999, 61_000, 60), (1, 61_000, 60), (0, 999, 0)],
)
async def test_times_in_milliseconds(world: World, answer_ms: int, release_ms: int, seconds: int) -> None:
    binding = await lent(world)
    base = (world.now - 70 * SECOND).replace(microsecond=0)
    ms = timedelta(milliseconds=1)
    one = record(world, binding, call_time=base, answer_time=base + answer_ms * ms, release_time=base + release_ms * ms)
    assert await status(world, one) == RATED
    (row,) = await charged(world)
    assert row["seconds"] == seconds
    whole = msgspec.structs.replace(
        one,
        answer_time=(base + answer_ms * ms).replace(microsecond=0),
        release_time=(base + release_ms * ms).replace(microsecond=0),
    )
    assert (await status(world, whole))[0] is Status.DUPLICATE
