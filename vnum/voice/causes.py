"""What a SIP answer means as a Q.850 cause, as in the table of RFC 3398."""

from typing import Final

NO_RESPONSE: Final = 18
NO_ANSWER: Final = 19
OUT_OF_ORDER: Final = 27
UNSPECIFIED: Final = 31
NO_CIRCUIT: Final = 34
NETWORK: Final = 38

_CAUSES: Final = {
    400: 41,
    401: 21,
    402: 21,
    403: 21,
    404: 1,
    405: 63,
    406: 79,
    407: 21,
    408: 18,  # the table has 102, which here is the cut at the limit
    410: 22,
    415: 79,
    480: 18,
    481: 41,
    482: 25,
    483: 25,
    484: 28,
    485: 1,
    486: 17,
    500: 41,
    501: 79,
    502: 38,
    503: 41,
    504: 41,
    600: 17,
    603: 21,
    604: 1,
}


def cause_of(said: str) -> int:
    """Of what the SIP library says about a leg that never was answered: "486 Busy Here", or an error's words."""
    status = said[:3]
    if len(status) == 3 and status.isascii() and status.isdigit():
        return _CAUSES.get(int(status), UNSPECIFIED)
    return NO_RESPONSE if "timed out" in said.lower() else NETWORK
