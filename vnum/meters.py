"""What is counted, for Prometheus: requests, refusals, routes, calls.

Labels are closed sets (paths as declared, codes, states), never an id, a number or a name. Of several workers on one
port each writes its counts where all can read them (PROMETHEUS_MULTIPROC_DIR, set by `vnum serve`), so that any of them
can tell the sum.
"""

import os
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_ALONE: Final = CollectorRegistry()

REQUESTS: Final = Counter("vnum_requests", "Requests answered.", ["endpoint", "status"], registry=_ALONE)
REQUEST_S: Final = Histogram(
    "vnum_request_seconds",
    "Seconds from a request's head to its answer.",
    ["endpoint"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    registry=_ALONE,
)
REFUSALS: Final = Counter("vnum_refusals", "Requests refused, by code.", ["code"], registry=_ALONE)
RATE_LIMITED: Final = Counter(
    "vnum_rate_limited", "Requests refused for coming too fast: by their key, by wrong keys of an address.", ["by"],
    registry=_ALONE,
)  # fmt: skip
ROUTES: Final = Counter("vnum_routes", "What the switch was told.", ["action", "code"], registry=_ALONE)
OPT_OUTS: Final = Counter("vnum_opt_outs", "Recipients' noes, said and withdrawn.", ["scope", "did"], registry=_ALONE)
MARKS: Final = Counter("vnum_call_marks", "Keys pressed after calls.", ["mark"], registry=_ALONE)
DIALS: Final = Counter("vnum_dials", "Ordered calls, as they come to a state.", ["state", "code"], registry=_ALONE)
RECORDS: Final = Counter("vnum_call_records", "Call records, by result.", ["status", "code"], registry=_ALONE)
CALLS: Final = Counter(
    "vnum_calls", "Calls whose record was rated: answered or not, and why they ended.", ["answered", "cause"],
    registry=_ALONE,
)  # fmt: skip
POST_DIAL_S: Final = Histogram(
    "vnum_post_dial_seconds",
    "Seconds from the dial to the callee's ring, by records that tell it; with the time that keying in took.",
    buckets=(0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 60.0),
    registry=_ALONE,
)
UNRECORDED: Final = Gauge(
    "vnum_calls_unrecorded",
    "Connected calls whose record is overdue.",
    multiprocess_mode="mostrecent",
    registry=_ALONE,
)
DECRYPTS: Final = Counter("vnum_decrypts", "Orders decrypted or refused.", ["scene", "code"], registry=_ALONE)

MESSAGES: Final = Counter(
    "vnum_messages", "Texts by state: sent, failed, or capped (not sent).", ["state"], registry=_ALONE
)
DELIVERIES: Final = Counter(
    "vnum_webhook_deliveries", "Attempts to deliver events, by outcome.", ["outcome"], registry=_ALONE
)


@cache
def counted(endpoint: str, status: int) -> tuple[Counter, Histogram]:
    """The meters of an endpoint's answers: finding them by their labels costs more than counting."""
    return REQUESTS.labels(endpoint, status), REQUEST_S.labels(endpoint)


@cache
def routed(action: str, code: str) -> Counter:
    return ROUTES.labels(action, code)


def exposition() -> bytes:
    """Everything counted so far, in Prometheus' text format."""
    if FOLDER not in os.environ:
        return generate_latest(_ALONE)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # registers itself
    return generate_latest(registry)
