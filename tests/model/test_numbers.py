"""Hosts, extensions and virtual numbers: every written form, there and back, and what is refused and why."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vnum.model.numbers import (
    Extension,
    Form,
    Host,
    NumberError,
    Plan,
    VirtualNumber,
    bracket,
    extension_of,
    format_number,
    index_of,
    parse_bracket,
    parse_extension,
    parse_host,
    parse_number,
)

DIGITS = "0123456789"
NUMBER = VirtualNumber(host=Host("18400913965"), extension=Extension("7576"))


def _digits(low: int, high: int) -> st.SearchStrategy[str]:
    return st.text(DIGITS, min_size=low, max_size=high)


mobiles = st.builds(str.__add__, st.sampled_from(["138", "184", "170", "167", "199"]), _digits(8, 8))
fixed_lines = st.builds(str.__add__, st.sampled_from(["0216", "0106", "0208", "07015", "09195"]), _digits(7, 7)).map(
    lambda text: text[:11]
)
hosts = st.one_of(mobiles, fixed_lines, _digits(8, 8).map("700".__add__)).map(Host)
extensions = _digits(1, 4).map(Extension)
numbers = st.builds(VirtualNumber, host=hosts, extension=st.none() | extensions)


@pytest.mark.parametrize(
    ("text", "plan", "host"),
    [
        ("18400913965", Plan.HOST_EXT, "18400913965"),
        ("13800001111", Plan.HOST_EXT, "13800001111"),
        ("17012345678", Plan.HOST_EXT, "17012345678"),
        ("17112345678", Plan.HOST_EXT, "17112345678"),
        ("16712345678", Plan.HOST_EXT, "16712345678"),
        ("16212345678", Plan.HOST_EXT, "16212345678"),
        (" 184 0091\u30003965\n", Plan.HOST_EXT, "18400913965"),
        ("+86 184 0091 3965", Plan.HOST_EXT, "18400913965"),
        ("008618400913965", Plan.HOST_EXT, "18400913965"),
        ("8618400913965", Plan.HOST_EXT, "18400913965"),
        ("１８４００９１３９６５", Plan.HOST_EXT, "18400913965"),
        ("＋８６18400913965", Plan.HOST_EXT, "18400913965"),
        ("\u202d18400913965\u202c", Plan.HOST_EXT, "18400913965"),
        ("02112345678", Plan.HOST_EXT, "02112345678"),
        ("01012345678", Plan.HOST_EXT, "01012345678"),
        ("07015234567", Plan.HOST_EXT, "07015234567"),
        ("+862112345678", Plan.HOST_EXT, "02112345678"),
        ("+8602112345678", Plan.HOST_EXT, "02112345678"),
        ("861012345678", Plan.HOST_EXT, "01012345678"),
        ("+867015234567", Plan.HOST_EXT, "07015234567"),
        ("09555512345", Plan.HOST_EXT, "09555512345"),  # area 0955, not a 95 service number
        ("70012345678", Plan.P700, "70012345678"),
        ("+86 700 1234 5678", Plan.P700, "70012345678"),
    ],
)
def test_hosts(text: str, plan: Plan, host: str) -> None:
    assert parse_host(text, plan) == host


@pytest.mark.parametrize(
    ("text", "plan", "says"),
    [
        ("", Plan.HOST_EXT, "0 digits"),
        ("1840091396", Plan.HOST_EXT, "10 digits"),
        ("184009139655", Plan.HOST_EXT, "12 digits"),
        ("057112345678", Plan.HOST_EXT, "12 digits"),  # Hangzhou has 8 digits behind its area code
        ("2112345678", Plan.HOST_EXT, "10 digits"),
        ("12012345678", Plan.HOST_EXT, "mobile or a fixed line"),
        ("14812345678", Plan.HOST_EXT, "mobile or a fixed line"),
        ("95012345678", Plan.HOST_EXT, "mobile or a fixed line"),
        ("04001234567", Plan.HOST_EXT, "mobile or a fixed line"),
        ("01381234567", Plan.HOST_EXT, "mobile or a fixed line"),
        ("00012345678", Plan.HOST_EXT, "mobile or a fixed line"),
        ("95555", Plan.HOST_EXT, "5 digits"),
        ("4001234567", Plan.HOST_EXT, "10 digits"),
        ("70012345678", Plan.HOST_EXT, "need plan 700"),
        ("18400913965", Plan.P700, "begins with 700"),
        ("7001234567", Plan.P700, "10 digits"),
        ("1840091396x", Plan.HOST_EXT, "character 11 of the host ('x'"),
        ("184-0091-3965", Plan.HOST_EXT, "character 4 of the host ('-'"),
        ("+12025550123", Plan.HOST_EXT, "character 1 of the host ('+'"),
        ("1840091396①", Plan.HOST_EXT, "character 11"),
        ("1840091396٥", Plan.HOST_EXT, "character 11"),
        ("1" * 65, Plan.HOST_EXT, "65 characters"),
    ],
)
def test_refused_hosts(text: str, plan: Plan, says: str) -> None:
    with pytest.raises(NumberError, match=re.escape(says)) as caught:
        parse_host(text, plan)
    assert caught.value.code == "invalid_host"


@pytest.mark.parametrize(
    ("text", "digits", "extension"),
    [
        ("7576", None, "7576"),
        ("0007", 4, "0007"),
        ("7", 1, "7"),
        (" ７５ 76 ", 4, "7576"),
        ("７５７６", 4, "7576"),
        ("00", None, "00"),
    ],
)
def test_extensions(text: str, digits: int | None, extension: str) -> None:
    assert parse_extension(text, digits) == extension


@pytest.mark.parametrize(
    ("text", "digits", "says"),
    [
        ("", None, "0 digits: write 1 to 4"),
        ("75760", None, "5 digits: write 1 to 4"),
        ("757", 4, "3 digits: write exactly 4"),
        ("75a6", None, "character 3 of the extension ('a')"),
        ("-576", None, "character 1"),
        ("٣", None, "character 1"),
        ("²²²²", 4, "character 1"),
        ("12345", 5, "5 digits"),
        ("7" * 65, None, "65 characters"),
    ],
)
def test_refused_extensions(text: str, digits: int | None, says: str) -> None:
    with pytest.raises(NumberError, match=re.escape(says)) as caught:
        parse_extension(text, digits)
    assert caught.value.code == "invalid_extension"


def test_every_extension_has_an_index() -> None:
    for digits in (1, 2, 3, 4):
        every = [extension_of(index, digits) for index in range(10**digits)]
        assert every == sorted(set(every))
        assert [index_of(extension) for extension in every] == list(range(10**digits))
        assert all(parse_extension(extension, digits) == extension for extension in every)


@pytest.mark.parametrize(("index", "digits"), [(-1, 4), (10_000, 4), (10, 1), (0, 0), (0, 5)])
def test_no_such_index(index: int, digits: int) -> None:
    with pytest.raises(NumberError, match="no index"):
        extension_of(index, digits)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (Form.DASH, "18400913965-7576"),
        (Form.HASH, "18400913965#7576"),
        (Form.COMMA, "18400913965,7576"),
        (Form.CHINESE, "18400913965转7576"),
        (Form.TEL, "tel:18400913965,,7576"),
        (Form.DIALLED, "184009139657576"),
        (Form.BRACKET, "18400913965[7576]"),
    ],
)
def test_forms(form: Form, text: str) -> None:
    assert format_number(NUMBER, form) == text
    assert parse_number(text) == NUMBER


def test_the_default_form_is_the_dash() -> None:
    assert format_number(NUMBER) == "18400913965-7576"


@pytest.mark.parametrize(
    "text",
    [
        "１８４００９１３９６５－７５７６",
        "18400913965＃7576",
        "18400913965，7576",
        "18400913965［7576］",
        "18400913965【7576】",
        "18400913965 – 7576",
        "18400913965—7576",
        " 184 0091 3965 - 7576 ",
        "184 0091 3965 7576",
        "18400913965 转 7576",
        "18400913965分机7576",
        "18400913965 转分机：7576",
        "18400913965转分机号7576",
        "18400913965转接7576",
        "18400913965 ext 7576",
        "18400913965 EXT.7576",
        "18400913965x7576",
        "18400913965;ext=7576",
        "tel:+8618400913965;ext=7576",
        "TEL：18400913965,,,,7576",
        "tel:184009139657576",
        "18400913965, ,7576",
        "+86 18400913965-7576",
        "+86 184 0091 3965 7576",
        "008618400913965#7576",
        "86184009139657576",
    ],
)
def test_written_variants(text: str) -> None:
    assert parse_number(text) == NUMBER


@pytest.mark.parametrize(
    ("text", "host", "extension"),
    [
        ("18400913965", "18400913965", None),
        ("+8618400913965", "18400913965", None),
        ("8618400913965", "18400913965", None),
        ("008618400913965", "18400913965", None),  # 15 digits, but a country code first
        ("700123456780042", "70012345678", "0042"),
        ("+86700123456780042", "70012345678", "0042"),
        ("70012345678-0042", "70012345678", "0042"),
        ("02112345678-801", "02112345678", "801"),
        ("862112345678", "02112345678", None),
        ("+8621123456787576", "02112345678", "7576"),
        ("184009139657", "18400913965", "7"),
        ("18400913965-007", "18400913965", "007"),
    ],
)
def test_other_numbers(text: str, host: str, extension: str | None) -> None:
    assert parse_number(text) == VirtualNumber(
        host=Host(host), extension=None if extension is None else Extension(extension)
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_number"),
        ("  ", "invalid_number"),
        ("tel:", "invalid_number"),
        ("tel:tel:18400913965", "invalid_number"),
        ("张三[7576]", "invalid_number"),
        ("[7576]", "invalid_number"),
        ("-7576", "invalid_number"),
        ("18400913965/7576", "invalid_number"),
        ("18400913965]7576", "invalid_number"),
        ("18400913965[7576", "invalid_number"),
        ("18400913965[7576]x", "invalid_number"),
        ("18400913965(7576)", "invalid_number"),
        ("1840091396575761", "invalid_number"),
        ("1" * 65, "invalid_number"),
        ("-" * 64, "invalid_number"),
        ("+", "invalid_host"),
        ("1840091396", "invalid_host"),
        ("1840091396-7576", "invalid_host"),
        ("184009139655-7576", "invalid_host"),
        ("184-00913965-7576", "invalid_host"),
        ("021-12345678", "invalid_host"),
        ("120091396557576", "invalid_host"),
        ("+18400913965-7576", "invalid_host"),
        ("12012345678-7576", "invalid_host"),
        ("10086", "invalid_host"),
        ("18400913965-", "invalid_extension"),
        ("18400913965[]", "invalid_extension"),
        ("18400913965--7576", "invalid_extension"),
        ("18400913965-75761", "invalid_extension"),
        ("18400913965-7576#", "invalid_extension"),
        ("18400913965-75a6", "invalid_extension"),
        ("18400913965,,,,,,,,,7576", "invalid_extension"),
        ("18400913965转转7576", "invalid_extension"),
    ],
)
def test_refused_numbers(text: str, code: str) -> None:
    with pytest.raises(NumberError) as caught:
        parse_number(text)
    assert caught.value.code == code


@given(numbers, st.sampled_from(Form))
def test_every_form_reads_back(number: VirtualNumber, form: Form) -> None:
    assert parse_number(format_number(number, form)) == number


@given(numbers, st.sampled_from(Form), st.sampled_from(["", " ", "\u3000", "\t"]), st.booleans())
def test_full_width_and_blanks_read_back(number: VirtualNumber, form: Form, blank: str, wide: bool) -> None:
    text = blank.join(format_number(number, form))
    wider = {n: n + 0xFEE0 for n in range(0x21, 0x7F)} if wide else {}
    assert parse_number(text.translate(wider)) == number


@given(hosts)
def test_hosts_read_back(host: Host) -> None:
    plan = Plan.P700 if host.startswith("700") else Plan.HOST_EXT
    assert parse_host(host, plan) == parse_host(f"+86 {host}", plan) == host


@given(st.text(max_size=80) | st.text("0184-#,转[]+tel: ;extx", max_size=64))
@example("18400913965")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        number = parse_number(text)
    except NumberError as error:
        assert error.code in {"invalid_host", "invalid_extension", "invalid_number"}  # noqa: PT017
        assert not any(run in str(error) for run in re.findall(r"[0-9]{5,}", text))  # noqa: PT017
    else:
        assert parse_number(format_number(number)) == number


@pytest.mark.parametrize(
    ("text", "name", "extension"),
    [
        ("张三[7576]", "张三", "7576"),
        ("张三［7576］", "张三", "7576"),
        ("张三【7576】 ", "张三", "7576"),
        ("张三[老王][0042]", "张三[老王]", "0042"),
        ("张三[1111][7576]", "张三[1111]", "7576"),
        ("张[三[7576]", "张[三", "7576"),
        ("上海市浦东新区1号[ 75 76 ]", "上海市浦东新区1号", "7576"),
        ("[7576]", "", "7576"),
    ],
)
def test_brackets(text: str, name: str, extension: str) -> None:
    assert parse_bracket(text) == (name, extension)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_number"),
        ("张三", "invalid_number"),
        ("张三7576]", "invalid_number"),
        ("张三[7576", "invalid_number"),
        ("张三[7576]先生", "invalid_number"),
        ("张" * 257 + "[7576]", "invalid_number"),
        ("张" * 10_000, "invalid_number"),
        ("张三[]", "invalid_extension"),
        ("张三[7576][老王]", "invalid_extension"),
        ("张三[75767]", "invalid_extension"),
    ],
)
def test_refused_brackets(text: str, code: str) -> None:
    with pytest.raises(NumberError) as caught:
        parse_bracket(text)
    assert caught.value.code == code


@given(st.text(max_size=256) | st.text("[]［］【】7 ", max_size=256), extensions)
def test_brackets_read_back(name: str, extension: Extension) -> None:
    assert parse_bracket(bracket(name, extension)) == (name, extension)


def test_a_bracket_is_not_put_behind_an_endless_name() -> None:
    assert parse_bracket(bracket("张" * 256, Extension("7576")))[1] == "7576"
    with pytest.raises(NumberError, match="257 characters"):
        bracket("张" * 257, Extension("7576"))
