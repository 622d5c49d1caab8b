"""What merchants owe, worked out the naive way: day by day, second by second, in Fractions.

It shares no code with billing, and reads the rules of docs/billing.md for itself. An invoice is a `Due`; what every
single date must come to is in `Oracle.dates`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, Inexact
from fractions import Fraction
from math import floor
from typing import NamedTuple

DAY = timedelta(hours=24)
SHANGHAI = timedelta(hours=8)
_EXACT = Context(prec=60, traps=[Inexact])


def decimal(value: Fraction) -> Decimal:
    """Raises Inexact where there is none."""
    return _EXACT.divide(Decimal(value.numerator), Decimal(value.denominator))


class Terms(NamedTuple):
    """A version of a price list."""

    tariff: str
    version: int
    since: datetime
    calendar: bool = False
    day: str = "0.00018"
    minute: str = "0.02"
    first: int = 60
    next: int = 60
    minimum: int = 0
    free: int = 0
    setup: str = "0"
    free_minutes: int = 0
    tax_mode: str = "included"
    tax_rate: str = "0"

    @property
    def tax(self) -> tuple[str, Fraction]:
        return self.tax_mode, Fraction(self.tax_rate)

    @property
    def unit_s(self) -> int:
        return max(u for u in range(1, self.first + 1) if self.first % u == 0 and self.next % u == 0)


class Priced(NamedTuple):
    """A call by its terms; units 0 = free of charge."""

    seconds: int
    minutes: int
    units: int
    unit_s: int
    rate: Fraction
    setup: Fraction

    @property
    def cost(self) -> Fraction:
        return self.setup + self.units * self.rate


def price(terms: Terms, answered: datetime, released: datetime) -> Priced:
    seconds = (released - answered) // timedelta(seconds=1)
    charged = minutes = 0
    if seconds > terms.free:
        charged = terms.first
        while charged < max(seconds - terms.free, terms.minimum):
            charged += terms.next
    while minutes * 60 < charged:
        minutes += 1
    unit_s = terms.unit_s
    rate = Fraction(terms.minute) * unit_s / 60
    return Priced(seconds, minutes, charged // unit_s, unit_s, rate, Fraction(terms.setup if charged else 0))


class Line(NamedTuple):
    kind: str
    tariff: str
    version: int
    rate: Fraction
    unit_s: int | None
    tax: tuple[str, Fraction]
    starts_at: datetime


class Due(NamedTuple):
    """Lines with (count, quantity); late calls with (count, amount) by tax; bases by tax."""

    lines: dict[Line, tuple[int, int]]
    late: dict[tuple[str, Fraction], tuple[int, Fraction]]
    bases: dict[tuple[str, Fraction], Fraction]
    total: Fraction
    tax: Fraction
    carried_in: Fraction
    due: Fraction
    carried_out: Fraction


class _Month:
    """One merchant's month, being filled."""

    def __init__(self) -> None:
        self.days: dict[Line, Counter[int]] = defaultdict(Counter)
        self.calls: list[tuple[datetime, str, Terms, Priced]] = []
        self.late: list[tuple[Terms, Priced]] = []


