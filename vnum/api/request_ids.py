"""Ids of requests: the caller's own, if it is plain, or one of ours; in the answer and in every log line."""

import re
from itertools import count
from secrets import token_hex
from typing import Final

from vnum.model.masking import masked_text

HEADER: Final = "X-Request-Id"

_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_PHONE: Final = re.compile(r"(?<!\d)(?:(?:00)?86)?(?:1[3-9]\d{9}|0\d{9,11})(?!\d)", re.ASCII)
_MARKS: Final = str.maketrans("", "", "._-")
_OURS: Final = token_hex(6)
_NUMBERS: Final = count(1)


def known_as(given: str | None) -> str:
    """The given id, unless it is long, has other characters, or looks like a phone: it goes into logs."""
    if given is not None and _PLAIN.fullmatch(given) and not _tells_a_phone(given):
        return given
    return f"{_OURS}-{next(_NUMBERS):x}"


def _tells_a_phone(given: str) -> bool:
    """Also written apart, call-138-1234-5678; ids of digits and marks alone are looked at without the marks as well."""
    if _PHONE.search(given) or masked_text(given) != given:
        return True
    bare = given.translate(_MARKS)
    return bare.isdigit() and _PHONE.search(bare) is not None
