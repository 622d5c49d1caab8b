"""Manual notes, told as dated stories. Unless told otherwise a day costs 0.00018, a minute 0.02."""

import asyncio
import random
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from billing import ledger
from billing.draft import draft
from billing.errors import BillingRefusal, InvoiceNotFound, NoteExceedsInvoice, NoteInvalid, NoteNotFound
from billing.invoice import Item
from billing.notes import ledger as note_ledger
from billing.notes.issue import BindingCredit, CallCredit, FreeLine
from billing.notes.ledger import correct, get_note, list_notes
from billing.periods import Period
from billing.tax import Tax

ONE = "VNUM-2026-000001"


def free(amount: str, item: Item = Item.CALL, **more: Any) -> FreeLine:
    return FreeLine(item=item, amount=Decimal(amount), text="as agreed", **more)


@pytest.fixture
async def october(world: Any) -> Any:
    """m's October: a binding of 10 days (0.0018) and calls of 1, 2 and 3 minutes (0.12): 0.1218, due 0.12."""
    await world.account("m", opened="2026-10-01 00:00")
    await world.rental("m", "2026-10-03 12:00", "2026-10-13 12:00", order="o-1")
    for minutes in (1, 2, 3):
        await world.call("m", f"2026-10-0{minutes} 10:00:00", f"2026-10-0{minutes} 10:0{minutes}:00", f"c{minutes}")
    await world.close("2026-10", at="2026-11-01 03:00")
    return world


async def test_one_disputed_call_is_credited(october: Any) -> None:
    note = await october.note(ONE, CallCredit(call_id="c3"), at="2026-11-05 09:00", reason="fax machine")
    assert (note.number, note.kind, note.source) == ("VNUM-NOTE-2026-000001", "credit", "manual")
    assert (note.invoice_number, note.merchant_id, str(note.period)) == (ONE, "m", "2026-10")
    assert (note.author, note.reason, note.issued_at) == ("ann", "fax machine", october.at("2026-11-05 09:00"))
    (line,) = note.lines  # three minutes at 0.02
    assert (line.call_id, line.order_id, line.kind, line.item) == ("c3", "order-c3", "call", Item.CALL)
    assert (line.charged, line.correct, line.amount) == (Decimal("0.06"), Decimal(0), Decimal("-0.06"))
    assert (note.total_exact, note.amount_due, note.carried_out) == (Decimal("-0.06"), Decimal("-0.06"), 0)
    assert await get_note(october.owner, note.number) == note


async def test_the_invoice_stays_as_it_is(october: Any) -> None:
    before = await october.invoices()
    await october.note(ONE, CallCredit(call_id="c3"), free("-0.001"))
    assert await october.invoices() == before
    with_notes = await correct(october.owner, before[0])
    # 0.1218 - 0.061 = 0.0608; due 0.12 - 0.06
    assert (with_notes.balance, with_notes.amount_due) == (Decimal("0.0608"), Decimal("0.06"))
    assert [note.number for note in with_notes.notes] == ["VNUM-NOTE-2030-000001"]


async def test_a_part_of_a_call_and_then_the_rest_of_it(october: Any) -> None:
    await october.note(ONE, CallCredit(call_id="c3", amount=Decimal("-0.02")))
    with pytest.raises(NoteExceedsInvoice, match=r"line 1: 0.04 of call c3 is left"):
        await october.note(ONE, CallCredit(call_id="c3", amount=Decimal("-0.041")))
    rest = await october.note(ONE, CallCredit(call_id="c3"))
    assert [(line.charged, line.correct) for line in rest.lines] == [(Decimal("0.04"), Decimal(0))]
    with pytest.raises(NoteExceedsInvoice, match=r"line 1: 0 of call c3 is left") as refused:
        await october.note(ONE, CallCredit(call_id="c3"))
    assert refused.value.code == "note_exceeds_invoice"


