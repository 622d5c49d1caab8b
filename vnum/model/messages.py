"""Texts out of templates: what may be filled in, and what a filled-in text is. Plain functions."""

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

MOST_TEXT: Final = 500
MOST_PARAM: Final = 64
MOST_PARAMS: Final = 20

_HOLE: Final = re.compile(r"\{([a-z][a-z0-9_]{0,29})\}", re.ASCII)
_LINK: Final = re.compile(r"://|www\.|[a-z0-9-]\.[a-z]{2,}(?![a-z])|\u3002[a-z]{2,}", re.IGNORECASE)
_BETWEEN: Final = re.compile(r"[\s\-_.,()\[\]/*+\u00b7\u2010-\u2015\u3001\u3002]+")
_PHONE: Final = re.compile(r"(?<!\d)(?:(?:00)?86)?(?:1[3-9]\d{9}|0\d{9,11}|[48]00\d{7}|95\d{3,6})(?!\d)")
_CHINESE_DIGITS: Final = str.maketrans("〇零一二三四五六七八九壹贰叁肆伍陆柒捌玖幺", "001234567891234567891")


class Purpose(StrEnum):
    """What a text is for. There is none for marketing."""

    DELIVERY = "delivery"
    AFTER_SALES = "after_sales"


class TextInvalid(ValueError):
    """A template or a parameter that can not be used; says which and why, never what was sent."""


def holes(text: str) -> frozenset[str]:
    """The names of a template's {placeholders}. Raises TextInvalid."""
    left = _HOLE.sub("", text)
    if "{" in left or "}" in left:
        raise TextInvalid("text: a placeholder is written {name}, in lower-case letters, digits and _")
    found = frozenset(_HOLE.findall(text))
    if len(found) > MOST_PARAMS:
        raise TextInvalid(f"text: at most {MOST_PARAMS} placeholders")
    return found


def fill(text: str, params: Mapping[str, str], *, links: bool, phones: bool) -> str:
    """The template with its placeholders filled in. Raises TextInvalid."""
    wanted = holes(text)
    if missing := wanted - params.keys():
        raise TextInvalid(f"params: {', '.join(sorted(missing))} missing")
    if len(params) > len(wanted):
        raise TextInvalid(f"params: the template has {', '.join(sorted(wanted)) or 'no placeholders'} and no others")
    for name in sorted(wanted):
        _check(name, params[name], links=links, phones=phones)
    return _HOLE.sub(lambda hole: params[hole[1]], text)


def _check(name: str, value: str, *, links: bool, phones: bool) -> None:
    if len(value) > MOST_PARAM or not value.isprintable():
        raise TextInvalid(f"params: {name}: at most {MOST_PARAM} characters in one line")
    plain = unicodedata.normalize("NFKC", value)
    if not links and _LINK.search(plain):
        raise TextInvalid(f"params: {name}: this template takes no link")
    if not phones and has_phone(plain):
        raise TextInvalid(f"params: {name}: this template takes no phone")


def has_phone(text: str) -> bool:
    """Whether a mainland phone stands in it, however its digits are written."""
    digits = _BETWEEN.sub("", unicodedata.normalize("NFKC", text).translate(_CHINESE_DIGITS))
    return _PHONE.search(digits) is not None
