"""What a statement of account says, as text: the input of papers.typ."""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Final

import msgspec

from billing.details import Billed
from billing.export.capitals import in_capitals
from billing.export.figures import Text, cents, exact, minute, second, tax_rows
from billing.export.issuer import NOBODY, Issuer
from billing.invoice import RENTAL_KINDS, Detail, Kind, Line
from billing.money import EXACT, ZERO, total
from billing.periods import ZONE

MOST_ADJUSTMENTS: Final = 300
"""So many late calls are listed; the other formats have all of them."""

_ONE: Final = timedelta(days=1)


class Statement(msgspec.Struct, frozen=True, kw_only=True, tag="statement"):
    """One invoice. Numbers in groups of three, money exact, instants by Asia/Shanghai."""

    number: str
    issuer: str
    issuer_tax_no: str | None
    period: str
    interval: str
    closed_at: str
    merchant_id: str
    title: str
    tax_no: str
    lines: list[Text]
    lines_total: str
    adjustments: list[Text]
    adjustments_count: str
    adjustments_left_out: str
    adjustments_total: str
    taxes: list[Text]
    total_exact: str
    tax_exact: str
    carried_in: str
    balance: str
    amount_due: str
    in_capitals: str
    carried_out: str
    days: list[Text]
    all: Text

    @property
    def rows(self) -> int:
        """How long it is, about."""
        return len(self.lines) + len(self.adjustments) + len(self.taxes) + len(self.days)


class _Day:
    """What a date comes to."""

    __slots__ = ("call_cost", "calls", "minutes", "rental_cost", "rental_days")

    def __init__(self) -> None:
        self.rental_days = self.calls = self.minutes = 0
        self.rental_cost = self.call_cost = ZERO

    def add(self, other: "_Day") -> None:
        self.rental_days += other.rental_days
        self.calls += other.calls
        self.minutes += other.minutes
        self.rental_cost = EXACT.add(self.rental_cost, other.rental_cost)
        self.call_cost = EXACT.add(self.call_cost, other.call_cost)

    def text(self, name: str) -> Text:
        return {
            "date": name,
            "rental_days": f"{self.rental_days:,}",
            "rental_cost": exact(self.rental_cost),
            "calls": f"{self.calls:,}",
            "minutes": f"{self.minutes:,}",
            "call_cost": exact(self.call_cost),
        }


async def statement_of(billed: Billed, issuer: Issuer = NOBODY, most_adjustments: int = MOST_ADJUSTMENTS) -> Statement:
    """Reads the invoice's rows by binding, to their end. Raises InvoiceInconsistent."""
    days, late = await _read(billed.details, most_adjustments)
    invoice = billed.invoice
    everything = _Day()
    for day in days.values():
        everything.add(day)
    return Statement(
        number=invoice.number,
        issuer=issuer.beside(invoice.serial.issuer),
        issuer_tax_no=issuer.tax_no,
        period=str(invoice.period),
        interval=f"{minute(invoice.period.starts_at)} – {minute(invoice.period.ends_at)}",
        closed_at=second(invoice.closed_at),
        merchant_id=invoice.buyer.merchant_id,
        title=invoice.buyer.invoice_title or "—",
        tax_no=invoice.buyer.tax_no or "—",
        lines=[_line(line) for line in invoice.lines],
        lines_total=exact(total(line.amount for line in invoice.lines)),
        adjustments=[_late(detail) for detail in late],
        adjustments_count=f"{invoice.late_count:,}",
        adjustments_left_out=f"{invoice.late_count - len(late):,}",
        adjustments_total=exact(invoice.late_total),
        taxes=tax_rows(invoice.taxes, invoice.carried_in),
        total_exact=exact(invoice.total_exact),
        tax_exact=exact(invoice.tax_exact),
        carried_in=exact(invoice.carried_in),
        balance=exact(invoice.balance),
        amount_due=cents(invoice.amount_due),
        in_capitals=in_capitals(invoice.amount_due),
        carried_out=exact(invoice.carried_out),
        days=[days[day].text(day.isoformat()) for day in sorted(days)],
        all=everything.text(""),
    )


async def _read(details: AsyncIterator[Detail], most: int) -> tuple[dict[date, _Day], list[Detail]]:
    days: dict[date, _Day] = defaultdict(_Day)
    late: list[Detail] = []
    async for detail in details:
        if detail.kind == "late_call":
            late += [detail] if len(late) < most else []
        elif detail.kind in RENTAL_KINDS:
            for nth in range(detail.bill_duration):  # its days have dates that follow each other
                day = days[detail.biz_date + nth * _ONE]
                day.rental_days += 1
                day.rental_cost = EXACT.add(day.rental_cost, detail.rate)
        else:
            day = days[detail.biz_date]
            day.calls += 1
            day.minutes += detail.bill_duration
            day.call_cost = EXACT.add(day.call_cost, detail.cost)
    return days, late


def _line(line: Line) -> Text:
    unit = None if line.kind in RENTAL_KINDS else "call" if line.kind is Kind.CALL_SETUP else str(line.unit_s)
    return {
        "kind": line.kind.value,
        "tariff": line.tariff_id,
        "version": str(line.tariff_version),
        "rate": exact(line.rate),
        "interval": f"{minute(line.starts_at)} – {minute(line.ends_at)}",
        "count": f"{line.count:,}",
        "quantity": f"{line.quantity:,}",
        "unit": unit,
        "amount": exact(line.amount),
    }


def _late(detail: Detail) -> Text:
    return {
        "date": detail.biz_date.isoformat(),
        "time": f"{detail.starts_at.astimezone(ZONE):%H:%M:%S}",
        "order_id": detail.order_id,
        "call_id": detail.call_id,
        "minutes": str(detail.bill_duration),
        "cost": exact(detail.cost),
    }