async def test_a_binding_or_a_day_of_it(october: Any) -> None:
    binding = UUID(int=1)
    day = await october.note(ONE, BindingCredit(binding_id=binding, biz_date=date(2026, 10, 4)))
    assert [(line.kind, line.biz_date, line.amount) for line in day.lines] == [
        ("rental_day", date(2026, 10, 4), Decimal("-0.00018"))
    ]
    assert (day.amount_due, day.carried_out) == (Decimal("0.00"), Decimal("-0.00018"))
    with pytest.raises(NoteExceedsInvoice):
        await october.note(ONE, BindingCredit(binding_id=binding, biz_date=date(2026, 10, 4)))
    (line,) = (await october.note(ONE, BindingCredit(binding_id=binding))).lines  # the nine days left
    assert (line.order_id, line.charged, line.amount) == ("o-1", Decimal("0.00162"), Decimal("-0.00162"))
    with pytest.raises(NoteExceedsInvoice):
        await october.note(ONE, BindingCredit(binding_id=binding, biz_date=date(2026, 10, 5)))


async def test_two_days_in_one_note_take_no_more_than_the_binding_has_left(october: Any) -> None:
    binding = UUID(int=1)
    await october.note(ONE, BindingCredit(binding_id=binding, amount=Decimal("-0.0016")))  # 0.0002 is left
    days = [BindingCredit(binding_id=binding, biz_date=date(2026, 10, day)) for day in (4, 5)]
    note = await october.note(ONE, *days)
    assert [line.amount for line in note.lines] == [Decimal("-0.00018"), Decimal("-0.00002")]


async def test_all_credits_stay_below_what_was_charged_and_debited(october: Any) -> None:
    with pytest.raises(
        NoteExceedsInvoice, match=f"invoice {ONE} comes to 0.1218 with its notes: so much can be credited, and 0.1219"
    ):
        await october.note(ONE, free("-0.1219"))
    debit = await october.note(ONE, free("1.005"))
    assert (debit.kind, debit.amount_due, debit.carried_out) == ("debit", Decimal("1.01"), Decimal("-0.005"))
    await october.note(ONE, free("-1.1268"))  # 0.1218 + 1.005: to nothing
    with pytest.raises(NoteExceedsInvoice):
        await october.note(ONE, free("-0.000000000001"))
    assert len(await october.notes()) == 2


BAD: list[tuple[list[Any], dict[str, str], list[str]]] = [
    ([], {}, ["a note has 1 to 1000 lines"]),
    ([free("-0.01")] * 1001, {}, ["a note has 1 to 1000 lines"]),
    ([free("-0.01")], {"reason": " ", "author": ""}, ["reason must be", "author must be"]),
    ([free("-0.01")], {"reason": "x" * 501}, ["reason must be 1 to 500"]),
    ([free("-0.01")], {"reason": "a\nb", "author": "a\0"}, ["reason must be", "author must be"]),
    (
        [free("0"), free("NaN"), free("-Infinity"), free("1E+9")],
        {},
        [f"line {n}: amount must be a" for n in range(1, 5)],
    ),
    ([free("-0.0000000000001")], {}, ["line 1: amount must have at most 12 places"]),
    ([FreeLine(item=Item.CALL, amount=Decimal(-1), text=" ")], {}, ["line 1: text must be"]),
    ([free("-0.01"), free("0.01")], {}, ["the lines come to nothing"]),
    ([free("-0.01", tax=Tax(mode="added", rate=Decimal("0.06")))], {}, ["line 1: the invoice has other taxes there"]),
    ([CallCredit(call_id="c1", amount=Decimal("0.01"))], {}, ["line 1: amount must be below 0"]),
    ([CallCredit(call_id="c9")], {}, [f"line 1: invoice {ONE} has no call c9"]),
    ([CallCredit(call_id="november")], {}, [f"invoice {ONE} has no call november"]),
    ([CallCredit(call_id="others")], {}, [f"invoice {ONE} has no call others"]),
    ([CallCredit(call_id="c1")] * 2, {}, ["call c1 stands twice"]),
    ([BindingCredit(binding_id=UUID(int=99))], {}, [f"line 1: invoice {ONE} has no binding"]),
    ([BindingCredit(binding_id=UUID(int=1), biz_date=date(2026, 10, 13))], {}, ["on 2026-10-13"]),
    ([BindingCredit(binding_id=UUID(int=1))] * 2, {}, ["stands twice"]),
    (
        [BindingCredit(binding_id=UUID(int=1)), BindingCredit(binding_id=UUID(int=1), biz_date=date(2026, 10, 4))],
        {},
        ["stands as a whole and by a day"],
    ),
    (
        [CallCredit(call_id="c9"), free("0"), CallCredit(call_id="c1", amount=Decimal(-5))],
        {"reason": ""},
        ["reason must be", "line 2: amount", "line 1: invoice", "line 3: 0.02 of call c1 is left"],
    ),
]


