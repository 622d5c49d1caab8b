"""The Damm check digit: one last digit that makes a mis-keyed extension reach nobody instead of a stranger.

The table is a totally anti-symmetric quasigroup of order 10, the one published by H. Michael Damm ("Total
anti-symmetrische Quasigruppen", Marburg 2004). It catches every single wrong digit and every swap of two
neighbours, the check digit's own place included. Leading zeros do not change the digit, so it does not catch
a left-out leading zero; the fixed length of a host's extensions does.
"""

from typing import Final

_TABLE: Final = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)


def check_digit(digits: str) -> str:
    """The digit to put behind `digits` ("" gives "0"). ValueError when one of them is not 0 to 9."""
    if digits and not _all_digits(digits):
        raise ValueError("a check digit is computed over the digits 0 to 9 only; remove everything else")
    return str(_interim(digits))


def is_valid(digits: str) -> bool:
    """Whether the last of `digits` is the check digit of those before it; False for "" and for non-digits."""
    return _all_digits(digits) and _interim(digits) == 0


def _all_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _interim(digits: str) -> int:
    interim = 0
    for digit in digits:
        interim = _TABLE[interim][ord(digit) - 48]
    return interim
