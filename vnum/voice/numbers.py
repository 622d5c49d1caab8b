"""Who rings whom, out of SIP URIs. Texts of the network: never logged."""

import re
from typing import Final
from urllib.parse import unquote

from vnum.model.numbers import NumberError, parse_number
from vnum.model.phones import ANONYMOUS

MOST: Final = 64

_URI: Final = re.compile(r"(?:^|<)\s*(?:sips?|tel):(?P<user>[^@>\s]{1,256})(?:@|>|$)", re.IGNORECASE)


def user_of(header: str) -> str:
    """The user part of a From or To value, unescaped, with its parameters; "" = none."""
    match = _URI.search(header)
    return "" if match is None else unquote(match["user"])


def caller_of(header: str) -> str:
    """The caller as the contract wants him: digits, or `anonymous`."""
    user = user_of(header).partition(";")[0]
    return user[:MOST] or ANONYMOUS


def dialled(header: str) -> tuple[str, str | None]:
    """(host, extension where the URI carries it). What is no number of ours is returned as the host, for vnum to
    refuse."""
    user = user_of(header)
    number, mark, rest = user.partition(";ext=")
    whole = f"{number.partition(';')[0]}{mark}{rest.partition(';')[0]}"
    try:
        found = parse_number(whole)
    except NumberError:
        return (whole[:MOST] or ANONYMOUS), None
    return found.host, found.extension
