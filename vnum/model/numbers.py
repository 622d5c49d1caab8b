"""Virtual numbers: an 11-digit host and an extension of 1 to 4 digits, in every written form.

The forms are those of merchants' labels and messages: Douyin joins with a dash (the default here), PDD with
#, others with a comma or 转; a name or address carries the extension alone in brackets; a phone dials with
pauses; the 700 plan dials all 15 digits at once. `phonenumbers` refuses such numbers: this is their parser.

Full-width characters and blanks (also inside) are read like plain ones, and +86, 0086 or 86 before a host is
dropped. Messages never repeat the digits: what came in could be somebody's real phone.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType

from vnum.model.phones import EXTENSION_MARK, MAX_TEXT, is_fixed_line, is_mobile, plain

Host = NewType("Host", str)
Extension = NewType("Extension", str)

HOST_DIGITS: Final = 11
MAX_EXTENSION_DIGITS: Final = 4
MAX_NAME: Final = 256  # characters of a name or address that carries a bracket
_MAX_BRACKET: Final = 16  # characters of the bracket itself, blanks included

_COUNTRY: Final = re.compile(r"\+?(?:00)?86")  # no host begins so: hosts begin with 0, 1 or 700
_WHOLE: Final = re.compile(r"0|1[1-9]|700")  # anything else behind +86 is an area code that lost its 0
_NO_DIGIT: Final = re.compile(r"[^0-9]")
_HEAD: Final = re.compile(r"\+?[0-9]*")
_JOINT: Final = re.compile(rf"-|\[|{EXTENSION_MARK}")


class Plan(StrEnum):
    """How a host's digits are managed: an ordinary number with an extension keyed in, or the 700 plan."""

    HOST_EXT = "host_ext"
    P700 = "700"


class Form(StrEnum):
    """The ways to write one number. Without an extension every form is the host alone."""

    DASH = "dash"  # 18400913965-7576
    HASH = "hash"  # 18400913965#7576
    COMMA = "comma"  # 18400913965,7576
    CHINESE = "chinese"  # 18400913965转7576
    TEL = "tel"  # tel:18400913965,,7576
    DIALLED = "dialled"  # 184009139657576
    BRACKET = "bracket"  # 18400913965[7576]; `bracket` puts the extension behind a name instead


_JOINTS: Final = {
    Form.DASH: "-",
    Form.HASH: "#",
    Form.COMMA: ",",
    Form.CHINESE: "转",
    Form.TEL: ",,",
    Form.DIALLED: "",
    Form.BRACKET: "[",
}


