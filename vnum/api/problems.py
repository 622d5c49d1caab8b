"""Every refusal as a problem (RFC 9457): the one table from code to HTTP status, and what an exception becomes.

A problem never carries a value that a caller sent in a phone's place, and a log line about one carries neither its
message nor its body: only what kind of exception it was, and where.
"""

import traceback
from enum import StrEnum
from typing import Final

import msgspec
import structlog
from aiohttp import web

from vnum.finance import BillingRefusal
from vnum.model.masking import masked_detail
from vnum.model.refusals import Code, Refusal, Refused, Shortage, UnusableFile
from vnum.service.group import Interrupted
from vnum.store.database import is_away, is_data_error

log = structlog.get_logger()

CONTENT_TYPE: Final = "application/problem+json"
RETRY_S: Final = "1"


class EdgeCode(StrEnum):
    """What only the HTTP edge refuses."""

    METHOD_NOT_ALLOWED = "method_not_allowed"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    BODY_TIMEOUT = "body_timeout"
    REQUEST_TIMEOUT = "request_timeout"
    INTERNAL_ERROR = "internal_error"


STATUS: Final[dict[str, int]] = {
    Code.INVALID_REQUEST: 400,
    Code.INVALID_PHONE: 400,
    Code.INVALID_HOST: 400,
    Code.INVALID_NUMBER: 400,
    Code.INVALID_CALLER: 400,
    Code.UNAUTHORIZED: 401,
    Code.SIGNATURE_INVALID: 401,
    Code.TIMESTAMP_OUT_OF_RANGE: 401,
    Code.NONCE_REUSED: 401,
    Code.FORBIDDEN: 403,
    Code.CALLER_LOCKED_OUT: 403,
    Code.TOO_MANY_TRIES: 403,
    Code.RECIPIENT_BLACKLISTED: 403,
    Code.CALLER_BLACKLISTED: 403,
    Code.CALLER_BLOCKED: 403,
    Code.CALLER_WITHHELD: 403,
    Code.CALLER_NOT_ALLOWED: 403,
    Code.PURPOSE_NOT_ALLOWED: 403,
    Code.QUIET_HOURS: 403,
    Code.CALLS_CAPPED: 403,
    Code.CALLS_CAPPED_BY_ALL: 403,
    Code.RECIPIENT_UNAVAILABLE: 403,
    Code.TEXTS_CAPPED: 403,
    Code.NOT_FOUND: 404,
    Code.MERCHANT_NOT_FOUND: 404,
    Code.HOST_NOT_FOUND: 404,
    Code.BINDING_NOT_FOUND: 404,
    Code.NO_BINDING: 404,
    Code.PARCEL_NOT_FOUND: 404,
    Code.KEY_NOT_FOUND: 404,
    Code.GRANT_NOT_FOUND: 404,
    Code.TARIFF_NOT_FOUND: 404,
    Code.INVOICE_NOT_FOUND: 404,
    Code.CALL_NOT_FOUND: 404,
    Code.CALLER_NOT_FOUND: 404,
    Code.BLACKLIST_NOT_FOUND: 404,
    Code.REVIEW_NOT_FOUND: 404,
    Code.DISPUTE_NOT_FOUND: 404,
    Code.NOTE_NOT_FOUND: 404,
    Code.TEMPLATE_NOT_FOUND: 404,
    Code.MESSAGE_NOT_FOUND: 404,
    Code.WEBHOOK_NOT_FOUND: 404,
    Code.DELIVERY_NOT_FOUND: 404,
    Code.MERCHANT_EXISTS: 409,
    Code.WEBHOOK_LIMIT: 409,
    Code.TEMPLATE_EXISTS: 409,
    Code.MESSAGE_CONFLICT: 409,
    Code.MERCHANT_SUSPENDED: 409,
    Code.SPEND_CAP_REACHED: 409,
    Code.HOST_EXISTS: 409,
    Code.HOST_IN_USE: 409,
    Code.HOST_LOCKED: 409,
    Code.BINDING_CONFLICT: 409,
    Code.BINDING_EXPIRED: 409,
    Code.BINDING_RELEASED: 409,
    Code.BINDING_MISMATCH: 409,
    Code.EVENT_CONFLICT: 409,
    Code.RECORD_CONFLICT: 409,
    Code.NO_NUMBER_AVAILABLE: 409,
    Code.PERIOD_NOT_OVER: 409,
    Code.PERIOD_NOT_CLOSED: 409,
    Code.PERIOD_OUT_OF_ORDER: 409,
    Code.PERIOD_CLOSED: 409,
    Code.REVIEW_DECIDED: 409,
    Code.DECISION_MISMATCH: 409,
    Code.DISPUTE_OPEN: 409,
    Code.DISPUTE_RESOLVED: 409,
    Code.DISPUTE_INVALID: 422,
    Code.NOTE_EXCEEDS_INVOICE: 409,
    Code.WEBHOOK_URL_REFUSED: 422,
    Code.SMS_NOT_SUPPORTED: 422,
    Code.SMS_NOT_POSSIBLE: 422,
    Code.RECIPIENT_TOKEN_INVALID: 422,
    Code.MESSAGE_INVALID: 422,
    Code.EXTEND_LIMIT: 422,
    Code.REACH_WINDOW_OVER: 422,
    Code.NOTE_INVALID: 422,
    Code.ORDER_NOT_SHIPPED: 422,
    Code.RECIPIENT_ERASED: 422,
    Code.RECIPIENT_OPTED_OUT: 422,
    Code.IDEMPOTENCY_MISMATCH: 422,
    Code.RELEASE_BEFORE_ANSWER: 422,
    Code.TIME_IN_FUTURE: 422,
    Code.UNUSABLE_FILE: 422,
    Code.SMS_NOT_CONFIGURED: 501,
    Code.RATE_LIMITED: 429,
    Code.CLOSE_BLOCKED: 503,
    Code.CLOCK_JUMP: 503,
    Code.OUTCOME_UNKNOWN: 503,
    Code.STORE_UNAVAILABLE: 503,
    Code.OVERLOADED: 503,
    EdgeCode.METHOD_NOT_ALLOWED: 405,
    EdgeCode.BODY_TIMEOUT: 408,
    EdgeCode.REQUEST_TIMEOUT: 503,
    EdgeCode.BODY_TOO_LARGE: 413,
    EdgeCode.UNSUPPORTED_MEDIA_TYPE: 415,
    EdgeCode.INTERNAL_ERROR: 500,
    # of billing; the others bear the names above
    "tariff_missing": 409,
    "tariff_invalid": 422,
    "invoice_inconsistent": 500,
    "statement_failed": 500,
    "schema_invalid": 500,
    "migration_changed": 500,
    "migration_unknown": 500,
}