@pytest.mark.parametrize(("lines", "cause", "words"), BAD)
async def test_every_problem_of_a_note_is_named(
    october: Any, lines: list[Any], cause: dict[str, str], words: list[str]
) -> None:
    await october.call("m", "2026-11-05 10:00:00", "2026-11-05 10:01:00", "november")
    await october.account("other")
    await october.call("other", "2026-10-05 10:00:00", "2026-10-05 10:01:00", "others")
    with pytest.raises(NoteInvalid) as refused:
        await october.note(ONE, *lines, **cause)
    assert refused.value.code == "note_invalid"
    found = refused.value.message.split("; ") if len(words) > 1 else [refused.value.message]
    assert len(found) == len(words), found
    assert all(word in text for word, text in zip(words, found, strict=True)), found
    assert await october.notes() == []


async def test_an_unknown_invoice_and_an_unknown_note(october: Any) -> None:
    with pytest.raises(InvoiceNotFound):
        await october.note("VNUM-2026-000009", free("-0.01"))
    with pytest.raises(NoteNotFound) as refused:
        await get_note(october.owner, "VNUM-NOTE-2026-000001")
    assert refused.value.code == "note_not_found"


async def test_a_late_call_is_credited_on_the_invoice_that_took_it(october: Any) -> None:
    await october.call("m", "2026-10-20 10:00:00", "2026-10-20 10:00:30", "late")
    await october.close("2026-11", at="2026-12-01 03:00")
    with pytest.raises(NoteInvalid, match="has no call late"):
        await october.note(ONE, CallCredit(call_id="late"))
    (line,) = (await october.note("VNUM-2026-000002", CallCredit(call_id="late"))).lines
    assert (line.kind, line.biz_date, line.amount) == ("late_call", date(2026, 10, 20), Decimal("-0.02"))


async def test_a_call_on_free_minutes_is_credited_as_it_was_charged(world: Any) -> None:
    """3 free minutes a month: of calls of 2, 2 and 2 minutes the second pays one, the third both."""
    await world.account("m", tariff="free3")
    await world.tariff(1, "2026-01-01 00:00", "0.00018", "0.02", tariff="free3", free_minutes=3)
    for hour in (10, 11, 12):
        await world.call("m", f"2026-01-05 {hour}:00:00", f"2026-01-05 {hour}:02:00", f"at {hour}")
    await world.close("2026-01", at="2026-02-01 03:00")
    note = await world.note(ONE, CallCredit(call_id="at 12"), CallCredit(call_id="at 11"))
    assert [line.amount for line in note.lines] == [Decimal("-0.04"), Decimal("-0.02")]
    with pytest.raises(NoteExceedsInvoice, match="0 of call at 10 is left"):
        await world.note(ONE, CallCredit(call_id="at 10"))


