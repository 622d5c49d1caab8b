"""Recounting an invoice: the sum of the details equals the lines, the lines equal the total (billing rule 6.8)."""

from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple

from billing.errors import InvoiceInconsistent
from billing.invoice import Detail, Invoice, Kind, Late, Line, problems
from billing.money import EXACT, ZERO, times
from billing.tax import Tax


class Key(NamedTuple):
    """What tells a line from the others of its invoice; `window` where a tariff prices several of the month."""

    kind: Kind
    tariff_id: str
    tariff_version: int
    rate: Decimal
    unit_s: int | None
    window: object = None


class _Sum:
    """How many rows, how many units (days, units of talk, fees), how much money."""

    __slots__ = ("amount", "rows", "units")

    def __init__(self) -> None:
        self.rows = self.units = 0
        self.amount = ZERO

    def add(self, units: int, amount: Decimal) -> None:
        self.rows += 1
        self.units += units
        self.amount = EXACT.add(self.amount, amount)


class Recount:
    """Adds up the details of one invoice as they pass, in memory that does not grow with them."""

    def __init__(self, invoice: Invoice) -> None:
        self._invoice = invoice
        self._sums: dict[Key, _Sum] = defaultdict(_Sum)
        self._late: dict[Tax, _Sum] = defaultdict(_Sum)
        self._cost = ZERO
        self._missed = 0

    def miss(self, days: int) -> None:
        """A binding has days that no line prices."""
        self._missed += days

    def rental(self, line: Line, detail: Detail) -> None:
        """Count a row of days that this line prices."""
        self._sums[_key(line)].add(detail.bill_duration, detail.cost)
        self._cost = EXACT.add(self._cost, detail.cost)

    def call(self, detail: Detail) -> None:
        """Count a call: its units, its set-up fee and its free units each stand in a line of their own."""
        of = (detail.tariff_id, detail.tariff_version)
        self._add(Key(Kind.CALL, *of, detail.rate, detail.unit_s), detail.units, times(detail.rate, detail.units))
        if detail.setup_fee:
            self._add(Key(Kind.CALL_SETUP, *of, detail.setup_fee, None), 1, detail.setup_fee)
        if free := detail.free_units:
            self._add(Key(Kind.FREE_MINUTES, *of, detail.rate, detail.unit_s), -free, times(detail.rate, -free))
        self._cost = EXACT.add(self._cost, detail.cost)

    def late(self, detail: Detail) -> None:
        """Count an adjustment."""
        self._late[detail.tax].add(1, detail.cost)
        self._cost = EXACT.add(self._cost, detail.cost)

    def _add(self, key: Key, units: int, amount: Decimal) -> None:
        self._sums[key].add(units, amount)

    def differences(self) -> list[str]:
        """Everything in which the rows and the invoice differ; empty if they agree to the last digit."""
        found = problems(self._invoice)
        sums = dict(self._sums)
        for line in self._invoice.lines:
            found += _compare(_key(line), sums.pop(_key(line), _Sum()), line.quantity, line.amount)
        found += [f"{_name(key)}: details of {extra.amount} without a line" for key, extra in sums.items()]
        if self._missed:
            found.append(f"bindings have {self._missed} days that no line prices")
        found += self._late_differences()
        if self._cost != self._invoice.total_exact:
            found.append(f"details come to {self._cost}, the total is {self._invoice.total_exact}")
        return found

    def _late_differences(self) -> list[str]:
        expected = {late.tax: late for late in self._invoice.late}
        none, nothing = _Sum(), Late(count=0, amount=ZERO)
        return [
            f"late calls: {got.rows} details of {got.amount}, not {late.count} of {late.amount}"
            for tax in {*expected, *self._late}
            if ((got := self._late.get(tax, none)).rows, got.amount)
            != ((late := expected.get(tax, nothing)).count, late.amount)
        ]

    def verify(self) -> None:
        """Raise InvoiceInconsistent, naming all differences, unless there is none."""
        if found := self.differences():
            raise InvoiceInconsistent(f"invoice {self._invoice.number}: {'; '.join(found)}")


def _key(line: Line) -> Key:
    window = line.starts_at if line.kind in (Kind.RENTAL_DAY, Kind.CALENDAR_DAY) else None
    return Key(line.kind, line.tariff_id, line.tariff_version, line.rate, line.unit_s, window)


def _name(key: Key) -> str:
    return f"{key.kind} of tariff {key.tariff_id} version {key.tariff_version} at {key.rate}"


def _compare(key: Key, got: _Sum, units: int, amount: Decimal) -> list[str]:
    found = []
    if got.units != units:
        found.append(f"{_name(key)}: details of {got.units} units, not {units}")
    if got.amount != amount:
        found.append(f"{_name(key)}: details of {got.amount}, not {amount}")
    return found
