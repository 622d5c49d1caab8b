"""Which codes an endpoint may answer: those that it declares, and those of every endpoint of its kind."""

from collections import defaultdict
from typing import Final

from vnum.api.endpoint import Endpoint
from vnum.api.problems import STATUS, EdgeCode
from vnum.model.refusals import Code

OF_ALL: Final = (Code.INVALID_REQUEST, Code.STORE_UNAVAILABLE, EdgeCode.REQUEST_TIMEOUT, EdgeCode.INTERNAL_ERROR)
WITH_A_KEY: Final = (
    Code.UNAUTHORIZED,
    Code.SIGNATURE_INVALID,
    Code.TIMESTAMP_OUT_OF_RANGE,
    Code.NONCE_REUSED,
    Code.FORBIDDEN,
    Code.RATE_LIMITED,
)
WITH_A_BODY: Final = (EdgeCode.BODY_TIMEOUT, EdgeCode.BODY_TOO_LARGE, EdgeCode.UNSUPPORTED_MEDIA_TYPE)
CHANGING: Final = (Code.CLOCK_JUMP, Code.OUTCOME_UNKNOWN)
WITH_A_NAME: Final = (Code.NOT_FOUND,)
"""A part of the path that is empty, or has a slash in it, is another path."""

REPEATABLE: Final = (Code.IDEMPOTENCY_MISMATCH,)


def codes_of(endpoint: Endpoint) -> dict[int, list[str]]:
    """By HTTP status, in order."""
    groups = {
        OF_ALL: True,
        WITH_A_KEY: bool(endpoint.roles),
        WITH_A_BODY: endpoint.has_body or endpoint.file,
        CHANGING: endpoint.method != "GET",
        WITH_A_NAME: "{" in endpoint.path,
        REPEATABLE: endpoint.repeatable,
    }
    told = endpoint.told
    own = () if told is None else told.refuses
    codes = {*own, *(code for group, fits in groups.items() if fits for code in group)}
    found: defaultdict[int, list[str]] = defaultdict(list)
    for code, status in STATUS.items():  # in the order of the table
        if code in codes:
            found[status].append(str(code))
    return dict(sorted(found.items()))
