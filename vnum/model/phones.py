"""Real phones: what a recipient or a caller may be, and how it is written so that two writings compare equal.

`phonenumbers` decides what a number of mainland China is. It is asked strictly: characters are checked here
first (its own parser would read vanity letters, carrier codes and short numbers as phones), and its answer
for mobiles is taken from its own metadata, which costs a fraction of a call.

A phone never appears in an error, a log or a repr: messages count digits and name countries, nothing more.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Self

import phonenumbers

ANONYMOUS: Final = "anonymous"
EXTENSION_MARK: Final = r"(?:;ext=|转?分机号?:?|转接?:?|ext[.:]?|x|#|,{1,8})"
"""Regex of what people write between a number and its extension, besides a dash. Bounded: no backtracking."""

MAX_TEXT: Final = 64  # characters; nothing longer is looked at
_MAX_CALLER_DIGITS: Final = 32
_WITHHELD: Final = frozenset({"", ANONYMOUS, "unknown", "restricted", "unavailable", "private"})

_HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"
_BLANKS = " \t\u00a0\u202f\u205f\u2060\u3000\ufeff" + "".join(
    map(chr, (*range(0x2000, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)  # with the invisible marks that address books put around a copied number
_PLAIN: Final[dict[int, str | None]] = {
    **{wide: chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(map(ord, _HYPHENS), "-"),
    **dict.fromkeys(map(ord, _BLANKS)),
    **dict.fromkeys(map(ord, "【〔"), "["),
    **dict.fromkeys(map(ord, "】〕"), "]"),
}


def _mobile_pattern() -> re.Pattern[str]:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region("CN")
    assert metadata is not None
    assert metadata.mobile is not None
    return re.compile(metadata.mobile.national_number_pattern or "", re.ASCII)


_MOBILE: Final = _mobile_pattern().fullmatch
_COUNTRY: Final = re.compile(r"\+?(?:00)?86")
_ABROAD: Final = re.compile(r"^(?:\+|00)(?=[1-9])")
_OPENING: Final = re.compile(r"^((?:\+?(?:00)?86-?)?)\((\+?[0-9]{1,4})\)-?")
_HEAD: Final = re.compile(r"[-+0-9()]*")
_GROUPS: Final = re.compile(r"\+?[0-9]{1,64}(?:-[0-9]{1,64}){0,5}")
_MARKED: Final = re.compile(EXTENSION_MARK + r"([0-9]{1,6})")
_EXTENSION: Final = re.compile(r"[0-9]{1,6}")
_CANONICAL: Final = re.compile(r"(\+[1-9][0-9]{5,14})(?:;ext=([0-9]{1,6}))?")
_WRITTEN_PHONE: Final = re.compile(
    r"(?<![0-9])(?:\+?(?:00)?86[- ]?)?"
    r"(?:1[- .]?[3-9](?:[- .]?[0-9]){9}|\(?0[1-9][0-9]{1,2}\)?[- ]?[1-9][0-9]{2,3}[- ]?[0-9]{4})(?![0-9])"
)
_CALLER: Final = re.compile(rf"\+?[0-9]{{1,{_MAX_CALLER_DIGITS}}}")
_SERVICE: Final = re.compile(r"[1-9][0-9]{2,7}|[48]00[0-9]{7}")  # 110, 10086, 95xxx, 400 and 800 numbers


class PhoneError(ValueError):
    """A phone that cannot be taken. `code` is stable: "invalid_phone" or "invalid_caller".

    The message never contains the phone or a part of it.
    """

    def __init__(self, message: str, code: str = "invalid_phone") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Phone:
    """A real phone: `e164` with its plus, `extension` a fixed line's own (1 to 6 digits) or None."""

    e164: str
    extension: str | None

    @property
    def canonical(self) -> str:
        """The one text of this phone, to encrypt and compare, as in RFC 3966: "+862112345678;ext=801"."""
        return self.e164 if self.extension is None else f"{self.e164};ext={self.extension}"

    @classmethod
    def from_canonical(cls, text: str) -> Self:
        """The inverse of `canonical`; PhoneError for any other text."""
        match = _CANONICAL.fullmatch(text)
        if match is None:
            raise PhoneError(f"not the canonical text of a phone ({len(text)} characters): parse it first")
        return cls(e164=match[1], extension=match[2])

    def __repr__(self) -> str:
        return f"Phone({mask(self.canonical)})"


