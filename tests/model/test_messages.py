"""What may be filled into a text, as tables."""

import pytest

from vnum.model.messages import TextInvalid, fill, has_phone, holes


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hello", set()),
        ("{a} and {b_2}, {a}", {"a", "b_2"}),
        ("{{a}}", None),
        ("{A}", None),
        ("{a", None),
        ("a}", None),
    ],
)
def test_placeholders(text: str, found: set[str] | None) -> None:
    if found is not None:
        assert holes(text) == found
        return
    with pytest.raises(TextInvalid):
        holes(text)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({}, "missing"),
        ({"order": "A1", "more": "x"}, "no others"),
        ({"order": "x" * 65}, "64 characters"),
        ({"order": "a\nb"}, "one line"),
        ({"order": "see https://evil.example"}, "no link"),
        ({"order": "www.evil"}, "no link"),
        ({"order": "evil.cn/x"}, "no link"),
        ({"order": "evil\uff0ecn"}, "no link"),
        ({"order": "ring 13812345678"}, "no phone"),
        ({"order": "138 1234 5678"}, "no phone"),
        ({"order": "\uff11\uff13\uff18\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18"}, "no phone"),
        ({"order": "一三八一二三四五六七八"}, "no phone"),
        ({"order": "+86-138-1234-5678"}, "no phone"),
        ({"order": "0571-12345678"}, "no phone"),
        ({"order": "400-123-4567"}, "no phone"),
    ],
)
def test_what_is_no_parameter(params: dict[str, str], why: str) -> None:
    with pytest.raises(TextInvalid, match=why) as invalid:
        fill("Parcel of {order}.", params, links=False, phones=False)
    assert "13812345678" not in str(invalid.value)


@pytest.mark.parametrize("value", ["A1001", "20261005000123456", "三号楼", "SF1234567890", "3.5 kg", "v1.2", "{order}"])
def test_what_is_one(value: str) -> None:
    assert fill("Parcel of {order}.", {"order": value}, links=False, phones=False) == f"Parcel of {value}."


def test_a_template_may_allow_more() -> None:
    params = {"order": "shop.example.com 18400913965-7576"}
    assert fill("{order}", params, links=True, phones=True) == params["order"]


@pytest.mark.parametrize(
    ("text", "has"), [("95588", True), ("2026", False), ("1381234567", False), ("0086 13812345678", True)]
)
def test_a_phone_in_a_text(text: str, has: bool) -> None:
    assert has_phone(text) is has
