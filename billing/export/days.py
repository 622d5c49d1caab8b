"""The days of a rental row that stands for a whole binding, as text (billing rule 6.2).

The rows of one binding differ in date and interval only, and a month has some thirty of them a binding: what a date
looks like is looked up, not computed.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from functools import lru_cache
from itertools import pairwise
from typing import Final

from billing.export.cells import instant
from billing.invoice import Detail
from billing.periods import ZONE, biz_date
from billing.prices.started_day import DAY

_KNOWN: Final = 4096

Day = tuple[str, str, str]
"""biz_date, starts_at, ends_at."""


def days_of(rental: Detail) -> Sequence[Day]:
    """A rental row of n days as n days. That they end where the row does is asserted."""
    first, count = rental.biz_date.toordinal(), rental.bill_duration
    if rental.kind == "calendar_day":
        edges = [instant(rental.starts_at), *(_midnight(first + k) for k in range(1, count + 1))]
        last = first + count - 1
    else:
        begin = rental.starts_at.astimezone(UTC)
        clock = instant(begin)[10:]
        edges = [_date(begin.toordinal() + k) + clock for k in range(count + 1)]
        last = biz_date(rental.ends_at - DAY).toordinal()
    assert (last, edges[-1]) == (first + count - 1, instant(rental.ends_at)), f"binding {rental.binding_id}"
    return [(_date(first + k), begins, ends) for k, (begins, ends) in enumerate(pairwise(edges))]


@lru_cache(maxsize=_KNOWN)
def _date(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


@lru_cache(maxsize=_KNOWN)
def _midnight(ordinal: int) -> str:
    return instant(datetime.combine(date.fromordinal(ordinal), time.min, ZONE))
