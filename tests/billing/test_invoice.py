"""Sums, one rounding, and what is carried (billing rule 6.7), on plain values."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.invoice import Buyer, Invoice, Kind, Late, Line, MerchantId, Serial, make_invoice, problems
from billing.periods import Period

PERIOD = Period.parse("2026-10")
SERIAL = Serial(issuer="VNUM", year=2026, serial=1)
BUYER = Buyer(merchant_id=MerchantId("m"), invoice_title=None, tax_no=None)


def line(quantity: int, rate: str = "0.00018", kind: Kind = Kind.RENTAL_DAY) -> Line:
    return Line(
        kind=kind,
        tariff_id="default",
        tariff_version=1,
        rate=Decimal(rate),
        starts_at=PERIOD.starts_at,
        ends_at=PERIOD.ends_at,
        count=1,
        quantity=quantity,
        amount=Decimal(rate) * quantity,
    )


def invoice(*lines: Line, late: str = "0", carried_in: str = "0") -> Invoice:
    amount = Decimal(late)
    return make_invoice(
        serial=SERIAL,
        buyer=BUYER,
        period=PERIOD,
        closed_at=datetime(2026, 11, 1, tzinfo=UTC),
        lines=lines,
        late=[Late(count=1, amount=amount)] if amount else [],
        carried_in=Decimal(carried_in),
    )


@pytest.mark.parametrize(
    ("quantity", "late", "carried_in", "total", "due", "carried_out"),
    [
        (30, "0", "0", "0.0054", "0.01", "-0.0046"),
        (27, "0", "0", "0.00486", "0.00", "0.00486"),
        (1, "0", "-0.0046", "0.00018", "0.00", "-0.00442"),
        (0, "0.04", "-0.0046", "0.04", "0.04", "-0.0046"),
        (0, "0.02", "-0.005", "0.02", "0.02", "-0.005"),
        (0, "0.02", "0.0049", "0.02", "0.02", "0.0049"),
        (10**12, "0", "0", "180000000", "180000000.00", "0"),
    ],
)
def test_sums(quantity: int, late: str, carried_in: str, total: str, due: str, carried_out: str) -> None:
    made = invoice(*[line(quantity)] * bool(quantity), late=late, carried_in=carried_in)
    assert made.total_exact == Decimal(total)
    assert made.balance == Decimal(carried_in) + Decimal(total)
    assert str(made.amount_due) == due
    assert made.carried_out == Decimal(carried_out)
    assert problems(made) == []


amounts = st.decimals(min_value=0, max_value=5, places=7)


@given(st.lists(amounts, min_size=1, max_size=40))
def test_nothing_is_lost_or_charged_twice_by_rounding(months: list[Decimal]) -> None:
    carried, due = Decimal(0), Fraction(0)
    for amount in months:
        made = invoice(late=str(amount), carried_in=str(carried))
        assert problems(made) == []
        assert abs(made.carried_out) <= Decimal("0.005")
        carried, due = made.carried_out, due + Fraction(made.amount_due)
    assert due + Fraction(carried) == sum(map(Fraction, months))


def test_every_problem_is_named() -> None:
    sound = invoice(line(30), line(3, "0.02", Kind.CALL))
    wrong_line = msgspec.structs.replace(sound.lines[0], amount=Decimal(1), count=31, ends_at=PERIOD.next.ends_at)
    wrong = msgspec.structs.replace(
        sound,
        lines=(wrong_line, sound.lines[1]),
        carried_in=Decimal("0.1"),
        amount_due=Decimal("0.06"),
        late=(Late(count=0, amount=Decimal("0.5")),),
    )
    found = problems(wrong)
    words = [
        "30 x 0.00018",
        "31 bindings",
        "outside of",
        "total_exact",
        "balance",
        "amount_due",
        "carried_out",
        "taxes",
    ]
    assert [word for word in words if not any(word in text for text in found)] == []
    assert any("without any call" in text for text in found)
    assert len(found) == 9


def test_numbers_go_on_behind_six_digits() -> None:
    assert SERIAL.number == "VNUM-2026-000001"
    assert msgspec.structs.replace(SERIAL, serial=1_000_000).number == "VNUM-2026-1000000"
