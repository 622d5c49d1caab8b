"""An amount of money in capital Chinese numerals, as bills write it: 壹佰元零伍分."""

from decimal import Decimal
from typing import Final

from billing.money import two_places

_DIGITS: Final = "零壹贰叁肆伍陆柒捌玖"
_GROUPS: Final = ((10**8, "亿"), (10**4, "万"))
_PLACES: Final = ((1000, "仟"), (100, "佰"), (10, "拾"))


def in_capitals(amount: Decimal) -> str:
    """An amount of at most two places; 整 where it ends with the yuan, 负 below zero.

    Raises:
        Inexact: it has more places.
    """
    yuan, cents = two_places(abs(amount)).split(".")
    whole = _whole(int(yuan))
    minus = "负" if amount < 0 else ""
    if cents == "00":
        return f"{minus}{whole or '零'}元整"
    jiao, fen = (_DIGITS[int(digit)] for digit in cents)
    tenths = f"{jiao}角" if jiao != "零" else "零" if whole else ""
    return minus + (f"{whole}元" if whole else "") + tenths + (f"{fen}分" if fen != "零" else "")


def _whole(number: int) -> str:
    """Empty for 0. A 零 stands for the zeros between two digits, also where a group of four ends with some."""
    for unit, name in (*_GROUPS, *_PLACES):
        if number >= unit:
            high, low = divmod(number, unit)
            ends_with_zero = (unit, name) in _GROUPS and high % 10 == 0
            gap = "零" if low and (low < unit // 10 or ends_with_zero) else ""
            return _whole(high) + name + gap + _whole(low)
    return _DIGITS[number] if number else ""
