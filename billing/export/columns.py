"""The columns of a workbook: what is in them, how they are headed, and how a cell looks."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final, Generic, Literal, TypeVar

import msgspec

from billing.export.cells import DETAIL_COLUMNS
from billing.invoice import Detail, Invoice, Item
from billing.money import total
from billing.notes.note import Note, NoteKind
from billing.periods import ZONE

Look = Literal["text", "count", "exact", "cents", "date", "instant"]
Value = str | int | Decimal | date | datetime | None
T = TypeVar("T")

FORMATS: Final[dict[Look, str]] = {
    "text": "@",
    "count": "#,##0",
    "exact": "#,##0.00##########",
    "cents": "#,##0.00",
    "date": "yyyy-mm-dd",
    "instant": "yyyy-mm-dd hh:mm:ss",
}
"""As many places as a rate may have; a spreadsheet computes with 15 digits."""


class Column(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """`name` is stable, `chinese` is for people. `added` columns are summed in the last row."""

    name: str
    chinese: str
    look: Look
    width: int
    value: Callable[[T], Value]
    added: bool = False

    @property
    def header(self) -> str:
        """Both, a line each."""
        return f"{self.name}\n{self.chinese}"


def in_zone(instant: datetime) -> datetime:
    """Wall clock of Asia/Shanghai: a spreadsheet knows no zones."""
    return instant.astimezone(ZONE).replace(tzinfo=None)


def _of(invoice: Invoice, item: Item) -> Decimal:
    return total(line.amount for line in invoice.lines if line.item is item)


def _money(name: str, chinese: str, value: Callable[[Invoice], Value], look: Look = "exact") -> Column[Invoice]:
    return Column(name=name, chinese=chinese, look=look, width=16, value=value, added=True)


SUMMARY: Final[tuple[Column[Invoice], ...]] = (
    Column(name="number", chinese="账单号", look="text", width=18, value=lambda i: i.number),
    Column(name="merchant_id", chinese="商户编号", look="text", width=18, value=lambda i: i.buyer.merchant_id),
    Column(name="invoice_title", chinese="购方名称", look="text", width=30, value=lambda i: i.buyer.invoice_title),
    Column(name="tax_no", chinese="购方税号", look="text", width=22, value=lambda i: i.buyer.tax_no),
    Column(name="period", chinese="账期", look="text", width=10, value=lambda i: str(i.period)),
    Column(
        name="closed_at", chinese="结账 Asia/Shanghai", look="instant", width=22, value=lambda i: in_zone(i.closed_at)
    ),
    _money("rental", "号码租金", lambda i: _of(i, Item.RENTAL)),
    _money("calls", "通话费", lambda i: _of(i, Item.CALL)),
    _money("adjustments", "补记", lambda i: i.late_total),
    _money("total_exact", "本期合计", lambda i: i.total_exact),
    _money("tax_exact", "外加税额", lambda i: i.tax_exact),
    _money("carried_in", "上期结转", lambda i: i.carried_in),
    _money("balance", "余额", lambda i: i.balance),
    _money("amount_due", "应付金额", lambda i: i.amount_due, "cents"),
    _money("carried_out", "结转下期", lambda i: i.carried_out),
)

_KINDS: Final[dict[NoteKind, str]] = {"credit": "credit 贷项", "debit": "debit 借项"}


def _of_note(name: str, chinese: str, value: Callable[[Note], Value], look: Look = "exact") -> Column[Note]:
    return Column(name=name, chinese=chinese, look=look, width=16, value=value, added=True)


NOTES: Final[tuple[Column[Note], ...]] = (
    Column(name="number", chinese="通知单号", look="text", width=24, value=lambda n: n.number),
    Column(
        name="issued_at", chinese="开具 Asia/Shanghai", look="instant", width=22, value=lambda n: in_zone(n.issued_at)
    ),
    Column(name="invoice_number", chinese="更正账单号", look="text", width=18, value=lambda n: n.invoice_number),
    Column(name="merchant_id", chinese="商户编号", look="text", width=18, value=lambda n: n.merchant_id),
    Column(name="kind", chinese="类型", look="text", width=14, value=lambda n: _KINDS[n.kind]),
    Column(name="reason", chinese="原因", look="text", width=40, value=lambda n: n.reason),
    Column(name="author", chinese="开具人", look="text", width=20, value=lambda n: n.author),
    _of_note("total_exact", "差额合计", lambda n: n.total_exact),
    _of_note("tax_exact", "外加税额", lambda n: n.tax_exact),
    _of_note("amount_due", "应付金额", lambda n: n.amount_due, "cents"),
    _of_note("carried_out", "结转下期", lambda n: n.carried_out),
)

_DETAILS: Final[dict[str, tuple[str, Look, int, Callable[[Detail], Value]]]] = {
    "merchant_id": ("商户编号", "text", 16, lambda d: d.merchant_id),
    "biz_date": ("业务日期 Asia/Shanghai", "date", 22, lambda d: d.biz_date),
    "bill_item": ("费用项 0 租金 1 通话", "count", 18, lambda d: int(d.bill_item)),
    "bill_duration": ("天数或分钟", "count", 14, lambda d: d.bill_duration),
    "cost": ("金额", "exact", 14, lambda d: d.cost),
    "order_id": ("订单号", "text", 24, lambda d: d.order_id),
    "binding_id": ("绑定号", "text", 38, lambda d: str(d.binding_id)),
    "call_id": ("话单号", "text", 24, lambda d: d.call_id),
    "kind": ("类型", "text", 14, lambda d: d.kind),
    "rate": ("单价", "exact", 12, lambda d: d.rate),
    "starts_at": ("开始 Asia/Shanghai", "instant", 20, lambda d: in_zone(d.starts_at)),
    "ends_at": ("结束 Asia/Shanghai", "instant", 20, lambda d: in_zone(d.ends_at)),
    "seconds": ("通话秒数", "count", 10, lambda d: d.seconds),
    "tariff_id": ("资费", "text", 14, lambda d: d.tariff_id),
    "tariff_version": ("资费版本", "count", 14, lambda d: d.tariff_version),
    "invoice_number": ("账单号", "text", 18, lambda d: d.invoice_number),
    "units": ("计费单位数", "count", 12, lambda d: d.units),
    "unit_s": ("单位秒数", "count", 10, lambda d: d.unit_s),
    "free_units": ("免费单位数", "count", 12, lambda d: d.free_units),
    "setup_fee": ("接续费", "exact", 12, lambda d: d.setup_fee),
    "tax_mode": ("计税方式", "text", 12, lambda d: d.tax.mode),
    "tax_rate": ("税率", "exact", 10, lambda d: d.tax.rate),
}
DETAILS: Final[tuple[Column[Detail], ...]] = tuple(
    Column(name=name, chinese=chinese, look=look, width=width, value=value)
    for name, (chinese, look, width, value) in ((name, _DETAILS[name]) for name in DETAIL_COLUMNS)
)


def created_at(closed_at: datetime) -> datetime:
    """As a workbook notes it: UTC without saying so."""
    return closed_at.astimezone(UTC).replace(tzinfo=None)