async def test_tax_is_noted_as_it_was_charged(world: Any) -> None:
    """Prices without tax, 6 % on top until the 16th, then 3 %: 10 days at 0.01 and a minute at 1.00, twice."""
    await world.account("m", tariff="net")
    for version, since, rate in ((1, "2026-01-01 00:00", "0.06"), (2, "2026-01-16 00:00", "0.03")):
        await world.tariff(version, since, "0.01", "1", tariff="net", tax_mode="added", tax_rate=Decimal(rate))
    await world.rental("m", "2026-01-11 00:00", "2026-01-21 00:00")
    await world.call("m", "2026-01-12 10:00:00", "2026-01-12 10:01:00", "six")
    await world.call("m", "2026-01-20 10:00:00", "2026-01-20 10:01:00", "three")
    await world.close("2026-01", at="2026-02-01 03:00")  # 2.1 + 1.05 x 0.06 + 1.05 x 0.03 = 2.1945
    note = await world.note(ONE, CallCredit(call_id="six"), CallCredit(call_id="three"))
    # -2 - 0.06 - 0.03 = -2.09
    assert (note.total_exact, note.tax_exact, note.amount_due) == (Decimal(-2), Decimal("-0.09"), Decimal("-2.09"))
    assert [(of.tax.rate, of.base, of.added) for of in note.taxes] == [
        (Decimal("0.03"), Decimal(-1), Decimal("-0.03")),
        (Decimal("0.06"), Decimal(-1), Decimal("-0.06")),
    ]
    with pytest.raises(NoteInvalid, match=r"other taxes there; name one: added 0.06 or added 0.03"):
        await world.note(ONE, free("-0.01"))
    named = await world.note(ONE, free("0.01", tax=Tax(mode="added", rate=Decimal("0.03"))))
    assert (named.total_exact, named.tax_exact) == (Decimal("0.01"), Decimal("0.0003"))
    with pytest.raises(NoteInvalid, match="several taxes; name each by its biz_date"):
        await world.note(ONE, BindingCredit(binding_id=UUID(int=1), amount=Decimal("-0.05")))
    whole = await world.note(ONE, BindingCredit(binding_id=UUID(int=1)))  # five days under each
    assert [(line.tax.rate, line.amount) for line in whole.lines] == [
        (Decimal("0.06"), Decimal("-0.05")),
        (Decimal("0.03"), Decimal("-0.05")),
    ]


async def test_rests_are_carried_once_through_two_closes(october: Any) -> None:
    """October left 0.0018. Two notes: -0.0018 exact (due 0.00) and -0.023 (due -0.02): -0.0048 to be carried."""
    await october.note(ONE, BindingCredit(binding_id=UUID(int=1)), at="2026-11-02 09:00")
    await october.note(ONE, free("-0.023"), at="2026-11-03 09:00")
    await october.close("2026-11", at="2026-12-01 03:00")  # no usage: no invoice, so nobody takes the rests
    for month in (12, 13):
        year, of = divmod(month - 1, 12)
        await october.call("m", f"{2026 + year}-{of + 1:02}-05 10:00", f"{2026 + year}-{of + 1:02}-05 10:01")
    await october.close("2026-12", at="2027-01-01 03:00")
    (december,) = await october.invoices("2026-12")
    # 0.0018 - 0.0018 - 0.003 = -0.003; with 0.02: balance 0.017, due 0.02, rest -0.003
    assert (december.carried_in, december.balance) == (Decimal("-0.003"), Decimal("0.017"))
    assert (december.amount_due, december.carried_out) == (Decimal("0.02"), Decimal("-0.003"))
    taken = await october.owner.fetch("SELECT * FROM note_carries ORDER BY note_number")
    assert [tuple(row) for row in taken] == [
        ("VNUM-NOTE-2026-000001", december.number),
        ("VNUM-NOTE-2026-000002", december.number),
    ]
    assert (await correct(october.owner, december)).takes == [row["note_number"] for row in taken]
    await october.close("2027-01", at="2027-02-01 03:00")
    (january,) = await october.invoices("2027-01")
    assert january.carried_in == december.carried_out  # and not the notes' once more
    assert await sum_of_all(october) == Decimal("0.1218") - Decimal("0.0018") - Decimal("0.023") + Decimal("0.04")


