"""Recipients and callers: what is read, what is refused, that the short cut is exact, that nothing leaks."""

import random
import re

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vnum.model.phones import (
    Phone,
    PhoneError,
    holds_phone,
    is_mobile,
    mask,
    masked_caller,
    parse_caller,
    parse_recipient,
)

DIGITS = "0123456789"
ODD = "0123456789 +-()#,转ext;=分机０１＋－（）\u202d٣①"


@pytest.mark.parametrize(
    "text",
    [
        "13812345678",
        "138 1234 5678",
        "138-1234-5678",
        "+8613812345678",
        "+86 138 1234 5678",
        "86-13812345678",
        "86-138-1234-5678",
        "8613812345678",
        "008613812345678",
        "0086 138 1234 5678",
        "+008613812345678",
        "(+86)13812345678",
        "（＋８６）138-1234-5678",
        "013812345678",
        "１３８１２３４５６７８",
        "138－1234－5678",
        "\u202d138\u00a01234\u20115678\u202c",
        " 13812345678\n",
    ],
)
def test_one_mobile_in_every_writing(text: str) -> None:
    assert parse_recipient(text) == Phone(e164="+8613812345678", extension=None)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("021-12345678", "+862112345678"),
        ("02112345678", "+862112345678"),
        ("(021)12345678", "+862112345678"),
        ("（021）12345678", "+862112345678"),
        ("(021)-1234-5678", "+862112345678"),
        ("021-1234-5678", "+862112345678"),
        ("021 1234 5678", "+862112345678"),
        ("+86 21 12345678", "+862112345678"),
        ("+86 (0)21 12345678", "+862112345678"),
        ("(+86)(021)12345678", "+862112345678"),
        ("+86-021-12345678", "+862112345678"),
        ("862112345678", "+862112345678"),
        ("0086 21 12345678", "+862112345678"),
        ("021-12345678-801", "+862112345678;ext=801"),
        ("02112345678-801", "+862112345678;ext=801"),
        ("(021)12345678-801", "+862112345678;ext=801"),
        ("021-1234-5678-8001", "+862112345678;ext=8001"),
        ("021-12345678转801", "+862112345678;ext=801"),
        ("021-12345678 转分机 801", "+862112345678;ext=801"),
        ("021－12345678分机号：801", "+862112345678;ext=801"),
        ("021-12345678 ext. 801", "+862112345678;ext=801"),
        ("021-12345678x801", "+862112345678;ext=801"),
        ("021-12345678#801", "+862112345678;ext=801"),
        ("02112345678,,801", "+862112345678;ext=801"),
        ("+862112345678;ext=801", "+862112345678;ext=801"),
        ("0571-87654321-0", "+8657187654321;ext=0"),
        ("0701-5234567", "+867015234567"),
        ("0851-1234-5678", "+8685112345678"),  # 0851 has 7 or 8 digits behind it
        ("0851-2345678-8", "+868512345678;ext=8"),
    ],
)
def test_fixed_lines(text: str, canonical: str) -> None:
    phone = parse_recipient(text)
    assert phone.canonical == canonical
    assert Phone.from_canonical(canonical) == phone


REFUSED = [
    ("", "an empty phone"),
    ("\u3000", "an empty phone"),
    ("+", "no phone has them"),
    ("1381234567", "10 digits"),
    ("138123456789", "12 digits"),
    ("12012345678", "11 digits"),
    ("14812345678", "11 digits"),
    ("2112345678", "begins with its zero"),
    ("12345678", "8 digits"),
    ("110", "3 digits"),
    ("10086", "5 digits"),
    ("+8610086", "7 digits"),
    ("95555", "5 digits"),
    ("021-95555", "8 digits"),
    ("010-10086", "8 digits"),
    ("4001234567", "10 digits"),
    ("400-123-4567", "10 digits"),
    ("8008101234", "10 digits"),
    ("70012345678", "11 digits"),
    ("1795113812345678", "16 digits"),
    ("0" * 20, "of an unknown country"),
    ("+85291234567", "of HK"),
    ("0085291234567", "of HK"),
    ("+12025550123", "of US"),
    ("+999123456", "of an unknown country"),
    ("+80012345678", "of an unknown country"),
    ("13812345678-801", "a mobile with an extension"),
    ("18400913965#7576", "a mobile with an extension"),
    ("010-1234567-8", "no whole phone"),
    ("021-12345678-8011234", "18 digits"),
    ("021-12345678转8011234", "character 13"),
    ("021-12345678转", "character 13"),
    ("021-12345678-转801", "no phone has them"),
    ("转801", "an empty phone"),
    ("021--12345678", "no phone has them"),
    ("021(12345678)", "no phone has them"),
    ("138+12345678", "no phone has them"),
    ("1381234567O", "character 11"),
    ("1-800-FLOWERS", "character 7"),
    ("138.1234.5678", "character 4"),
    ("1381234567٣", "character 11"),
    ("1381234567①", "character 11"),
    ("13812345678 13912345678", "22 digits"),
    ("13812345678/13912345678", "character 12"),
    ("1" * 65, "65 characters"),
]


