"""Money is exact decimal: nothing in billing/ can make a float of it."""

import ast
from decimal import Decimal, Inexact
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import billing
from billing.money import half_up, plain, times, total, two_places

SOURCES = sorted(Path(billing.__file__).parent.rglob("*.py"))


def floats_in(tree: ast.AST) -> list[str]:
    """Everything by which a float could enter: its literals, float(...) and round(...)."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            found.append(f"line {node.lineno}: {node.value}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("float", "round"):
            found.append(f"line {node.lineno}: {node.func.id}()")
    return found


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_no_float_can_enter(source: Path) -> None:
    assert floats_in(ast.parse(source.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("text", ["x = 0.02", "x = float(y)", "x = round(y, 2)", "x = 1e3"])
def test_the_float_check_can_fail(text: str) -> None:
    assert floats_in(ast.parse(text))


def test_billing_does_not_know_its_host() -> None:
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "vnum"], source


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0"), ("0.000", "0"), ("-0.00", "0"), ("-0", "0"), ("2165.70", "2165.7"), ("100", "100"),
        ("1E+3", "1000"), ("1E-7", "0.0000001"), ("-0.0040", "-0.004"), ("0.00018", "0.00018"), ("-12", "-12"),
    ],
)  # fmt: skip
def test_plain(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_plain_loses_nothing(amount: Decimal) -> None:
    text = plain(amount)
    assert Decimal(text) == amount
    assert "E" not in text.upper()
    assert "." not in text or text[-1] not in "0."


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [
        ("0", "0.00"), ("0.004", "0.00"), ("0.005", "0.01"), ("0.0049999999999999999999999999999999", "0.00"),
        ("0.015", "0.02"), ("0.025", "0.03"), ("1.005", "1.01"), ("2.675", "2.68"), ("-0.004", "0.00"),
        ("-0.005", "-0.01"), ("123456789012345678901234567890.125", "123456789012345678901234567890.13"),
    ],
)  # fmt: skip
def test_half_up(amount: str, rounded: str) -> None:
    result = half_up(Decimal(amount))
    assert str(result) == two_places(result) == rounded


def test_two_places_never_rounds() -> None:
    with pytest.raises(Inexact):
        two_places(Decimal("0.005"))


def test_products_and_sums_keep_every_digit() -> None:
    tiny = Decimal("0." + "0" * 60 + "7")
    assert total([Decimal(10**40), times(tiny, 3)]) == Decimal(f"{10**40}." + "0" * 59 + "21")
