"""What an invoice is, as plain values: lines, details, and what holds between them (billing rules 6.6-9)."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Final, Literal, NewType
from uuid import UUID

import msgspec

from billing.money import ZERO, difference, half_up, times, total
from billing.periods import Period

MerchantId = NewType("MerchantId", str)
InvoiceNumber = NewType("InvoiceNumber", str)

DEFAULT_ISSUER: Final = "VNUM"


class Item(IntEnum):
    """The `bill_item` of lines and detail rows, with the numbers that finance people know."""

    RENTAL = 0
    CALL = 1


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What one tariff version and rate priced: amount = rate x quantity.

    What begins in [starts_at, ends_at) is priced here: days (RENTAL) or calls (CALL). `count` is the number
    of bindings or calls, `quantity` that of days or minutes.
    """

    item: Item
    tariff_id: str
    tariff_version: int
    rate: Decimal
    starts_at: datetime
    ends_at: datetime
    count: int
    quantity: int
    amount: Decimal


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of the adjustments: calls of closed months (billing rule 6.6). The ledger has a row each."""

    count: int
    amount: Decimal


NOTHING_LATE: Final = Late(count=0, amount=ZERO)


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


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """A closed invoice. Money in CNY: exact, but for amount_due, which has two places.

    balance = carried_in + total_exact; amount_due = balance rounded half up; carried_out = balance -
    amount_due, which may be negative. The carried amounts are lines of the printed invoice, but no part of
    the month's total.
    """

    serial: Serial
    buyer: Buyer
    period: Period
    closed_at: datetime
    lines: tuple[Line, ...]
    late: Late
    total_exact: Decimal
    carried_in: Decimal
    balance: Decimal
    amount_due: Decimal
    carried_out: Decimal

    @property
    def number(self) -> InvoiceNumber:
        """Names the invoice everywhere."""
        return self.serial.number


class Detail(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One charge. `bill_duration` in days (always 1) or minutes, `cost` in CNY.

    A late call keeps the date of its answer. [starts_at, ends_at) is the rental day, or answer to release.
    """

    merchant_id: str
    biz_date: date
    bill_item: Item
    bill_duration: int
    cost: Decimal
    order_id: str
    binding_id: UUID
    call_id: str | None
    kind: Literal["rental_day", "call", "late_call"]
    rate: Decimal
    starts_at: datetime
    ends_at: datetime
    seconds: int | None
    tariff_id: str
    tariff_version: int
    invoice_number: str


def make_invoice(
    *,
    serial: Serial,
    buyer: Buyer,
    period: Period,
    closed_at: datetime,
    lines: Sequence[Line],
    late: Late = NOTHING_LATE,
    carried_in: Decimal = ZERO,
) -> Invoice:
    """Sum and round, once (billing rule 6.7)."""
    total_exact = total([*(line.amount for line in lines), late.amount])
    balance = total([carried_in, total_exact])
    amount_due = half_up(balance)
    return Invoice(
        serial=serial,
        buyer=buyer,
        period=period,
        closed_at=closed_at,
        lines=tuple(lines),
        late=late,
        total_exact=total_exact,
        carried_in=carried_in,
        balance=balance,
        amount_due=amount_due,
        carried_out=difference(balance, amount_due),
    )


def problems(invoice: Invoice) -> list[str]:
    """Everything in an invoice that does not add up; empty for a sound one."""
    found = [text for line in invoice.lines for text in _line_problems(line, invoice.period)]
    summed = total([*(line.amount for line in invoice.lines), invoice.late.amount])
    expected = {
        "total_exact": summed,
        "balance": total([invoice.carried_in, invoice.total_exact]),
        "amount_due": half_up(invoice.balance),
        "carried_out": difference(invoice.balance, invoice.amount_due),
    }
    found += [
        f"{name} is {getattr(invoice, name)}, should be {value}"
        for name, value in expected.items()
        if getattr(invoice, name) != value
    ]
    if invoice.late.count == 0 and invoice.late.amount != 0:
        found.append(f"adjustments of {invoice.late.amount} without any late call")
    return found


def _line_problems(line: Line, period: Period) -> list[str]:
    found = []
    name = f"{line.item.name.lower()} line of tariff {line.tariff_id} version {line.tariff_version}"
    if line.amount != times(line.rate, line.quantity):
        found.append(f"{name}: {line.quantity} x {line.rate} is not {line.amount}")
    if not 0 < line.count <= line.quantity:
        found.append(f"{name}: {line.count} bindings or calls cannot make {line.quantity} days or minutes")
    if not period.starts_at <= line.starts_at < line.ends_at <= period.ends_at:
        found.append(f"{name}: lies outside of {period}")
    return found