def plain(text: str) -> str:
    """`text` with full-width characters, odd hyphens and brackets as ASCII; no blanks, no invisible marks.

    A table and not Unicode NFKC, which would also turn a circled or raised figure into a digit.
    """
    return text.strip().translate(_PLAIN)


def is_mobile(digits: str) -> bool:
    """Whether these 11 digits are a mainland mobile, in about a quarter of a microsecond."""
    return _MOBILE(digits) is not None


def is_fixed_line(national: str) -> bool:
    """Whether these 10 or 11 digits (area code without its 0, then 7 or 8 digits) are a mainland fixed line.

    Shorter ones that phonenumbers knows are service numbers behind an area code (021 95555) and do not count.
    """
    if len(national) not in (10, 11) or national[0] == "0":
        return False
    number = phonenumbers.PhoneNumber(country_code=86, national_number=int(national))
    return phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.FIXED_LINE


def parse_recipient(text: str) -> Phone:
    """The mainland mobile or fixed line that `text` writes, in any usual form; PhoneError for all else.

    A fixed line needs its area code, with the 0 unless +86, 0086 or 86 stands before it. It may have its own
    extension of 1 to 6 digits after a dash, 转, 分机, ext, x, # or a comma; digits after a dash are one when
    what stands before that dash is a whole phone. A mobile has no extension.
    """
    if _MOBILE(text):
        return Phone(e164="+86" + text, extension=None)
    if len(text) > MAX_TEXT:
        raise PhoneError(f"a phone of {len(text)} characters; at most {MAX_TEXT}")
    number, extension = _split(plain(text).lower())
    e164 = mainland(number)
    if e164 is None:
        raise PhoneError(_why_not(number))
    if extension is not None and _MOBILE(e164[3:]):
        raise PhoneError("a mobile with an extension; give the mobile alone, or a fixed line")
    return Phone(e164=e164, extension=extension)


def mainland(digits: str) -> str | None:
    """E.164 of a mainland mobile or fixed line in bare digits (an initial plus may stay), else None."""
    country = _COUNTRY.match(digits)
    national = digits[country.end() :] if country else digits
    has_area = country is not None or national.startswith("0")
    national = national.removeprefix("0")
    if _MOBILE(national) or (has_area and is_fixed_line(national)):
        return "+86" + national
    return None


def _split(written: str) -> tuple[str, str | None]:
    """(number in bare digits, extension or None) of a text in plain characters."""
    head = _HEAD.match(written)
    end = head.end() if head else 0
    number = _OPENING.sub(r"\1\2", written[:end], count=1)
    number = _OPENING.sub(r"\1\2", number, count=1)  # (+86)(021)
    marked = _MARKED.fullmatch(written, end)
    if end < len(written) and marked is None:
        raise PhoneError(
            f"at character {end + 1} (blanks not counted) stands something that is no part of a phone;"
            " only digits, + - ( ), and one extension of 1 to 6 digits after 转, ext or # are read"
        )
    if number and not _GROUPS.fullmatch(number):
        raise PhoneError("plus, dashes or brackets stand where no phone has them; give the digits alone")
    return (number.replace("-", ""), marked[1]) if marked else _split_dashed(number)


def _split_dashed(number: str) -> tuple[str, str | None]:
    front, _, last = number.rpartition("-")
    front = front.replace("-", "")
    if front and _EXTENSION.fullmatch(last) and mainland(front) is not None:
        return front, last
    if front and len(last) < 4:
        raise PhoneError("what stands before the last dash is no whole phone; write area code-number-extension")
    return front + last, None