async def sum_of_all(world: Any) -> Decimal:
    """What was asked for, the last rest, and the rests that no invoice has taken."""
    found: Decimal = await world.owner.fetchval(
        "SELECT (SELECT sum(amount_due) FROM invoices) + (SELECT sum(amount_due) FROM notes)"
        " + (SELECT carried_out FROM invoices ORDER BY period DESC LIMIT 1)"
        " + (SELECT coalesce(sum(carried_out), 0) FROM notes WHERE note_number NOT IN"
        " (SELECT note_number FROM note_carries))"
    )
    return found


async def test_a_draft_carries_the_rests_that_the_invoice_will(october: Any) -> None:
    await october.note(ONE, free("-0.003"))
    await october.call("m", "2026-11-05 10:00", "2026-11-05 10:01")
    (live,) = await draft(october.pool, Period.parse("2026-11"), now=october.at("2026-11-20 09:00"))
    assert live.carried_in == Decimal("0.0018") - Decimal("0.003")
    await october.close("2026-11")
    assert (await october.invoices("2026-11"))[0].carried_in == live.carried_in


@pytest.mark.parametrize("seed", [3, 20_261_122])
async def test_whatever_is_noted_between_closes_no_rest_is_lost(world: Any, seed: int) -> None:
    """A year of random months (some without usage) and notes on any earlier invoice, with rests on both sides of 0."""
    dice = random.Random(seed)
    await world.account("m", opened="2026-01-01 00:00")
    noted = Decimal(0)
    for month in range(1, 13):
        for n in range(dice.choice([0, 1, 3]) if month > 1 else 2):
            await world.rental(
                "m", f"2026-{month:02}-0{n + 1} 08:00", f"2026-{month:02}-{dice.randrange(11, 28)} 08:00"
            )
        await world.close(f"2026-{month:02}")
        invoices = await world.invoices()
        for _ in range(dice.randrange(4)):
            amount = Decimal(dice.randrange(1, 99_999)) / 1_000_000 * dice.choice([1, 1, -1])
            with suppress(NoteExceedsInvoice):
                noted += (await world.note(dice.choice(invoices).number, free(str(amount)))).balance
    charged = sum((invoice.total_exact for invoice in await world.invoices()), Decimal(0))
    assert await sum_of_all(world) == charged + noted
    assert len(await world.notes()) > 5