class NumberError(ValueError):
    """A text that is no virtual number. `code` is "invalid_host", "invalid_extension" or "invalid_number"."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualNumber:
    """A host as `parse_host` returns it, and its extension; None: the host alone, which reaches nobody."""

    host: Host
    extension: Extension | None


def parse_host(text: str, plan: Plan) -> Host:
    """The 11 digits of a host, as dialled inside the mainland (a fixed line with its 0); NumberError if none.

    Plan host_ext takes what phonenumbers knows as a mobile or as a fixed line of 11 digits with the 0, so no
    95, 400 or other service number. Plan 700, which phonenumbers does not know, takes 700 and 8 more digits.
    """
    if len(text) > MAX_TEXT:
        raise NumberError("invalid_host", f"a host of {len(text)} characters: write its {HOST_DIGITS} digits")
    return _host(_domestic(plain(text)), plan)


def parse_extension(text: str, digits: int | None = None) -> Extension:
    """An extension of 1 to 4 digits, or of exactly `digits`, leading zeros kept; NumberError if none."""
    if digits == len(text) <= MAX_EXTENSION_DIGITS and text.isascii() and text.isdigit():
        return Extension(text)
    wanted = f"1 to {MAX_EXTENSION_DIGITS} digits" if digits is None else f"exactly {digits} digits"
    if len(text) > MAX_TEXT:
        raise NumberError("invalid_extension", f"an extension of {len(text)} characters: write {wanted}")
    written = plain(text)
    odd = _NO_DIGIT.search(written)
    if odd:
        where = f"character {odd.start() + 1} of the extension ({odd[0]!r})"
        raise NumberError("invalid_extension", f"{where} is not a digit: write {wanted}")
    if not 1 <= len(written) <= MAX_EXTENSION_DIGITS or digits not in (None, len(written)):
        raise NumberError("invalid_extension", f"an extension of {len(written)} digits: write {wanted}")
    return Extension(written)


def extension_of(index: int, digits: int) -> Extension:
    """The extension at `index` (0 to 10**digits - 1) of a host with extensions of `digits` digits."""
    if not 1 <= digits <= MAX_EXTENSION_DIGITS or not 0 <= index < 10**digits:
        raise NumberError("invalid_extension", f"no index {index} among extensions of {digits} digits")
    return Extension(f"{index:0{digits}d}")


def index_of(extension: Extension) -> int:
    """The inverse of `extension_of`; "0007" and "7" are both 7, of hosts with another number of digits."""
    return int(extension)


def format_number(number: VirtualNumber, form: Form = Form.DASH) -> str:
    """`number` written in `form`; `parse_number` reads every one of them back."""
    head = f"tel:{number.host}" if form is Form.TEL else number.host
    if number.extension is None:
        return head
    tail = "]" if form is Form.BRACKET else ""
    return f"{head}{_JOINTS[form]}{number.extension}{tail}"


def parse_number(text: str) -> VirtualNumber:
    """The number that `text` writes in any form of `Form` or a near variant of it; NumberError if none.

    Variants: 分机, 转分机, ext, x and ;ext= for 转; up to eight pause commas; "tel:" before any form; blanks
    anywhere; full-width characters. 11 digits alone give extension None; 12 to 15 are a number dialled at
    once. A host of either plan is taken.
    """
    if len(text) > MAX_TEXT:
        raise NumberError("invalid_number", f"a number of {len(text)} characters: at most {MAX_TEXT} are read")
    written = plain(text).lower().removeprefix("tel:")
    head = _HEAD.match(written)
    end = head.end() if head else 0
    if end == 0:
        raise NumberError("invalid_number", f"no host at the start: write {HOST_DIGITS} digits-extension")
    if end == len(written):
        return _dialled(_domestic(written))
    host = _host_of_any_plan(_domestic(written[:end]))
    return VirtualNumber(host=host, extension=parse_extension(_behind_joint(written, end)))


def bracket(text: str, extension: Extension) -> str:
    """A name or address with the extension behind it: `张三[7576]`. NumberError when over 256 characters."""
    if len(text) > MAX_NAME:
        raise _name_too_long(len(text))
    return f"{text}[{extension}]"


def parse_bracket(text: str) -> tuple[str, Extension]:
    """The inverse of `bracket`: (name or address as it stands, extension); NumberError if none.

    The last bracket counts and must end the text, so that brackets inside a name do no harm. ［］ and 【】
    are read too.
    """
    if len(text) > MAX_NAME + _MAX_BRACKET:
        raise _name_too_long(len(text))
    ended = text.rstrip()
    start = max(ended.rfind(opening) for opening in "[［【")
    if start < 0 or ended[-1] not in "]］】":
        raise NumberError("invalid_number", "no [extension] at the end of the text: write name[extension]")
    if start > MAX_NAME:
        raise _name_too_long(start)
    return text[:start], parse_extension(ended[start + 1 : -1])


def _name_too_long(length: int) -> NumberError:
    return NumberError("invalid_number", f"a name of {length} characters: at most {MAX_NAME} carry an extension")


def _domestic(written: str) -> str:
    """Without the country code, as dialled inside the mainland: an area code gets its 0 back."""
    country = _COUNTRY.match(written)
    if country is None:
        return written
    rest = written[country.end() :]
    return rest if _WHOLE.match(rest) else "0" + rest


def _host(digits: str, plan: Plan) -> Host:
    odd = _NO_DIGIT.search(digits)
    if odd:
        where = f"character {odd.start() + 1} of the host ({odd[0]!r}, blanks and country code not counted)"
        raise NumberError("invalid_host", f"{where} is not a digit: write its {HOST_DIGITS} digits")
    if len(digits) != HOST_DIGITS:
        raise NumberError("invalid_host", f"a host of {len(digits)} digits: write {HOST_DIGITS}")
    if not _in_plan(digits, plan):
        raise NumberError("invalid_host", f"not a host of plan {plan}: {_HINTS[plan]}")
    return Host(digits)


_HINTS: Final = {
    Plan.HOST_EXT: "write a Chinese mobile or a fixed line with its area code; 700 numbers need plan 700",
    Plan.P700: "such a host begins with 700; ordinary numbers need plan host_ext",
}


def _in_plan(digits: str, plan: Plan) -> bool:
    if plan is Plan.P700:
        return digits.startswith("700")
    return is_mobile(digits) or (digits[0] == "0" and is_fixed_line(digits[1:]))


def _host_of_any_plan(digits: str) -> Host:
    return _host(digits, Plan.P700 if digits.startswith("700") else Plan.HOST_EXT)


def _dialled(digits: str) -> VirtualNumber:
    """11 digits alone, or 12 to 15 keyed in one go."""
    if len(digits) > HOST_DIGITS + MAX_EXTENSION_DIGITS:
        raise NumberError("invalid_number", f"{len(digits)} digits in one go: at most 11 and 4 belong to a number")
    host = _host_of_any_plan(digits[:HOST_DIGITS])
    return VirtualNumber(host=host, extension=Extension(digits[HOST_DIGITS:]) or None)


def _behind_joint(written: str, end: int) -> str:
    """The text of the extension behind the sign that joins it to the host, which ends at `end`."""
    joint = _JOINT.match(written, end)
    if joint is None:
        where = f"character {end + 1} ({written[end]!r}, blanks not counted)"
        raise NumberError("invalid_number", f"{where} joins no extension: write - # , 转 or [] before it")
    rest = written[joint.end() :]
    if joint[0] != "[":
        return rest
    if not rest.endswith("]"):
        raise NumberError("invalid_number", "the bracket round the extension is not closed: write host[extension]")
    return rest[:-1]
