"""What the switch counts, for Prometheus. Labels are closed sets, never a number or a name of anybody's."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

REGISTRY: Final = CollectorRegistry()

STATES: Final = ("arriving", "collecting", "ringing", "talking", "ending", "marking")

CALLS: Final = Gauge("vnum_switch_calls", "Calls at this moment, by state.", ["state"], registry=REGISTRY)
SEIZED: Final = Counter("vnum_switch_seized", "Calls that went out towards a recipient.", registry=REGISTRY)
ANSWERED: Final = Counter("vnum_switch_answered", "Calls that a recipient answered.", registry=REGISTRY)
DELAY_S: Final = Histogram(
    "vnum_switch_post_dial_delay_seconds",
    "Seconds from route's answer until the recipient's phone rang.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
    registry=REGISTRY,
)
ROUTE_S: Final = Histogram(
    "vnum_switch_route_seconds",
    "Seconds until route answered.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0),
    registry=REGISTRY,
)
REJECTS: Final = Counter("vnum_switch_rejects", "Calls that vnum refused, by code.", ["code"], registry=REGISTRY)
CAUSES: Final = Counter("vnum_switch_releases", "Calls that went out, by Q.850 cause.", ["cause"], registry=REGISTRY)
FULL: Final = Counter("vnum_switch_full", "Calls declined since all places were taken.", registry=REGISTRY)
CRASHED: Final = Counter("vnum_switch_crashed", "Calls that ended in an error of the switch's own.", registry=REGISTRY)
SPOOL: Final = Gauge("vnum_switch_spool_records", "Records that vnum has not settled yet.", registry=REGISTRY)
RECOVERED: Final = Counter(
    "vnum_switch_recovered", "Answered calls that a killed switch left, reported by the next.", registry=REGISTRY
)
REGISTERED: Final = Gauge(
    "vnum_switch_trunk_registered", "1 = registered at the trunk (VNUM_SWITCH_TRUNK_REGISTER).", registry=REGISTRY
)
REGISTRATIONS: Final = Counter(
    "vnum_switch_registrations", "Registrations at the trunk, renewals too.", ["result"], registry=REGISTRY
)
RECORDS: Final = Counter("vnum_switch_records", "What vnum said to records.", ["status"], registry=REGISTRY)
SPOOL_MARKS: Final = Gauge("vnum_switch_spool_marks", "Marks that vnum has not settled yet.", registry=REGISTRY)
MARKS: Final = Counter(
    "vnum_switch_marks", "What vnum said to marks that recipients keyed in.", ["status"], registry=REGISTRY
)
UNREADABLE: Final = Counter("vnum_switch_unreadable", "Files of the spool that can not be opened.", registry=REGISTRY)


class _Unheard(Collector):
    """The kernel counts; it is asked when Prometheus asks."""

    asked: Callable[[], int] = staticmethod(lambda: 0)

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(
            "vnum_switch_unheard",
            "SIP packets thrown away unread: of those who may not speak to the switch, or for want of room.",
            value=self.asked(),
        )


UNHEARD: Final = _Unheard()
REGISTRY.register(UNHEARD)

for _state in STATES:
    CALLS.labels(_state)
for _result in ("done", "failed"):
    REGISTRATIONS.labels(_result)
for _status in ("rated", "duplicate", "conflict", "rejected"):
    RECORDS.labels(_status)
for _status in ("marked", "rejected"):
    MARKS.labels(_status)