@pytest.mark.parametrize(("text", "says"), REFUSED)
def test_refused_recipients(text: str, says: str) -> None:
    with pytest.raises(PhoneError, match=re.escape(says)) as caught:
        parse_recipient(text)
    assert caught.value.code == "invalid_phone"
    assert caught.value.__cause__ is None


@given(st.text(ODD, max_size=70) | st.text(max_size=70) | st.text(DIGITS, max_size=20))
def test_no_error_repeats_the_phone(text: str) -> None:
    for parse in (parse_recipient, parse_caller):
        try:
            parse(text)
        except PhoneError as error:
            assert not re.search(r"[0-9]{3}", str(error))  # noqa: PT017
            assert "[" not in repr(error)  # noqa: PT017


def _by_phonenumbers(text: str) -> str | None:
    """What phonenumbers says: the E.164 of a mobile of mainland China, else None."""
    try:
        number = phonenumbers.parse(text, "CN")
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.number_type(number) != phonenumbers.PhoneNumberType.MOBILE:
        return None
    if not phonenumbers.is_valid_number_for_region(number, "CN"):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _same(text: str) -> bool:
    """Compare the short cut with phonenumbers on 11 digits; whether they are a mobile."""
    expected = _by_phonenumbers(text)
    assert is_mobile(text) == (expected is not None)
    if expected is not None:
        assert parse_recipient(text) == Phone(e164=expected, extension=None)
        assert parse_caller(text) == expected
    return expected is not None


def test_the_short_cut_equals_phonenumbers_on_100_000_numbers() -> None:
    """One of every prefix of five digits: phonenumbers tells mobiles apart by no more than those."""
    seeded = random.Random(20220901)
    texts = [f"{prefix:05d}{seeded.randrange(10**6):06d}" for prefix in range(100_000)]
    assert 4_000 < sum(map(_same, texts)) < 10_000  # 5,216 in the edition of this writing


@settings(max_examples=500)
@given(st.from_regex(r"1[0-9]{10}", fullmatch=True) | st.text(DIGITS, min_size=11, max_size=11))
@example("16101234567")
@example("17405999999")
@example("17406000000")
@example("17951001234")  # begins with a carrier's code for calls abroad
def test_the_short_cut_equals_phonenumbers(text: str) -> None:
    _same(text)


@given(st.text(ODD, max_size=24))
def test_a_recipient_is_always_valid_to_phonenumbers(text: str) -> None:
    try:
        phone = parse_recipient(text)
    except PhoneError:
        return
    assert phonenumbers.is_valid_number_for_region(phonenumbers.parse(phone.e164), "CN")


areas = st.sampled_from(["0216", "0106", "07015", "057187"])
fixed_lines = st.builds(
    lambda area, rest: area + rest[: {"0216": 7, "0106": 7, "07015": 6, "057187": 6}[area]],
    areas,
    st.text(DIGITS, min_size=7, max_size=7),
)


@given(
    fixed_lines,
    st.none() | st.text(DIGITS, min_size=1, max_size=6),
    st.sampled_from(["-", "转", " ext ", "#"]),
)
def test_fixed_lines_read_back(line: str, extension: str | None, joint: str) -> None:
    phone = parse_recipient(line if extension is None else line + joint + extension)
    assert phone == Phone(e164="+86" + line[1:], extension=extension)
    assert Phone.from_canonical(phone.canonical) == parse_recipient(phone.canonical) == phone


@pytest.mark.parametrize(
    "text",
    [
        "",
        "13812345678",
        "+86138",
        "+8613812345678;ext=",
        "+862112345678;ext=1234567",
        "+0612345678",
        "+86138\n",
    ],
)
def test_not_canonical(text: str) -> None:
    with pytest.raises(PhoneError, match="not the canonical text"):
        Phone.from_canonical(text)