async def test_a_note_that_is_issued_during_a_close_waits_for_the_next(
    october: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issued after the rests were read and before the invoice is written: neither lost nor taken unseen."""
    read_owed = ledger.read_owed

    async def slow(*args: Any, **options: Any) -> Any:
        owed = await read_owed(*args, **options)
        if not await october.notes():
            await october.note(ONE, free("-0.003"))
        return owed

    monkeypatch.setattr(ledger, "read_owed", slow)
    for month in (11, 12):
        await october.call("m", f"2026-{month}-05 10:00", f"2026-{month}-05 10:01")
    await october.close("2026-11")
    (november,) = await october.invoices("2026-11")
    assert november.carried_in == Decimal("0.0018")
    assert await october.owner.fetchval("SELECT count(*) FROM note_carries") == 0
    await october.close("2026-12")
    (december,) = await october.invoices("2026-12")
    assert december.carried_in == november.carried_out - Decimal("0.003")
    assert await sum_of_all(october) == Decimal("0.1218") - Decimal("0.003") + Decimal("0.04")


async def test_a_close_that_fails_takes_no_rest(october: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await october.note(ONE, free("-0.003"))
    await october.call("m", "2026-11-05 10:00", "2026-11-05 10:01")

    async def crash(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("billing.ledger._complete", crash)
    with pytest.raises(ConnectionError):
        await october.close("2026-11")
    monkeypatch.undo()
    assert await october.owner.fetchval("SELECT count(*) FROM note_carries") == 0
    await october.close("2026-11")
    assert (await october.invoices("2026-11"))[0].carried_in == Decimal("0.0018") - Decimal("0.003")


async def test_the_years_last_minute_is_shanghais(october: Any) -> None:
    numbers = [
        (await october.note(ONE, free("-0.001"), at=at)).number
        for at in ("2026-12-31 23:59:59.999999", "2027-01-01 00:00", "2027-01-01 07:59")  # the last two: 2026 in UTC
    ]
    assert numbers == ["VNUM-NOTE-2026-000001", "VNUM-NOTE-2027-000001", "VNUM-NOTE-2027-000002"]


async def test_notes_at_once_have_numbers_without_a_gap_and_never_exceed_the_invoice(october: Any) -> None:
    """Twenty credits of 0.01 on 0.1218: twelve fit, whoever comes first."""
    tries = [october.note(ONE, free("-0.01"), at="2026-11-05 09:00") for _ in range(20)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    refused = [one for one in done if isinstance(one, BaseException)]
    assert {type(one) for one in refused} == {NoteExceedsInvoice}
    assert [note.serial.serial for note in await october.notes()] == list(range(1, 13))
    assert len(refused) == 8


async def test_a_note_that_breaks_off_leaves_nothing(october: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    insert = note_ledger._insert

    async def crash(*args: Any) -> None:
        await insert(*args)
        raise ConnectionError

    monkeypatch.setattr(note_ledger, "_insert", crash)
    with pytest.raises(ConnectionError):
        await october.note(ONE, free("-0.01"))
    monkeypatch.undo()
    assert await october.notes() == []
    assert (await october.note(ONE, free("-0.01"))).serial.serial == 1


async def test_notes_are_listed(october: Any) -> None:
    await october.account("n", opened="2026-10-01 00:00")
    await october.call("n", "2026-11-05 10:00", "2026-11-05 10:01")
    await october.close("2026-10", merchant_id="n")
    await october.close("2026-11", at="2026-12-01 03:00")
    two = "VNUM-2026-000002"
    for number, at in ((ONE, "2026-12-02 09:00"), (two, "2026-12-03 09:00"), (ONE, "2027-01-03 09:00")):
        await october.note(number, free("-0.001"), at=at)
    notes = await october.notes()
    assert [(note.merchant_id, note.serial.year, note.serial.serial) for note in notes] == [
        ("m", 2026, 1), ("n", 2026, 2), ("m", 2027, 1),
    ]  # fmt: skip
    for found, of in (
        ([0, 2], {"invoice_number": ONE}),
        ([1], {"period": Period.parse("2026-11")}),
        ([1], {"merchant_ids": ["n"]}),
        ([], {"merchant_ids": []}),
        ([1, 2], {"after": notes[0]}),
        ([2], {"after": notes[0], "merchant_ids": ["m"]}),
        ([0], {"limit": 1}),
    ):
        assert await list_notes(october.owner, **of) == [notes[n] for n in found], of


async def test_even_the_owner_cannot_write_a_note_that_does_not_add_up(october: Any) -> None:
    await october.note(ONE, CallCredit(call_id="c1"))
    for statement in (
        "UPDATE notes SET amount_due = amount_due + 1",
        "UPDATE notes SET kind = 'debit'",
        "UPDATE notes SET reason = ''",
        "UPDATE notes SET year = 2031",
        "UPDATE note_lines SET amount = 1",
        "UPDATE note_lines SET kind = 'rental_day'",
        "UPDATE note_lines SET added = 1",
        "UPDATE note_lines SET charged = NULL",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await october.owner.execute(statement)


def test_each_refusal_of_a_note_has_a_code() -> None:
    assert {kind.code for kind in (NoteInvalid, NoteNotFound, NoteExceedsInvoice)} == {
        "note_invalid",
        "note_not_found",
        "note_exceeds_invoice",
    }
    assert issubclass(NoteInvalid, BillingRefusal)
