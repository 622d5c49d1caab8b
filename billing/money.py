"""Exact decimal money in CNY (billing rule 6.1). No float can enter: a test reads the syntax trees."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Final

ZERO = Decimal(0)
CENT = Decimal("0.01")
MOST_PLACES: Final = 12
"""Of a price; amounts have as many as they need."""

# Python's default context silently rounds to 28 digits; this one raises instead of losing a digit.
EXACT = Context(prec=1000, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])
_ROUNDING = Context(prec=1000, rounding=ROUND_HALF_UP, traps=[InvalidOperation, Overflow])


def times(rate: Decimal, units: int) -> Decimal:
    """The exact price of a number of units (days or minutes)."""
    return EXACT.multiply(rate, units)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    result = ZERO
    for amount in amounts:
        result = EXACT.add(result, amount)
    return result


def difference(left: Decimal, right: Decimal) -> Decimal:
    """left - right, exactly."""
    return EXACT.subtract(left, right)


def half_up(amount: Decimal) -> Decimal:
    """Round to 0.01, a half away from zero, the one rounding in all of billing (billing rule 6.7).

    >>> half_up(Decimal("0.125")), half_up(Decimal("-0.004"))
    (Decimal('0.13'), Decimal('0.00'))
    """
    return _ROUNDING.add(amount.quantize(CENT, context=_ROUNDING), ZERO)  # + 0 turns -0.00 into 0.00


def plain(amount: Decimal) -> str:
    """A plain decimal string: no exponent, no trailing zero, no minus before a zero.

    >>> plain(Decimal("2165.70")), plain(Decimal("1E+3")), plain(Decimal("-0.0040")), plain(Decimal("-0.0"))
    ('2165.7', '1000', '-0.004', '0')
    """
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def two_places(amount: Decimal) -> str:
    """An amount due, always with two places: "2165.70".

    Raises:
        Inexact: the amount has more places; rounding is not a matter of writing it down.
    """
    return format(amount.quantize(CENT, context=EXACT), "f")