def _why_not(digits: str) -> str:
    if not digits:
        return "an empty phone; give a mobile, or a fixed line with its area code"
    if digits.startswith(("+", "00")) and not _COUNTRY.match(digits):
        return f"a number of {_region(_ABROAD.sub('+', digits))}, not of mainland China"
    count = len(digits.lstrip("+"))
    return (
        f"{count} digits that are no mainland mobile and no fixed line with its area code;"
        " service numbers are not taken, and an area code begins with its zero"
    )


def _region(e164: str) -> str:
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return "an unknown country"
    region = phonenumbers.region_code_for_number(number) or ""
    return region if region.isalpha() else "an unknown country"


def parse_caller(text: str) -> str:
    """The canonical text of who calls, as a switch reports it; parsing the result again changes nothing.

    Mainland mobiles, fixed lines and other countries' numbers: E.164. A withheld number: ANONYMOUS. Service
    numbers and whatever else has up to 32 digits: those digits ("10086", also when the switch adds +86).
    A mainland number without its 0 or +86 stays as it is: it may be a service number. PhoneError
    "invalid_caller" only for letters, other signs, or more digits.
    """
    if _MOBILE(text):
        return "+86" + text
    if len(text) > MAX_TEXT:
        raise _invalid_caller(text)
    written = plain(text).lower()
    if written in _WITHHELD:
        return ANONYMOUS
    digits = _ABROAD.sub("+", re.sub(r"[-()]", "", written))
    if not _CALLER.fullmatch(digits):
        raise _invalid_caller(text)
    return mainland(digits) or _other_caller(digits)


def _invalid_caller(text: str) -> PhoneError:
    return PhoneError(
        f"a caller of {len(text)} characters that is not 1 to {_MAX_CALLER_DIGITS} digits, with or without"
        f' a plus; send "{ANONYMOUS}" for a withheld number',
        code="invalid_caller",
    )


def _other_caller(digits: str) -> str:
    if digits.startswith("+86"):
        return digits[3:] if _SERVICE.fullmatch(digits, 3) else digits
    if not digits.startswith("+"):
        return digits
    try:
        number = phonenumbers.parse(digits)
    except phonenumbers.NumberParseException:
        return digits
    if not phonenumbers.is_valid_number(number):
        return digits
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def can_be_rung(canonical: str) -> bool:
    """Whether what `parse_caller` gave can be dialled back as it stands: E.164, or a service number."""
    return canonical.startswith("+") or _SERVICE.fullmatch(canonical) is not None


def masked_caller(text: str) -> str:
    """A caller as a switch wrote it, for people who compare calls: "138****0000", or less of what is no mobile."""
    try:
        canonical = parse_caller(text)
    except PhoneError:
        return f"unreadable, {len(text)} characters"
    mobile = canonical.removeprefix("+86")
    return f"{mobile[:3]}****{mobile[-4:]}" if _MOBILE(mobile) else mask(canonical)


def holds_phone(text: str) -> bool:
    """Whether a phone of mainland China, or what looks like one, stands in a text that people wrote."""
    seen = "".join(sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign) != "Cf")
    return _WRITTEN_PHONE.search(seen) is not None


def mask(canonical: str) -> str:
    """What a log may show: the last two digits of a number of 7 or more, nothing of a shorter one.

    An extension is masked whole.
    """
    if canonical == ANONYMOUS:
        return canonical
    number, _, extension = canonical.partition(";ext=")
    prefix = "+86" if number.startswith("+86") else number[: number.startswith("+")]
    rest = number[len(prefix) :]
    shown = rest[-2:] if len(rest) >= 7 else ""
    tail = ";ext=" + "*" * len(extension) if extension else ""
    return prefix + "*" * (len(rest) - len(shown)) + shown + tail