class Oracle:
    """`edges` = the starts of the months, and the end of the last. `assigned` = (merchant, since, tariff)."""

    def __init__(
        self, edges: list[datetime], versions: list[Terms], assigned: list[tuple[str, datetime, str]],
        opened: dict[str, datetime],
    ) -> None:  # fmt: skip
        self._edges = edges
        self._versions = versions
        self._opened = opened
        self._spells = {merchant: self._spells_of(merchant, assigned) for merchant in opened}
        self._months: dict[tuple[str, int], _Month] = defaultdict(_Month)
        # (month of the invoice, merchant, date, item, CNY of one) -> how many; and the bill_duration of each date
        self.dates: Counter[tuple[int, str, date, int, Fraction]] = Counter()
        self.durations: Counter[tuple[int, str, date, int]] = Counter()

    def _spells_of(self, merchant: str, assigned: list[tuple[str, datetime, str]]) -> list[tuple[datetime, Terms]]:
        """What he pays, from when on, latest first; each is a line of its own. A version of another list is none."""
        own: list[tuple[datetime, str]] = []
        for since, tariff in sorted(a[1:] for a in assigned if a[0] == merchant):
            if tariff != (own[-1][1] if own else "default"):  # else nothing changes
                own.append((since, tariff))
        found = []
        for instant in sorted({v.since for v in self._versions} | {a[0] for a in own}, reverse=True):
            tariff = "default"
            for since, name in own:
                if since <= instant:
                    tariff = name
            in_force = [v for v in self._versions if v.tariff == tariff and v.since <= instant]
            latest = max(in_force, key=lambda v: v.since)
            if instant == latest.since or instant in [a[0] for a in own]:
                found.append((instant, latest))
        return found

    def _spell(self, merchant: str, instant: datetime) -> tuple[datetime, Terms]:
        for since, terms in self._spells[merchant]:
            if since <= instant:
                return since, terms
        raise LookupError(f"{merchant} has no price at {instant}")

    def terms(self, merchant: str, instant: datetime) -> Terms:
        return self._spell(merchant, instant)[1]

    def month_of(self, instant: datetime) -> int:
        return sum(instant >= edge for edge in self._edges) - 1

    def binding(self, number: int, merchant: str, bound: datetime, ended: datetime) -> None:
        """A day where a period of 24 hours starts, or a date is touched, as the terms of that very instant count."""
        for calendar, starts in ((False, _periods(bound, ended)), (True, _dates(bound, ended))):
            for start in starts:
                since, terms = self._spell(merchant, start)
                if terms.calendar == calendar and self._edges[0] <= start < self._edges[-1]:
                    self._day(number, merchant, start, since, terms)

    def _day(self, number: int, merchant: str, start: datetime, since: datetime, terms: Terms) -> None:
        month = self.month_of(start)
        kind, rate = ("calendar_day" if terms.calendar else "rental_day"), Fraction(terms.day)
        line = Line(kind, terms.tariff, terms.version, rate, None, terms.tax, max(since, self._edges[month]))
        self._months[merchant, month].days[line][number] += 1
        self._count(month, merchant, start, 0, rate, 1, 1)

    def call(
        self, merchant: str, call_id: str, answered: datetime, released: datetime, month: int, late: bool
    ) -> Priced:
        """Priced by the terms of its answer, on the invoice of a month."""
        terms = self.terms(merchant, answered)
        priced = price(terms, answered, released)
        if priced.units:
            own = self._months[merchant, month]
            if late:
                own.late.append((terms, priced))
                self._talk(month, merchant, answered, priced, priced.units)
            else:
                own.calls.append((answered, call_id, terms, priced))
        return priced

    def _talk(self, month: int, merchant: str, answered: datetime, priced: Priced, units: int) -> None:
        self._count(month, merchant, answered, 1, priced.rate, units, priced.minutes)
        self._count(month, merchant, answered, 1, priced.setup, 1, 0)

    def _count(self, month: int, merchant: str, at: datetime, item: int, rate: Fraction, n: int, duration: int) -> None:
        day = (at + SHANGHAI).date()
        self.dates[month, merchant, day, item, rate] += n
        self.durations[month, merchant, day, item] += duration

    def invoices(self) -> dict[tuple[str, int], Due]:
        """By merchant and month; once, when all is known."""
        found, carried = {}, defaultdict[str, Fraction](Fraction)
        for merchant, month in sorted(self._months):
            due = self._due(merchant, month, carried[merchant])
            carried[merchant] = due.carried_out
            found[merchant, month] = due
        return found

    def _due(self, merchant: str, month: int, carried_in: Fraction) -> Due:
        own = self._months[merchant, month]
        lines = {line: (len(by), sum(by.values())) for line, by in own.days.items()}
        lines |= self._call_lines(merchant, month, own)
        late: dict[tuple[str, Fraction], tuple[int, Fraction]] = {}
        for terms, priced in own.late:
            count, amount = late.get(terms.tax, (0, Fraction()))
            late[terms.tax] = (count + 1, amount + priced.cost)
        bases: dict[tuple[str, Fraction], Fraction] = defaultdict(Fraction)
        for line, (_, quantity) in lines.items():
            bases[line.tax] += line.rate * quantity
        for tax, (_, amount) in late.items():
            bases[tax] += amount
        total = sum(bases.values(), Fraction())
        tax_exact = sum((base * rate for (mode, rate), base in bases.items() if mode == "added"), Fraction())
        balance = carried_in + total + tax_exact
        due = Fraction(floor(abs(balance) * 100 + Fraction(1, 2)), 100) * (1 if balance >= 0 else -1)
        return Due(lines, late, dict(bases), total, tax_exact, carried_in, due, balance - due)

    def _call_lines(self, merchant: str, month: int, own: _Month) -> dict[Line, tuple[int, int]]:
        edge = self._edges[month]
        left_s = 60 * self.terms(merchant, max(edge, self._opened[merchant])).free_minutes
        found: dict[Line, tuple[int, int]] = {}

        def add(kind: str, terms: Terms, rate: Fraction, unit_s: int | None, quantity: int) -> None:
            line = Line(kind, terms.tariff, terms.version, rate, unit_s, terms.tax, edge)
            count, before = found.get(line, (0, 0))
            found[line] = (count + 1, before + quantity)

        for answered, _, terms, priced in sorted(own.calls, key=lambda call: (call[0], call[1])):
            free = 0
            for _ in range(priced.units):
                free += left_s >= priced.unit_s
                left_s -= priced.unit_s
            add("call", terms, priced.rate, priced.unit_s, priced.units)
            if priced.setup:
                add("call_setup", terms, priced.setup, None, 1)
            if free:
                add("free_minutes", terms, priced.rate, priced.unit_s, -free)
            self._talk(month, merchant, answered, priced, priced.units - free)
        return found


def _periods(bound: datetime, ended: datetime) -> Iterator[datetime]:
    day = bound
    while day < ended or day == bound:
        yield day
        day += DAY


def _dates(bound: datetime, ended: datetime) -> Iterator[datetime]:
    yield bound
    local = (bound + SHANGHAI).date() + DAY
    while (midnight := datetime(local.year, local.month, local.day, tzinfo=UTC) - SHANGHAI) < ended:
        yield midnight
        local += DAY
