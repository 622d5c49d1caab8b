"""What an invoice is, as plain values: lines, details, and what holds between them (billing rules 6.6-9)."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Final, Literal, NamedTuple, NewType
from uuid import UUID

import msgspec

from billing.money import ZERO, difference, half_up, times, total
from billing.periods import Period
from billing.tax import NO_TAX, Tax, TaxShare, added, share

MerchantId = NewType("MerchantId", str)
InvoiceNumber = NewType("InvoiceNumber", str)

DEFAULT_ISSUER: Final = "VNUM"


class Item(IntEnum):
    """The `bill_item` of lines and detail rows, with the numbers that finance people know."""

    RENTAL = 0
    CALL = 1


class Kind(StrEnum):
    """What a line counts. Its quantity is in days, units of talk, calls (each with a set-up fee), or free units."""

    RENTAL_DAY = "rental_day"
    CALENDAR_DAY = "calendar_day"
    CALL = "call"
    CALL_SETUP = "call_setup"
    FREE_MINUTES = "free_minutes"

    @property
    def item(self) -> Item:
        """The fixed `bill_item` it belongs to."""
        return Item.RENTAL if self in RENTAL_KINDS else Item.CALL


RENTAL_KINDS: Final = frozenset({Kind.RENTAL_DAY, Kind.CALENDAR_DAY})


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What one tariff version priced: amount = rate x quantity.

    What begins in [starts_at, ends_at) is priced here: days or calls. `count` is the number of bindings or calls,
    `quantity` that of days or units; a unit of talk has `unit_s` seconds (60 = a minute). Free minutes have a quantity
    below 0. `tax` is not in the amount where it is added.
    """

    kind: Kind
    tariff_id: str
    tariff_version: int
    rate: Decimal
    unit_s: int | None = None
    tax: Tax = NO_TAX
    starts_at: datetime
    ends_at: datetime
    count: int
    quantity: int
    amount: Decimal

    @property
    def item(self) -> Item:
        """The fixed `bill_item`."""
        return self.kind.item


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of an invoice's adjustments under one tax: calls of closed months (billing rule 6.6).

    The ledger has a row for each.
    """

    count: int
    amount: Decimal
    tax: Tax = NO_TAX


class Buyer(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays, as it stood at the close."""

    merchant_id: MerchantId
    invoice_title: str | None
    tax_no: str | None


class Serial(msgspec.Struct, frozen=True, kw_only=True):
    """A number in the gapless series of an issuer and year (billing rule 6.9), written VNUM-2026-000001."""

    issuer: str
    year: int
    serial: int

    @property
    def number(self) -> InvoiceNumber:
        """As printed. More than 999,999 in a year make it longer."""
        return InvoiceNumber(f"{self.issuer}-{self.year:04}-{self.serial:06}")


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What a merchant owes for a month. Money in CNY: exact, but for amount_due, which has two places.

    total_exact = lines + late calls, without added tax; tax_exact = the tax that is added; balance = carried_in +
    total_exact + tax_exact; amount_due = balance rounded half up; carried_out = balance - amount_due, which may be
    negative. The carried amounts are lines of the printed invoice, but no part of the month's total.
    """

    buyer: Buyer
    period: Period
    lines: tuple[Line, ...]
    late: tuple[Late, ...]
    taxes: tuple[TaxShare, ...]
    total_exact: Decimal
    tax_exact: Decimal
    carried_in: Decimal
    balance: Decimal
    amount_due: Decimal
    carried_out: Decimal

    @property
    def late_count(self) -> int:
        """How many late calls it takes."""
        return sum(late.count for late in self.late)

    @property
    def late_total(self) -> Decimal:
        """What they cost, without added tax."""
        return total(late.amount for late in self.late)


class Invoice(Bill, frozen=True, kw_only=True):
    """A closed bill, with its number. It never changes."""

    serial: Serial
    closed_at: datetime

    @property
    def number(self) -> InvoiceNumber:
        """Names the invoice everywhere."""
        return self.serial.number


class Draft(Bill, frozen=True, kw_only=True):
    """A month that is not closed, as it stands at an instant."""

    as_of: datetime


class Detail(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One charge. `bill_duration` in days or started minutes, `cost` in CNY without added tax.

    cost = rate x units for days; for calls setup_fee + rate x (units - free_units), a unit being `unit_s` seconds. A
    late call keeps the date of its answer. [starts_at, ends_at) is the rental day (or all the days of a binding that
    one line prices, where a row stands for those), or answer to release.
    """

    merchant_id: str
    biz_date: date
    bill_item: Item
    bill_duration: int
    cost: Decimal
    order_id: str
    binding_id: UUID
    call_id: str | None
    kind: Literal["rental_day", "calendar_day", "call", "late_call"]
    rate: Decimal
    starts_at: datetime
    ends_at: datetime
    seconds: int | None
    tariff_id: str
    tariff_version: int
    invoice_number: str
    units: int
    unit_s: int | None = None
    free_units: int = 0
    setup_fee: Decimal = ZERO
    tax: Tax = NO_TAX


