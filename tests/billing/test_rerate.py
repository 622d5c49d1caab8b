"""Rating closed months anew, told as dated stories. Unless told otherwise a day costs 0.00018, a minute 0.02."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.errors import MerchantNotFound, NoteInvalid, PeriodNotClosed, TariffMissing
from billing.notes import ledger as note_ledger
from billing.notes.issue import CallCredit
from billing.notes.ledger import correct
from billing.notes.rerate import Rerated

ONE, TWO = "VNUM-2026-000001", "VNUM-2026-000002"


@pytest.fixture
async def october(world: Any) -> Any:
    """m: ten days (0.0018) and calls of 1, 2 and 3 minutes (0.12) in October, closed on 1 November: 0.1218."""
    await world.account("m", opened="2026-10-01 00:00")
    await world.rental("m", "2026-10-03 12:00", "2026-10-13 12:00")
    for minutes in (1, 2, 3):
        await world.call("m", f"2026-10-0{minutes} 10:00:00", f"2026-10-0{minutes} 10:0{minutes}:00", f"c{minutes}")
    await world.close("2026-10", at="2026-11-01 03:00")
    return world


def lines_of(note: Any) -> list[tuple[object, ...]]:
    return [(line.kind, line.tariff_id, line.charged, line.correct, line.amount) for line in note.lines]


async def test_a_wrong_price_for_a_month_is_found_after_the_close(october: Any) -> None:
    """0.015 a minute was agreed. 6 minutes: 0.12 charged, 0.09 correct. The days cost the same."""
    await october.tariff(1, "2026-10-01 00:00", "0.00018", "0.015", tariff="agreed")
    report = await october.rerate("2026-10", "agreed", at="2026-11-05 09:00", reason="price list of 2026-09")
    assert (report.invoices, report.notes, report.refused) == (1, 1, 0)
    assert (report.credits, report.debits, report.amount_due) == (Decimal("-0.03"), 0, Decimal("-0.03"))
    (note,) = await october.notes()
    assert (note.number, note.kind, note.source, note.tariff_id) == (
        "VNUM-NOTE-2026-000001", "credit", "rerating", "agreed",
    )  # fmt: skip
    assert (note.invoice_number, note.reason, note.author) == (ONE, "price list of 2026-09", "ann")
    assert lines_of(note) == [
        ("rental_day", "agreed", 0, Decimal("0.0018"), Decimal("0.0018")),
        ("rental_day", "default", Decimal("0.0018"), 0, Decimal("-0.0018")),
        ("call", "agreed", 0, Decimal("0.09"), Decimal("0.09")),
        ("call", "default", Decimal("0.12"), 0, Decimal("-0.12")),
    ]
    assert [(line.charged_quantity, line.correct_quantity) for line in note.lines] == [(0, 10), (10, 0), (0, 6), (6, 0)]
    (invoice,) = await october.invoices()
    assert invoice.total_exact == Decimal("0.1218")
    assert (await correct(october.owner, invoice)).balance == Decimal("0.0918")


async def test_a_second_run_finds_nothing_and_another_tariff_only_what_is_left(october: Any) -> None:
    await october.tariff(1, "2026-10-01 00:00", "0.00018", "0.015", tariff="agreed")
    await october.tariff(1, "2026-10-01 00:00", "0.00018", "0.0165", tariff="better")
    await october.rerate("2026-10", "agreed")
    again = await october.rerate("2026-10", "agreed")
    assert (again.invoices, again.notes, again.credits, again.amount_due) == (1, 0, 0, 0)
    assert len(await october.notes()) == 1
    await october.rerate("2026-10", "better")  # 0.099 - 0.09
    await october.rerate("2026-10")  # back to what is assigned: 0.12 - 0.099
    assert [note.balance for note in await october.notes()] == [Decimal("-0.03"), Decimal("0.009"), Decimal("0.021")]
    (invoice,) = await october.invoices()
    assert (await correct(october.owner, invoice)).balance == invoice.balance


async def test_a_tariff_of_equal_prices_makes_no_note(october: Any) -> None:
    await october.tariff(1, "2026-10-01 00:00", "0.00018", "0.02", tariff="same")
    assert (await october.rerate("2026-10", "same")).notes == 0
    assert (await october.rerate("2026-10")).notes == 0


async def test_what_was_assigned_wrongly_is_put_right_by_what_is_assigned_now(october: Any) -> None:
    """The owner has entered the agreement from the 3rd, 00:00: calls of 2 Oct stay, that of 3 minutes costs 0.045."""
    await october.tariff(1, "2026-10-01 00:00", "0.0001", "0.015", tariff="agreed")
    await october.assign("m", "agreed", "2026-10-03 00:00")
    report = await october.rerate("2026-10")
    # days 10 x 0.00008 less, 3 minutes x 0.005 less
    assert report.credits == Decimal("-0.0008") - Decimal("0.015")
    assert report.tariff_id is None


async def test_a_dry_run_reports_and_writes_nothing(october: Any) -> None:
    await october.tariff(1, "2026-10-01 00:00", "0.00018", "0.03", tariff="dear")
    seen: list[Rerated] = []
    report = await october.rerate("2026-10", "dear", dry_run=True, seen=seen.append)
    assert (report.dry_run, report.notes, report.debits) == (True, 1, Decimal("0.06"))
    assert seen == [
        Rerated(
            invoice_number=ONE, merchant_id="m", charged=Decimal("0.1218"), difference=Decimal("0.06"),
            amount_due=Decimal("0.06"),
        )
    ]  # fmt: skip
    assert await october.notes() == []


async def test_a_late_call_is_rated_by_the_terms_of_its_own_instant_on_the_invoice_that_took_it(october: Any) -> None:
    """The corrected list costs 0.01 in October and 0.05 from November. On November's invoice: a late minute of October
    (0.02, correct 0.01) and a minute of November (0.02, correct 0.05): 0.02 more. It takes no free minutes."""
    await october.call("m", "2026-10-20 10:00:00", "2026-10-20 10:01:00", "late")
    await october.call("m", "2026-11-20 10:00:00", "2026-11-20 10:01:00", "timely")
    await october.close("2026-11", at="2026-12-01 03:00")
    await october.tariff(1, "2026-10-01 00:00", "0.00018", "0.01", tariff="list")
    await october.tariff(2, "2026-11-01 00:00", "0.00018", "0.05", tariff="list")
    report = await october.rerate("2026-11", "list")
    assert report.debits == Decimal("0.02")
    (note,) = await october.notes()
    assert [(line.kind, line.tariff_version, line.amount) for line in note.lines] == [
        ("call", 1, Decimal("-0.02")),
        ("call", 2, Decimal("0.05")),
        ("late_call", 1, Decimal("-0.02")),
        ("late_call", 1, Decimal("0.01")),
    ]
    await october.tariff(1, "2026-10-01 00:00", "0.00018", "0.02", tariff="gift", free_minutes=9)
    await october.rerate("2026-11", "gift")
    (invoice,) = await october.invoices("2026-11")
    assert (await correct(october.owner, invoice)).balance - invoice.carried_in == Decimal("0.02")  # the late one


async def test_free_minutes_and_set_up_fees_by_the_new_terms(october: Any) -> None:
    """0.01 a call, 0.02 a minute, 4 free minutes: calls of 1, 2 and 3 minutes pay 3 x 0.01 + 2 x 0.02 = 0.07."""
    terms = {"setup_fee": Decimal("0.01"), "free_minutes": 4}
    await october.tariff(1, "2026-10-01 00:00", "0.00018", "0.02", tariff="fees", **terms)
    await october.rerate("2026-10", "fees")
    (note,) = await october.notes()
    assert note.balance == Decimal("0.07") - Decimal("0.12")
    assert [(line.kind, line.correct, line.correct_quantity) for line in note.lines if line.tariff_id == "fees"] == [
        ("rental_day", Decimal("0.0018"), 10),
        ("call", Decimal("0.12"), 6),
        ("call_setup", Decimal("0.03"), 3),
        ("free_minutes", Decimal("-0.08"), -4),
    ]


async def test_tax_by_the_new_terms(october: Any) -> None:
    """The prices were meant without tax: 6 % of 0.1218 is 0.007308 more, due 0.01, the rest carried."""
    await october.tariff(
        1, "2026-10-01 00:00", "0.00018", "0.02", tariff="net", tax_mode="added", tax_rate=Decimal("0.06")
    )
    await october.rerate("2026-10", "net")
    (note,) = await october.notes()
    assert (note.total_exact, note.tax_exact) == (0, Decimal("0.007308"))
    assert (note.kind, note.amount_due, note.carried_out) == ("debit", Decimal("0.01"), Decimal("-0.002692"))


async def test_calls_that_were_free_are_charged_by_terms_without_free_seconds(world: Any) -> None:
    """Free below 30 s: of calls of 20 s and 90 s only one minute is charged. Without: 1 + 2 minutes."""
    await world.account("m", opened="2026-10-01 00:00", tariff="short")
    await world.tariff(1, "2026-10-01 00:00", "0.00018", "0.02", tariff="short", free_s=30)
    await world.call("m", "2026-10-01 10:00:00", "2026-10-01 10:00:20", "free")
    await world.call("m", "2026-10-01 11:00:00", "2026-10-01 11:01:30", "charged")
    await world.close("2026-10", at="2026-11-01 03:00")
    await world.call("m", "2026-10-02 10:00:00", "2026-10-02 10:00:20", "free and late")
    assert (await world.rerate("2026-10")).notes == 0
    report = await world.rerate("2026-10", "default")
    assert report.debits == Decimal("0.02") * 4 - Decimal("0.02")
    (note,) = await world.notes()
    assert [(line.kind, line.correct_quantity) for line in note.lines if line.tariff_id == "default"] == [
        ("call", 3),
        ("late_call", 1),
    ]


async def test_free_minutes_are_those_of_the_terms_when_the_merchant_began(world: Any) -> None:
    """Opened on the 10th, when version 2 with one free minute holds: two minutes pay one."""
    await world.tariff(1, "2026-10-01 00:00", "0.00018", "0.02", tariff="two")
    await world.tariff(2, "2026-10-05 00:00", "0.00018", "0.02", tariff="two", free_minutes=1)
    await world.account("m", opened="2026-10-10 00:00")
    await world.call("m", "2026-10-10 10:00", "2026-10-10 10:02")
    await world.close("2026-10", at="2026-11-01 03:00")
    assert (await world.rerate("2026-10", "two")).credits == Decimal("-0.02")


async def test_an_invoice_that_is_credited_already_is_refused_and_the_others_go_on(october: Any) -> None:
    await october.account("n", opened="2026-10-01 00:00")
    await october.call("n", "2026-10-05 10:00", "2026-10-05 10:01", "n1")
    await october.close("2026-10")
    await october.tariff(1, "2026-10-01 00:00", "0.00018", "0.015", tariff="agreed")
    await october.note(ONE, *(CallCredit(call_id=f"c{n}") for n in (1, 2, 3)))
    seen: list[Rerated] = []
    report = await october.rerate("2026-10", "agreed", seen=seen.append)
    assert (report.invoices, report.notes, report.refused) == (2, 1, 1)
    assert [(one.merchant_id, one.refused) for one in seen] == [("m", "note_exceeds_invoice"), ("n", None)]
    assert [note.merchant_id for note in await october.notes()] == ["m", "n"]


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM usage_rentals",
        "DELETE FROM usage_calls WHERE call_id = 'c2'",
        "UPDATE usage_calls SET cost = 7",
        "UPDATE usage_rentals SET ended_at = ended_at + interval '2 days'",
    ],
)
async def test_where_usage_is_lost_or_changed_nothing_is_noted(october: Any, damage: str) -> None:
    await october.tariff(1, "2026-10-01 00:00", "0.00018", "0.015", tariff="agreed")
    await october.owner.execute(damage)
    seen: list[Rerated] = []
    report = await october.rerate("2026-10", "agreed", seen=seen.append)
    assert (report.notes, report.refused, [one.refused for one in seen]) == (0, 1, ["invoice_inconsistent"])
    assert await october.notes() == []


async def test_a_tariff_that_begins_too_late(october: Any) -> None:
    await october.tariff(1, "2026-10-02 00:00", "0.00018", "0.015", tariff="agreed")
    seen: list[Rerated] = []
    await october.rerate("2026-10", "agreed", seen=seen.append)
    assert [one.refused for one in seen] == ["tariff_missing"]
    assert await october.notes() == []


async def test_what_is_not_rated_anew(october: Any) -> None:
    for refusal, asked in (
        (PeriodNotClosed, {"period": "2026-11"}),
        (TariffMissing, {"period": "2026-10", "tariff": "nothing"}),
        (MerchantNotFound, {"period": "2026-10", "merchant_id": "nobody"}),
        (NoteInvalid, {"period": "2026-10", "reason": " "}),
        (NoteInvalid, {"period": "2026-10", "author": ""}),
    ):
        with pytest.raises(refusal):
            await october.rerate(**asked)


async def five(world: Any) -> None:
    """Five merchants with a call of one minute each, closed, and a corrected price of 0.01."""
    for merchant in "abcde":
        await world.account(merchant)
        await world.call(merchant, "2026-01-05 10:00", "2026-01-05 10:01")
    await world.close("2026-01", at="2026-02-01 03:00")
    await world.tariff(1, "2026-01-01 00:00", "0.00018", "0.01", tariff="agreed")


async def test_a_run_that_is_killed_is_repeated_without_a_gap_or_a_second_note(world: Any) -> None:
    await five(world)
    steps: list[tuple[int, int]] = []

    def die_at_two(done: int, of: int) -> None:
        steps.append((done, of))
        if done == 2:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await world.rerate("2026-01", "agreed", progress=die_at_two)
    assert len(await world.notes()) == 2
    report = await world.rerate("2026-01", "agreed", progress=lambda *now: steps.append(now))
    assert (report.invoices, report.notes) == (5, 3)
    assert [(note.merchant_id, note.serial.serial) for note in await world.notes()] == list(
        zip("abcde", range(1, 6), strict=True)
    )
    assert steps == [(1, 5), (2, 5), *((n, 5) for n in range(1, 6))]


async def test_a_note_that_breaks_off_takes_no_number(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await five(world)
    insert = note_ledger._insert
    calls = itertools.count(1)

    async def crash(*args: Any) -> None:
        await insert(*args)
        if next(calls) == 3:
            raise ConnectionError

    monkeypatch.setattr(note_ledger, "_insert", crash)
    with pytest.raises(ConnectionError):
        await world.rerate("2026-01", "agreed")
    monkeypatch.undo()
    await world.rerate("2026-01", "agreed")
    assert [note.serial.serial for note in await world.notes()] == [1, 2, 3, 4, 5]


async def test_runs_at_once_note_each_difference_once(world: Any) -> None:
    await five(world)
    reports = await asyncio.gather(
        *(world.rerate("2026-01", "agreed") for _ in range(3)), world.rerate("2026-01", "agreed", merchant_id="d")
    )
    assert sum(report.notes for report in reports) == 5
    assert [note.serial.serial for note in await world.notes()] == [1, 2, 3, 4, 5]
    assert sorted(note.merchant_id for note in await world.notes()) == list("abcde")


async def test_pages_of_invoices(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await five(world)
    monkeypatch.setattr("billing.notes.rerate.PAGE", 2)
    assert (await world.rerate("2026-01", "agreed")).invoices == 5


# Random tariffs: prices with exact sixtieths, any increments.
MINUTES = st.integers(0, 300).map(lambda n: Decimal(n * 3) / 10_000)
STEPS = st.sampled_from([1, 6, 15, 30, 60])
TERMS = st.fixed_dictionaries(
    {
        "day": st.integers(0, 50).map(lambda n: Decimal(n) / 100_000),
        "minute": MINUTES,
        "rental_count": st.sampled_from(["started_day", "calendar_day"]),
        "first_s": STEPS,
        "next_s": STEPS,
        "minimum_s": st.sampled_from([0, 30, 120]),
        "free_s": st.sampled_from([0, 10, 60]),
        "setup_fee": st.sampled_from([Decimal(0), Decimal("0.005")]),
        "free_minutes": st.sampled_from([0, 0, 3, 20]),
        "tax_mode": st.sampled_from(["included", "added"]),
        "tax_rate": st.sampled_from([Decimal(0), Decimal("0.06"), Decimal("0.13")]),
    }
)
MONTH_S = 31 * 86_400
START = datetime(2026, 9, 30, 16, tzinfo=UTC)
RENTALS = st.lists(st.tuples(st.integers(-20 * 86_400, MONTH_S - 1), st.integers(0, 40 * 86_400)), max_size=6)
CALLS = st.lists(st.tuples(st.integers(0, MONTH_S - 1), st.integers(0, 900)), min_size=1, max_size=10, unique=True)
numbers = itertools.count(1)


def local(seconds: int) -> str:
    return (START + timedelta(seconds=seconds, hours=8)).strftime("%Y-%m-%d %H:%M:%S")


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(own=st.tuples(TERMS, TERMS), other=TERMS, rentals=RENTALS, calls=CALLS, late=CALLS)
async def test_random_months_rated_anew(world: Any, own: Any, other: Any, rentals: Any, calls: Any, late: Any) -> None:
    """By its own terms a month is the same. By others it comes to what it would have been under them from the start."""
    n = next(numbers)
    for version, (since, terms) in enumerate(zip(("2026-01-01 00:00", "2026-10-15 07:30"), own, strict=True), start=1):
        await world.tariff(version, since, tariff=f"own{n}", **terms)
    await world.tariff(1, "2026-01-01 00:00", tariff=f"other{n}", **other)
    merchants = {f"own{n}": f"m{n}", f"other{n}": f"mirror{n}"}
    for tariff, merchant in merchants.items():
        await two_months(world, merchant, tariff, rentals, calls, late)
    merchant = merchants[f"own{n}"]
    for tariff in (None, f"own{n}"):
        assert await settle(world, merchant, tariff) == 0
    await settle(world, merchant, f"other{n}")
    assert await settle(world, merchant, f"other{n}") == 0
    assert await comes_to(world, merchant) == await comes_to(world, merchants[f"other{n}"])


async def two_months(world: Any, merchant: str, tariff: str, rentals: Any, calls: Any, late: Any) -> None:
    """October and November 2026, each with a rental at least, closed; calls of October that came after its close."""
    await world.account(merchant, opened="2026-10-01 00:00", tariff=tariff)
    for bound, length in [*rentals, (40 * 86_400, 1), (0, 1)]:
        await world.rental(merchant, local(bound), local(bound + length))
    for k, (at, talked) in enumerate(calls):
        await world.call(merchant, local(at), local(at + talked), f"{merchant}-{k}")
    await world.close("2026-10", merchant_id=merchant)
    for k, (at, talked) in enumerate(late):
        await world.call(merchant, local(at), local(at + talked), f"{merchant}-late-{k}")
    await world.close("2026-11", merchant_id=merchant)


async def settle(world: Any, merchant: str, tariff: str | None) -> int:
    """Rates both months anew; how many notes that made."""
    reports = [await world.rerate(period, tariff, merchant_id=merchant) for period in ("2026-10", "2026-11")]
    assert [(report.invoices, report.refused) for report in reports] == [(1, 0), (1, 0)]
    return sum(report.notes for report in reports)


async def comes_to(world: Any, merchant: str) -> Decimal:
    """Both invoices with their notes, exactly."""
    found: Decimal = await world.owner.fetchval(
        "SELECT sum(total_exact + tax_exact) FROM (SELECT merchant_id, total_exact, tax_exact FROM invoices "
        "UNION ALL SELECT merchant_id, total_exact, tax_exact FROM notes) AS all_of_it WHERE merchant_id = $1",
        merchant,
    )
    return found
