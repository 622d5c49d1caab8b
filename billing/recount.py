"""Recounting an invoice: the sum of the details equals the lines, the lines equal the total (rule 6.8)."""

from collections import defaultdict
from decimal import Decimal

from billing.errors import InvoiceInconsistent
from billing.invoice import Detail, Invoice, Item, problems
from billing.money import EXACT, ZERO, total

Key = tuple[Item, str, int, Decimal]


class _Sum:
    """How many rows, how many units (days or minutes), how much money."""

    __slots__ = ("amount", "rows", "units")

    def __init__(self) -> None:
        self.rows = self.units = 0
        self.amount = ZERO

    def add(self, detail: Detail) -> None:
        self.rows += 1
        self.units += detail.bill_duration
        self.amount = EXACT.add(self.amount, detail.cost)


class Recount:
    """Adds up the details of one invoice as they pass, in memory that does not grow with them."""

    def __init__(self, invoice: Invoice) -> None:
        self._invoice = invoice
        self._sums: dict[Key, _Sum] = defaultdict(_Sum)
        self._late = _Sum()
        self._days_owed = 0

    def owe_days(self, days: int) -> None:
        """A binding has this many days in the period; as many rows have to be added."""
        self._days_owed += days

    def add(self, detail: Detail) -> None:
        """Count one row."""
        if detail.kind == "late_call":
            self._late.add(detail)
        else:
            self._sums[detail.bill_item, detail.tariff_id, detail.tariff_version, detail.rate].add(detail)

    def differences(self) -> list[str]:
        """Everything in which the rows and the invoice differ; empty if they agree to the last digit."""
        found = problems(self._invoice)
        sums = dict(self._sums)
        for line in self._invoice.lines:
            key = (line.item, line.tariff_id, line.tariff_version, line.rate)
            found += _compare(str(key), sums.pop(key, _Sum()), line.quantity, line.amount)
        found += [f"{key}: details of {extra.amount} without a line" for key, extra in sums.items()]
        days = sum(found_.units for key, found_ in self._sums.items() if key[0] is Item.RENTAL)
        if days != self._days_owed:
            found.append(f"bindings have {self._days_owed} days, details list {days}")
        late = self._invoice.late
        found += _compare("late calls", self._late, None, late.amount)
        if self._late.rows != late.count:
            found.append(f"late calls: {self._late.rows} details, not {late.count}")
        everything = total([*(part.amount for part in self._sums.values()), self._late.amount])
        if everything != self._invoice.total_exact:
            found.append(f"details come to {everything}, the total is {self._invoice.total_exact}")
        return found

    def verify(self) -> None:
        """Raise InvoiceInconsistent, naming all differences, unless there is none."""
        if found := self.differences():
            raise InvoiceInconsistent(f"invoice {self._invoice.number}: {'; '.join(found)}")


def _compare(name: str, got: _Sum, units: int | None, amount: Decimal) -> list[str]:
    found = []
    if units is not None and got.units != units:
        found.append(f"{name}: details of {got.units} units, not {units}")
    if got.amount != amount:
        found.append(f"{name}: details of {got.amount}, not {amount}")
    return found
