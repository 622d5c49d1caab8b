"""When deliveries are tried, and how they are signed."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from vnum.model.webhooks import ATTEMPTS, headers, next_attempt, secret_text, signature

NOW = datetime(2026, 10, 5, 4, tzinfo=UTC)


@pytest.mark.parametrize(("throw", "hours"), [(0, 24.4), (999, 25.7)])
def test_a_delivery_is_tried_for_more_than_a_day(throw: int, hours: float) -> None:
    at, waits = NOW, []
    for failed in range(1, ATTEMPTS):
        again = next_attempt(failed, at, throw)
        assert again is not None
        waits.append(again - at)
        at = again
    assert next_attempt(ATTEMPTS, at, throw) is None
    assert at - NOW > timedelta(hours=24)
    assert abs((at - NOW) / timedelta(hours=1) - hours) < 0.1
    assert waits == sorted(waits)
    assert waits[0] < timedelta(seconds=25)


def test_the_signature_is_that_of_the_standard() -> None:
    """The example that Standard Webhooks gives to libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105
    body = b'{"test": 2432232314}'
    assert _signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, secret) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def _signed(event_id: str, timestamp: int, body: bytes, secret: str) -> str:
    return signature(secret, event_id, timestamp, body)  # type: ignore[arg-type]  # ours are UUIDs


def test_two_secrets_make_two_signatures_the_newer_first() -> None:
    event_id = UUID(int=7)
    new, old = secret_text(b"n" * 32), secret_text(b"o" * 32)
    sent = headers(event_id, 5, b"{}", [new, old])
    assert sent["webhook-signature"].split(" ") == [
        signature(new, event_id, 5, b"{}"),
        signature(old, event_id, 5, b"{}"),
    ]
