"""What a statement of account says, as text: the input of statement.typ."""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from billing.details import Billed
from billing.export.capitals import in_capitals
from billing.invoice import RENTAL_KINDS, Detail, Invoice, Kind, Line
from billing.money import EXACT, ZERO, plain, total, two_places
from billing.periods import ZONE
from billing.tax import Split, TaxShare, split

MOST_ADJUSTMENTS: Final = 300
"""So many late calls are listed; the other formats have all of them."""

_ONE: Final = timedelta(days=1)

Text = dict[str, str | None]


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice. Numbers in groups of three, money exact, instants by Asia/Shanghai."""

    number: str
    issuer: str
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
            "rental_cost": _exact(self.rental_cost),
            "calls": f"{self.calls:,}",
            "minutes": f"{self.minutes:,}",
            "call_cost": _exact(self.call_cost),
        }


async def statement_of(billed: Billed, most_adjustments: int = MOST_ADJUSTMENTS) -> Statement:
    """Reads the invoice's rows by binding, to their end. Raises InvoiceInconsistent."""
    days, late = await _read(billed.details, most_adjustments)
    invoice = billed.invoice
    everything = _Day()
    for day in days.values():
        everything.add(day)
    return Statement(
        number=invoice.number,
        issuer=invoice.serial.issuer,
        period=str(invoice.period),
        interval=f"{_minute(invoice.period.starts_at)} – {_minute(invoice.period.ends_at)}",
        closed_at=f"{invoice.closed_at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}",
        merchant_id=invoice.buyer.merchant_id,
        title=invoice.buyer.invoice_title or "—",
        tax_no=invoice.buyer.tax_no or "—",
        lines=[_line(line) for line in invoice.lines],
        lines_total=_exact(total(line.amount for line in invoice.lines)),
        adjustments=[_late(detail) for detail in late],
        adjustments_count=f"{invoice.late_count:,}",
        adjustments_left_out=f"{invoice.late_count - len(late):,}",
        adjustments_total=_exact(invoice.late_total),
        taxes=_taxes(invoice),
        total_exact=_exact(invoice.total_exact),
        tax_exact=_exact(invoice.tax_exact),
        carried_in=_exact(invoice.carried_in),
        balance=_exact(invoice.balance),
        amount_due=_cents(invoice.amount_due),
        in_capitals=in_capitals(invoice.amount_due),
        carried_out=_exact(invoice.carried_out),
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
        "rate": _exact(line.rate),
        "interval": f"{_minute(line.starts_at)} – {_minute(line.ends_at)}",
        "count": f"{line.count:,}",
        "quantity": f"{line.quantity:,}",
        "unit": unit,
        "amount": _exact(line.amount),
    }


def _late(detail: Detail) -> Text:
    return {
        "date": detail.biz_date.isoformat(),
        "time": f"{detail.starts_at.astimezone(ZONE):%H:%M:%S}",
        "order_id": detail.order_id,
        "call_id": detail.call_id,
        "minutes": str(detail.bill_duration),
        "cost": _exact(detail.cost),
    }


def _taxes(invoice: Invoice) -> list[Text]:
    parts = split(invoice.taxes, invoice.carried_in)
    return [_tax(share, part) for share, part in zip(invoice.taxes, parts, strict=True)]


def _tax(share: TaxShare, part: Split) -> Text:
    return {
        "mode": share.tax.mode,
        "rate": percent(share.tax.rate),
        "base": _exact(share.base),
        "added": _exact(share.added),
        "gross": _cents(part.gross),
        "net": _cents(part.net),
        "tax": _cents(part.tax_amount),
    }


def percent(rate: Decimal) -> str:
    """0.06 as 6%."""
    return f"{plain(EXACT.multiply(rate, Decimal(100)))}%"


def _exact(amount: Decimal) -> str:
    """All its digits, in groups of three: 1,234.00018."""
    return f"{Decimal(plain(amount)):,f}"


def _cents(amount: Decimal) -> str:
    return f"{Decimal(two_places(amount)):,f}"


def _minute(instant: datetime) -> str:
    return f"{instant.astimezone(ZONE):%Y-%m-%d %H:%M}"
