"""The check digit catches every slip of one digit and every swap of neighbours, exhaustively for 4 digits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnum.model.damm import check_digit, is_valid

VALID = [f"{body:03d}" + check_digit(f"{body:03d}") for body in range(1000)]


@pytest.mark.parametrize(("digits", "check"), [("572", "4"), ("", "0"), ("0", "0"), ("1", "3"), ("11294", "6")])
def test_published_examples(digits: str, check: str) -> None:
    assert check_digit(digits) == check
    assert is_valid(digits + check)


def test_one_extension_in_ten_is_valid() -> None:
    assert [e for e in (f"{n:04d}" for n in range(10_000)) if is_valid(e)] == VALID


def test_every_single_wrong_digit_is_caught() -> None:
    for good in VALID:
        for place in range(4):
            wrong = (good[:place] + digit + good[place + 1 :] for digit in "0123456789" if digit != good[place])
            assert not any(map(is_valid, wrong)), good


def test_every_swap_of_neighbours_is_caught() -> None:
    for good in VALID:
        swapped = (good[:i] + good[i + 1] + good[i] + good[i + 2 :] for i in range(3))
        assert all(bad == good or not is_valid(bad) for bad in swapped), good


@given(st.text("0123456789", max_size=20))
def test_what_is_appended_is_the_only_valid_digit(digits: str) -> None:
    assert [d for d in "0123456789" if is_valid(digits + d)] == [check_digit(digits)]


@pytest.mark.parametrize("text", ["12a4", "12 4", "１２３４", "١٢٣٤", "-124", "²"])
def test_other_than_digits(text: str) -> None:
    assert not is_valid(text)
    with pytest.raises(ValueError, match="0 to 9"):
        check_digit(text)


def test_nothing_is_not_valid() -> None:
    assert not is_valid("")
