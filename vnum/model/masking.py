"""Masks whatever looks like a phone in a text: the last guard of a log.

Nothing of ours writes a phone into a log; this is for what nobody thought of: an exception's words, a library's line.

Masked are mainland mobiles and fixed lines in every written form of `phones.py` (with or without +86, 0086, 86, an area
code in brackets, blanks, dots, dashes, full-width digits, invisible marks, a fixed line's own extension) and E.164
numbers of other countries (with + or 00).

Masked too much, since it can not be told apart: a host number, bare or with its extension (but in the fields of
`OURS`, which hold what is registered), an order id that is exactly a mobile's digits, ten to twelve digits with a
leading 0 that an area code could begin, also among a few hex digits, a plus sign with seven digits and more
behind it. Not harmed: ids (UUIDs, runs of digits longer than a phone with its country code, 24 hex digits and more),
instants, IPv4 addresses. Not seen: a local number without its area code, and phones written without any separation from
other digits.
"""

import re
import unicodedata
from typing import Final

from vnum.model.phones import EXTENSION_MARK

MASK: Final = "[phone]"
OURS: Final = frozenset({"host", "number", "display_number"})
"""Fields that hold numbers of ours: they are checked against the registry before they are written."""

_GAP: Final = r"[-\s.()·_/]{0,3}"
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_KEEP: Final = (
    r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?![0-9a-fA-F])"
    r"|(?<![0-9])[12][0-9]{3}-[01][0-9]-[0-3][0-9](?:[T ][0-2][0-9]:[0-5][0-9](?::[0-6][0-9](?:[.,][0-9]{1,6})?)?"
    r"(?:Z|[+-][0-2][0-9]:?[0-5][0-9])?)?(?![0-9])"
    r"|(?<![0-9a-zA-Z])(?=[0-9]*[a-fA-F])[0-9a-fA-F]{24,}(?![0-9a-zA-Z])"
    rf"|(?<![0-9.])(?:{_OCTET}\.){{3}}{_OCTET}(?![0-9.])"
)
_COUNTRY: Final = rf"(?:(?:\+|00|\+00)?{_GAP}86{_GAP})?"
_MOBILE: Final = rf"1{_GAP}[3-9]" + rf"(?:{_GAP}[0-9]){{9}}"
_TAIL: Final = rf"(?:(?:{EXTENSION_MARK}|-)[0-9]{{1,6}}(?![0-9]))?"
_FIXED: Final = rf"0{_GAP}[1-9]" + rf"(?:{_GAP}[0-9]){{8,10}}"
_FIXED_86: Final = rf"(?:\+|00|\+00)?86{_GAP}[1-9]" + rf"(?:{_GAP}[0-9]){{8,10}}"
_ABROAD: Final = rf"(?:\+{_GAP}|00)[1-9]" + rf"(?:{_GAP}[0-9]){{6,14}}"
_FOUND: Final = re.compile(
    rf"(?P<keep>{_KEEP})"
    rf"|(?<![0-9])\(?{_COUNTRY}(?:{_MOBILE}|\(?{_FIXED})(?![0-9]){_TAIL}"
    rf"|(?<![0-9])(?:{_FIXED_86}|{_ABROAD})(?![0-9]){_TAIL}"
)
_DIGITS: Final = 7
_HOST: Final = re.compile(r"(\bhost [0-9]{11}(?![0-9]))")


def masked_text(text: str) -> str:
    """The text with every phone as `[phone]`; one that holds none comes back as it was."""
    if sum(sign.isdigit() for sign in text) < _DIGITS:
        return text
    seen = "".join(sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign) != "Cf")
    masked = _FOUND.sub(lambda found: found[0] if found["keep"] else MASK, seen)
    return text if masked == seen else masked


def masked_detail(detail: str) -> str:
    """The same of what a refusal says: people put phones where ids belong, and it may quote them. A host that it names
    as `host 18400913965` is a registered one, and stays."""
    return "".join(part if n % 2 else masked_text(part) for n, part in enumerate(_HOST.split(detail)))