_BILLING_NAMES: Final = {"period_invalid": Code.INVALID_REQUEST, "date_invalid": Code.INVALID_REQUEST}
_HTTP: Final = {
    404: (Code.NOT_FOUND, "there is nothing at this path"),
    413: (EdgeCode.BODY_TOO_LARGE, "a request body has at most 2 MiB"),
}


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The body of a refusal. `code` is stable; `detail` is for people; `reason` says why there is no number."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    reason: Shortage | None = None


class ItemError(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A refusal of one item among many."""

    code: str
    detail: str
    reason: Shortage | None = None


def problem(code: str, detail: str, reason: Shortage | None = None) -> Problem:
    return Problem(
        type=f"urn:vnum:problem:{code}",
        title=code.replace("_", " ").capitalize(),
        status=STATUS[code],
        code=str(code),
        detail=masked_detail(detail),
        reason=reason,
    )


def of_refusal(refusal: Refusal) -> Problem:
    return problem(refusal.code, refusal.detail, refusal.reason)


def of_trouble(trouble: Exception) -> Problem:
    """What an exception is to the caller; what nobody expected is logged, and told to nobody."""
    if isinstance(trouble, Refused):
        return of_refusal(trouble.refusal)
    if isinstance(trouble, BillingRefusal):
        return problem(_BILLING_NAMES.get(trouble.code, trouble.code), trouble.message)
    if isinstance(trouble, UnusableFile):
        return problem(Code.UNUSABLE_FILE, str(trouble))
    if isinstance(trouble, web.HTTPMethodNotAllowed):
        methods = ", ".join(sorted(trouble.allowed_methods))
        return problem(EdgeCode.METHOD_NOT_ALLOWED, f"this path has no such method; it has {methods}")
    if isinstance(trouble, web.HTTPException) and trouble.status in _HTTP:
        return problem(*_HTTP[trouble.status])
    if isinstance(trouble, web.RequestPayloadError):
        return problem(Code.INVALID_REQUEST, "the body can not be read to its end")
    if isinstance(trouble, Interrupted):
        return problem(Code.OUTCOME_UNKNOWN, "the process stops; repeat the request, nothing is done twice")
    if is_data_error(trouble):
        log.warning("value_not_storable", **_facts(trouble))
        return problem(Code.INVALID_REQUEST, "PostgreSQL can not store a value of this request; nothing was written")
    if is_away(trouble):
        log.warning("store_unavailable", **_facts(trouble))
        return problem(Code.STORE_UNAVAILABLE, "PostgreSQL does not answer; try again")
    log.error("internal_error", **_facts(trouble))
    return problem(EdgeCode.INTERNAL_ERROR, "something is wrong on our side; it was logged")


def item_error(wrong: Problem | Refusal) -> tuple[int, ItemError]:
    """(status, error) of one item."""
    return STATUS[wrong.code], ItemError(code=str(wrong.code), detail=masked_detail(wrong.detail), reason=wrong.reason)


def _facts(trouble: Exception) -> dict[str, object]:
    """The kind of exception and its last calls. Its message is left out: it may quote a value."""
    frames = traceback.extract_tb(trouble.__traceback__)[-4:]
    return {
        "trouble": type(trouble).__name__,
        "sqlstate": getattr(trouble, "sqlstate", None),
        "at": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
    }
