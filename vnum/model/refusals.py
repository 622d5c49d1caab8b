"""Every reason why vnum may say no: a closed set of stable codes, which other systems match on."""

from enum import StrEnum

import msgspec


class Code(StrEnum):
    INVALID_REQUEST = "invalid_request"
    INVALID_PHONE = "invalid_phone"
    INVALID_HOST = "invalid_host"
    INVALID_NUMBER = "invalid_number"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    SIGNATURE_INVALID = "signature_invalid"
    TIMESTAMP_OUT_OF_RANGE = "timestamp_out_of_range"
    NONCE_REUSED = "nonce_reused"
    RATE_LIMITED = "rate_limited"
    KEY_NOT_FOUND = "key_not_found"
    GRANT_NOT_FOUND = "grant_not_found"
    NOT_FOUND = "not_found"
    MERCHANT_NOT_FOUND = "merchant_not_found"
    MERCHANT_EXISTS = "merchant_exists"
    MERCHANT_SUSPENDED = "merchant_suspended"
    SPEND_CAP_REACHED = "spend_cap_reached"
    HOST_NOT_FOUND = "host_not_found"
    HOST_EXISTS = "host_exists"
    HOST_IN_USE = "host_in_use"
    HOST_LOCKED = "host_locked"
    BINDING_NOT_FOUND = "binding_not_found"
    BINDING_CONFLICT = "binding_conflict"
    BINDING_EXPIRED = "binding_expired"
    BINDING_RELEASED = "binding_released"
    EXTEND_LIMIT = "extend_limit"
    REACH_WINDOW_OVER = "reach_window_over"
    ORDER_NOT_SHIPPED = "order_not_shipped"
    PARCEL_NOT_FOUND = "parcel_not_found"
    EVENT_CONFLICT = "event_conflict"
    RECIPIENT_ERASED = "recipient_erased"
    NO_NUMBER_AVAILABLE = "no_number_available"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    TARIFF_NOT_FOUND = "tariff_not_found"
    INVOICE_NOT_FOUND = "invoice_not_found"
    NOTE_NOT_FOUND = "note_not_found"
    NOTE_INVALID = "note_invalid"
    NOTE_EXCEEDS_INVOICE = "note_exceeds_invoice"
    PERIOD_NOT_OVER = "period_not_over"
    PERIOD_NOT_CLOSED = "period_not_closed"
    PERIOD_OUT_OF_ORDER = "period_out_of_order"
    PERIOD_CLOSED = "period_closed"
    WEBHOOK_NOT_FOUND = "webhook_not_found"
    WEBHOOK_URL_REFUSED = "webhook_url_refused"
    WEBHOOK_LIMIT = "webhook_limit"
    DELIVERY_NOT_FOUND = "delivery_not_found"
    SMS_NOT_CONFIGURED = "sms_not_configured"
    SMS_NOT_SUPPORTED = "sms_not_supported"
    SMS_NOT_POSSIBLE = "sms_not_possible"
    RECIPIENT_TOKEN_INVALID = "recipient_token_invalid"  # noqa: S105 - a code
    TEMPLATE_NOT_FOUND = "template_not_found"
    TEMPLATE_EXISTS = "template_exists"
    MESSAGE_NOT_FOUND = "message_not_found"
    MESSAGE_INVALID = "message_invalid"
    MESSAGE_CONFLICT = "message_conflict"
    CLOSE_BLOCKED = "close_blocked"
    CLOCK_JUMP = "clock_jump"
    OUTCOME_UNKNOWN = "outcome_unknown"
    STORE_UNAVAILABLE = "store_unavailable"
    OVERLOADED = "overloaded"
    DISPUTE_NOT_FOUND = "dispute_not_found"
    DISPUTE_OPEN = "dispute_open"
    DISPUTE_RESOLVED = "dispute_resolved"
    DISPUTE_INVALID = "dispute_invalid"
    # of a call, or of a call's record
    CALL_NOT_FOUND = "call_not_found"
    NO_BINDING = "no_binding"
    BINDING_MISMATCH = "binding_mismatch"
    INVALID_CALLER = "invalid_caller"
    RELEASE_BEFORE_ANSWER = "release_before_answer"
    TIME_IN_FUTURE = "time_in_future"
    RECORD_CONFLICT = "record_conflict"
    UNUSABLE_FILE = "unusable_file"
    REVIEW_NOT_FOUND = "review_not_found"
    REVIEW_DECIDED = "review_decided"
    DECISION_MISMATCH = "decision_mismatch"
    CALLER_LOCKED_OUT = "caller_locked_out"
    TOO_MANY_TRIES = "too_many_tries"
    # of call policy, and of the recipient's no
    RECIPIENT_OPTED_OUT = "recipient_opted_out"
    RECIPIENT_BLACKLISTED = "recipient_blacklisted"
    CALLER_BLACKLISTED = "caller_blacklisted"
    CALLER_BLOCKED = "caller_blocked"
    CALLER_WITHHELD = "caller_withheld"
    CALLER_NOT_ALLOWED = "caller_not_allowed"
    PURPOSE_NOT_ALLOWED = "purpose_not_allowed"
    QUIET_HOURS = "quiet_hours"
    CALLS_CAPPED = "calls_capped"
    CALLS_CAPPED_BY_ALL = "calls_capped_by_all"
    RECIPIENT_UNAVAILABLE = "recipient_unavailable"
    TEXTS_CAPPED = "texts_capped"
    CALLER_NOT_FOUND = "caller_not_found"
    BLACKLIST_NOT_FOUND = "blacklist_not_found"


class Shortage(StrEnum):
    """Why there is no number (`reason` of `no_number_available`)."""

    NO_HOST_IN_CITY = "no_host_in_city"
    NO_ACTIVE_HOST = "no_active_host"
    ALL_BOUND = "all_bound"
    ALL_QUARANTINED = "all_quarantined"
    HOST_FULL = "host_full"
    CELL_EXHAUSTED = "cell_exhausted"
    POOL_UNAVAILABLE = "pool_unavailable"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An expected no: an answer, not an exception. `detail` says what, where and what to do; never a phone."""

    code: Code
    detail: str
    reason: Shortage | None = None


class Refused(Exception):
    """A refusal on its way through code that has no other answer to give; translated once at the edge."""

    def __init__(self, code: Code, detail: str, reason: Shortage | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.refusal = Refusal(code=code, detail=detail, reason=reason)


class RateLimited(Refused):
    """Too much in too little time; `retry_s` = when there is room again, whole seconds, 1 or more."""

    def __init__(self, detail: str, retry_s: int) -> None:
        super().__init__(Code.RATE_LIMITED, detail)
        self.retry_s = retry_s


class UnusableFile(Exception):
    """A file that as a whole is not what it should be; the message says what was expected."""