@pytest.mark.parametrize(
    ("text", "caller"),
    [
        ("13812345678", "+8613812345678"),
        ("+8613812345678", "+8613812345678"),
        ("8613812345678", "+8613812345678"),
        ("008613812345678", "+8613812345678"),
        ("013812345678", "+8613812345678"),
        ("021-12345678", "+862112345678"),
        ("(021) 1234 5678", "+862112345678"),
        ("+862112345678", "+862112345678"),
        ("+85291234567", "+85291234567"),
        ("0085291234567", "+85291234567"),
        ("+1 (202) 555-0123", "+12025550123"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+390612345678", "+390612345678"),
        ("10086", "10086"),
        ("+8610086", "10086"),
        ("008695555", "95555"),
        ("4001234567", "4001234567"),
        ("+864001234567", "4001234567"),
        ("110", "110"),
        ("1", "1"),
        ("2112345678", "2112345678"),
        ("70012345678", "70012345678"),
        ("106912345678901234567890", "106912345678901234567890"),
        ("9" * 32, "9" * 32),
        ("+" + "9" * 32, "+" + "9" * 32),
        ("+999123", "+999123"),
        ("000", "000"),
        ("", "anonymous"),
        (" ", "anonymous"),
        ("Anonymous", "anonymous"),
        ("unknown", "anonymous"),
    ],
)
def test_callers(text: str, caller: str) -> None:
    assert parse_caller(text) == caller


@pytest.mark.parametrize("text", ["+", "-", "9" * 33, "abc", "1380013800a", "138#", "*67", "1+2", " " * 65, "٣"])
def test_refused_callers(text: str) -> None:
    with pytest.raises(PhoneError) as caught:
        parse_caller(text)
    assert caught.value.code == "invalid_caller"


@given(st.from_regex(r"(\+|00|\+86|0086|86|0|1|)[0-9]{1,28}", fullmatch=True))
def test_any_digits_are_a_caller_and_stay_it(text: str) -> None:
    caller = parse_caller(text)
    assert parse_caller(caller) == caller


@pytest.mark.parametrize(
    ("canonical", "masked"),
    [
        ("+8613812345678", "+86*********78"),
        ("+862112345678;ext=801", "+86********78;ext=***"),
        ("+12025550123", "+*********23"),
        ("02112345678801", "************01"),
        ("10086", "*****"),
        ("+8610086", "+86*****"),
        ("anonymous", "anonymous"),
        ("", ""),
    ],
)
def test_mask(canonical: str, masked: str) -> None:
    assert mask(canonical) == masked


def test_a_phone_shows_nothing_of_itself() -> None:
    phone = parse_recipient("021-12345678-801")
    shown = "Phone(+86********78;ext=***)"
    assert [repr(phone), str(phone), f"{phone}", repr([phone])] == [shown, shown, shown, f"[{shown}]"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("13812345678", "138****5678"),
        ("+86 138-1234-5678", "138****5678"),
        ("02112345678", "+86********78"),
        ("+14155552671", "+*********71"),
        ("10086", "*****"),
        ("", "anonymous"),
        ("anonymous", "anonymous"),
        ("13812345678x", "unreadable, 12 characters"),
        ("1" * 65, "unreadable, 65 characters"),
    ],
)
def test_what_people_see_of_a_caller(written: str, shown: str) -> None:
    assert masked_caller(written) == shown


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("he is 13812345678", True),
        ("(138 1234 5678)", True),
        ("+86-138-1234-5678.", True),
        ("008613812345678", True),
        ("电话１３８１２３４５６７８", True),
        ("021-12345678", True),
        ("0571 88889999", True),
        ("138.1234.5678", True),
        ("\u202d138\u200b12345678\u202c", True),
        ("(021)12345678", True),
        ("021 1234 5678", True),
        ("on 15.10.2026 10:30", False),
        ("15.10.2026 - 16.10.2026", False),
        ("order 20261105001", False),
        ("invoice VN-CN-2026-000001, 0.04 CNY", False),
        ("call 7f3a138123456789", False),
        ("at 2026-11-05 10:00:00", False),
        ("on 02-12-2026 10:30", False),
        ("", False),
    ],
)
def test_a_phone_in_a_sentence(text: str, there: bool) -> None:
    assert holds_phone(text) is there
