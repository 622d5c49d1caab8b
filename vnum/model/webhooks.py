"""Events and their delivery: names, the times of attempts, and the signature. Plain functions.

Headers, signature and body follow Standard Webhooks 1.0 (standardwebhooks.com), so that receivers may use a library.
"""

import hmac
from base64 import b64decode, b64encode
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID


class Event(StrEnum):
    BINDING_EXPIRING = "binding.expiring"
    BINDING_EXPIRED = "binding.expired"
    BINDING_RELEASED = "binding.released"
    CALL_ENDED = "call.ended"
    INVOICE_CLOSED = "invoice.closed"
    POOL_LOW = "pool.low"


OF_PLATFORMS: Final = frozenset({Event.POOL_LOW})
"""What only a platform hears of."""


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


EXPIRING_AHEAD: Final = timedelta(days=3)
EXPIRING_PART: Final = 10
"""A life of three days or less is near its end when a tenth of it is left."""

FIRST_WAIT: Final = timedelta(seconds=21.5)
ATTEMPTS: Final = 13
"""Each wait is twice the one before: 12 waits from 21.5 s on are 24 hours and 27 minutes."""

JITTER_PARTS: Final = 1000
MOST_JITTER: Final = 0.05
"""A wait is up to so much longer, by a throw, so that what failed together does not come back together."""

SECRET_BYTES: Final = 32
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - says that a secret follows


def next_attempt(failed: int, now: datetime, throw: int) -> datetime | None:
    """When to try again after `failed` attempts (1 or more); None = it is given up. `throw` is 0 to 999."""
    if failed >= ATTEMPTS:
        return None
    wait: timedelta = FIRST_WAIT * (1 << (failed - 1))
    return now + wait + wait * (MOST_JITTER * throw / JITTER_PARTS)


def secret_text(secret: bytes) -> str:
    return SECRET_PREFIX + b64encode(secret).decode()


def signature(secret: str, event_id: UUID, timestamp: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of `id.timestamp.body`, in base64. `timestamp` in seconds since 1970."""
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{event_id}.{timestamp}.".encode() + body
    return "v1," + b64encode(hmac.digest(key, signed, sha256)).decode()


def headers(event_id: UUID, timestamp: int, body: bytes, secrets: list[str]) -> dict[str, str]:
    """Of one request; while a former secret holds too, there are two signatures, the newer first."""
    return {
        "Content-Type": "application/json",
        "webhook-id": str(event_id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, event_id, timestamp, body) for secret in secrets),
    }