class Sums(NamedTuple):
    """The sums of a bill, in the order of its fields."""

    taxes: tuple[TaxShare, ...]
    total_exact: Decimal
    tax_exact: Decimal
    carried_in: Decimal
    balance: Decimal
    amount_due: Decimal
    carried_out: Decimal


def sum_up(lines: Sequence[Line], late: Sequence[Late] = (), carried_in: Decimal = ZERO) -> Sums:
    """Sum and round, once (billing rule 6.7)."""
    parts: list[Line | Late] = [*lines, *late]
    taxes = tuple(
        share(tax, [part.amount for part in parts if part.tax == tax])
        for tax in sorted({part.tax for part in parts}, key=lambda tax: (tax.mode, tax.rate))
    )
    total_exact, tax_exact = total(part.amount for part in parts), total(part.added for part in taxes)
    balance = total([carried_in, total_exact, tax_exact])
    due = half_up(balance)
    return Sums(taxes, total_exact, tax_exact, carried_in, balance, due, difference(balance, due))


def make_invoice(
    *,
    serial: Serial,
    buyer: Buyer,
    period: Period,
    closed_at: datetime,
    lines: Sequence[Line],
    late: Sequence[Late] = (),
    carried_in: Decimal = ZERO,
) -> Invoice:
    """A closed invoice out of its lines."""
    return Invoice(
        serial=serial,
        buyer=buyer,
        period=period,
        closed_at=closed_at,
        lines=tuple(lines),
        late=tuple(late),
        **sum_up(lines, late, carried_in)._asdict(),
    )


def problems(bill: Bill) -> list[str]:
    """Everything in a bill that does not add up; empty for a sound one."""
    found = [text for line in bill.lines for text in _line_problems(line, bill.period)]
    parts: list[Line | Late] = [*bill.lines, *bill.late]
    expected = {
        "total_exact": total(part.amount for part in parts),
        "tax_exact": total(added(part.tax, part.base) for part in bill.taxes),
        "balance": total([bill.carried_in, bill.total_exact, bill.tax_exact]),
        "amount_due": half_up(bill.balance),
        "carried_out": difference(bill.balance, bill.amount_due),
    }
    found += [
        f"{name} is {getattr(bill, name)}, should be {value}"
        for name, value in expected.items()
        if getattr(bill, name) != value
    ]
    if bill.taxes != sum_up(bill.lines, bill.late).taxes:
        found.append("the taxes are not those of the lines")
    found += [f"late calls of {late.amount} without any call" for late in bill.late if late.count == 0]
    return found


def _line_problems(line: Line, period: Period) -> list[str]:
    found = []
    name = f"{line.kind} line of tariff {line.tariff_id} version {line.tariff_version}"
    if line.amount != times(line.rate, line.quantity):
        found.append(f"{name}: {line.quantity} x {line.rate} is not {line.amount}")
    units = -line.quantity if line.kind is Kind.FREE_MINUTES else line.quantity
    if not 0 < line.count <= units or (line.kind is Kind.CALL_SETUP and line.count != units):
        found.append(f"{name}: {line.count} bindings or calls cannot make {units} days, units or fees")
    if not period.starts_at <= line.starts_at < line.ends_at <= period.ends_at:
        found.append(f"{name}: lies outside of {period}")
    return found
