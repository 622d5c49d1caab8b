"""What looks like a phone is masked in any written form; ids and instants are not harmed."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnum.model.ids import new_id
from vnum.model.masking import MASK, masked_detail, masked_text
from vnum.model.phones import PhoneError, parse_recipient

MOBILES = st.builds("1{}{:09}".format, st.integers(3, 9), st.integers(0, 10**9 - 1))
AREAS = st.sampled_from(["010", "021", "0571", "0755", "0431", "0999"])
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1))  # noqa: DTZ001 - a zone is put to them below
FORMS = [
    "{0}",
    "+86{0}",
    "+86 {0}",
    "0086{0}",
    "86-{0}",
    "(+86){0}",
    "{1}-{2}-{3}",
    "{1} {2} {3}",
    "{1}.{2}.{3}",
    "+86-{1}-{2}-{3}",
    "0{0}",
]
WIDE = {ord("0") + n: 0xFF10 + n for n in range(10)}
AROUND = [
    "{}",
    "to {}.",
    "('{}',)",
    "手机{}号",
    "phone={},",
    "tel:{}",
    "x{}",
    "{}转801",
    "{}-801",
    "a {} b 2026-10-05",
    '{{"p":"{}"}}',
]


def digits(text: str) -> str:
    return "".join(sign for sign in text if sign.isdigit())


@given(MOBILES, st.sampled_from(FORMS), st.sampled_from(AROUND), st.booleans())
def test_a_mobile_in_any_form(mobile: str, form: str, around: str, wide: bool) -> None:
    written = form.format(mobile, mobile[:3], mobile[3:7], mobile[7:])
    masked = masked_text(around.format(written.translate(WIDE) if wide else written))
    assert MASK in masked
    assert mobile[3:] not in digits(masked)


@given(
    AREAS,
    st.integers(2 * 10**7, 9 * 10**7),
    st.sampled_from(["{}{}", "{}-{}", "({}){}", "{} {}"]),
    st.sampled_from(AROUND),
)
def test_a_fixed_line_in_any_form(area: str, number: int, form: str, around: str) -> None:
    masked = masked_text(around.format(form.format(area, number)))
    assert MASK in masked
    assert str(number) not in digits(masked)


@given(st.text(alphabet="0123456789+-()（）转 ext,#１２３８", max_size=24))
def test_whatever_is_taken_for_a_recipient_is_masked(text: str) -> None:
    """One judge for both: no form is read that is not masked."""
    try:
        phone = parse_recipient(text)
    except PhoneError:
        return
    assert MASK in masked_text(f"x {text} y")
    assert phone.e164[3:] not in digits(masked_text(f"x {text} y"))


@pytest.mark.parametrize(
    "text",
    ["+1 415 555 2671", "+442071838750", "0014155552671", "+852 2345 6789", "+862112345678;ext=801", "862112345678"],
)
def test_numbers_of_other_countries_and_canonical_ones(text: str) -> None:
    assert masked_text(text) == MASK


@given(st.integers(0, 4095), INSTANTS, st.binary(min_size=8, max_size=8))
def test_ids_are_not_harmed(cell: int, at: datetime, noise: bytes) -> None:
    text = f"binding {new_id(cell, at.replace(tzinfo=UTC), noise)} gone"
    assert masked_text(text) == text


@given(INSTANTS, st.integers(-12, 14), st.booleans())
def test_instants_are_not_harmed(at: datetime, hours: int, blank: bool) -> None:
    instant = at.replace(tzinfo=timezone(timedelta(hours=hours)))
    for text in (instant.isoformat(" " if blank else "T"), f"{at:%FT%TZ}", f"{at:%F}", f"{at:%F %T}"):
        assert masked_text(f"at {text}") == f"at {text}"


@pytest.mark.parametrize(
    "text",
    [
        "1763848685",
        "1763848685123",
        "order 20261122138123456781",
        "184009139657576",
        "127.0.0.1:54321",
        "192.168.10.200",
        "0.00018 1.2345678901",
        "sha256 0f1e13812345678abcdef0123456789a",
        "took 1234567 us",
        "10086",
        "110",
        "",
    ],
)
def test_what_is_no_phone_stays(text: str) -> None:
    assert masked_text(text) == text


def test_a_refusal_names_its_host_and_no_phone() -> None:
    said = "host 18400913965 is locked; no merchant 13812345678; host 138123456789; ghost 13812345678"
    assert masked_detail(said) == (f"host 18400913965 is locked; no merchant {MASK}; host 138123456789; ghost {MASK}")
