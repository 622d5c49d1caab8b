"""What happens when: the events of a replay in the order of simulated time."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from itertools import groupby
from operator import attrgetter

import msgspec

from vnum.finance import Period
from vnum.replay.files import SHANGHAI, Call, Parcel

TTL_DAYS = 30
CALL_DAYS = 28
"""Call k comes 1 + k mod 28 days after its parcel's binding."""

POST_EVERY = timedelta(hours=1)
"""The switch posts the records of ended calls together, so often."""

CLOSE_AFTER = timedelta(hours=3)


class Bind(msgspec.Struct, frozen=True):
    """Parcels (by position) that are bound at one instant; their labels are fetched right after."""

    at: datetime
    parcels: tuple[int, ...]


class Dial(msgspec.Struct, frozen=True):
    """A call to a parcel's number."""

    at: datetime
    call: Call
    parcel: int

    @property
    def answered_at(self) -> datetime | None:
        return None if self.call.talk_s is None else self.at + timedelta(seconds=self.call.wait_s)

    @property
    def released_at(self) -> datetime:
        return self.at + timedelta(seconds=self.call.wait_s + (self.call.talk_s or 0))


class Post(msgspec.Struct, frozen=True):
    """The records of calls that ended since the last post."""

    at: datetime
    dials: tuple[Dial, ...]


class Tend(msgspec.Struct, frozen=True):
    """The daily care of the pool."""

    at: datetime


class Close(msgspec.Struct, frozen=True):
    at: datetime
    period: Period


Event = Bind | Dial | Post | Tend | Close
_ORDER: dict[type, int] = {Tend: 0, Bind: 1, Dial: 2, Post: 3, Close: 4}


def timeline(parcels: Sequence[Parcel], calls: Sequence[Call], start: date) -> list[Event]:
    """Every event; the first parcel falls on `start`, the spacing and the hours are kept."""
    bound_at = shift([parcel.accepted_at for parcel in parcels], start)
    dials = _dials(bound_at, calls)
    over = max(bound_at) + timedelta(days=TTL_DAYS)
    events: list[Event] = [*_binds(bound_at), *dials, *_posts(dials)]
    events += _closes(bound_at[0], over)
    events += [Tend(bound_at[0] + timedelta(days=n)) for n in range((over - bound_at[0]).days + 2)]
    return sorted(events, key=lambda event: (event.at, _ORDER[type(event)]))


def batches(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Calls that follow one another together, every other event alone."""
    for kind, group in groupby(events, key=type):
        if kind is Dial:
            yield list(group)
        else:
            yield from ([event] for event in group)


def shift(times: Sequence[datetime], start: date) -> list[datetime]:
    """Times of Asia/Shanghai moved by whole days, so that the first falls on `start`; as UTC."""
    days = timedelta(days=(start - times[0].date()).days)
    return [(instant + days).astimezone(UTC) for instant in times]


def phone_of(order_id: str) -> str:
    """A valid mainland mobile number for an order, always the same. Nobody's in particular."""
    digest = int.from_bytes(sha256(order_id.encode()).digest()[:8], "big")
    prefixes = ("134", "135", "136", "137", "138", "139", "150", "151", "158", "186", "188", "189")
    return f"{prefixes[digest % len(prefixes)]}{digest // 97 % 10**8:08d}"


def _binds(bound_at: Sequence[datetime]) -> Iterator[Bind]:
    for instant, group in groupby(enumerate(bound_at), key=lambda pair: pair[1]):
        yield Bind(instant, tuple(n for n, _ in group))


def _dials(bound_at: Sequence[datetime], calls: Sequence[Call]) -> list[Dial]:
    dials = []
    for k, call in enumerate(calls):
        parcel = k % len(bound_at)
        day = bound_at[parcel].astimezone(SHANGHAI).date() + timedelta(days=1 + k % CALL_DAYS)
        of_day = call.called_at.timetz().replace(tzinfo=None)
        dials.append(Dial(datetime.combine(day, of_day, SHANGHAI).astimezone(UTC), call, parcel))
    return dials


def _posts(dials: Sequence[Dial]) -> Iterator[Post]:
    midnight = datetime.combine(date(1970, 1, 1), time(), UTC)

    def slot(dial: Dial) -> int:
        return (dial.released_at - midnight) // POST_EVERY

    for number, group in groupby(sorted(dials, key=attrgetter("released_at")), key=slot):
        yield Post(midnight + (number + 1) * POST_EVERY, tuple(group))


def _closes(first: datetime, over: datetime) -> Iterator[Close]:
    period = Period.of(first)
    while period.starts_at <= over:
        yield Close(period.ends_at + CLOSE_AFTER, period)
        period = period.next
