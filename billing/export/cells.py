"""The cells of a detail row, the same in every format, and how they are written.

Money is written as plain decimal strings without trailing zeros; instants in UTC, dates by Asia/Shanghai.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from billing.invoice import Detail
from billing.money import plain

RISKY_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")

Cell = str | int | None


def instant(value: datetime) -> str:
    """An instant in UTC: 2026-10-05T02:30:00Z."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


# The first eight are the fixed shape of a bill; those after them explain the row.
_CELLS: Final[dict[str, Callable[[Detail], Cell]]] = {
    "merchant_id": lambda d: d.merchant_id,
    "biz_date": lambda d: d.biz_date.isoformat(),
    "bill_item": lambda d: int(d.bill_item),
    "bill_duration": lambda d: d.bill_duration,
    "cost": lambda d: plain(d.cost),
    "order_id": lambda d: d.order_id,
    "binding_id": lambda d: str(d.binding_id),
    "call_id": lambda d: d.call_id,
    "kind": lambda d: d.kind,
    "rate": lambda d: plain(d.rate),
    "starts_at": lambda d: instant(d.starts_at),
    "ends_at": lambda d: instant(d.ends_at),
    "seconds": lambda d: d.seconds,
    "tariff_id": lambda d: d.tariff_id,
    "tariff_version": lambda d: d.tariff_version,
    "invoice_number": lambda d: d.invoice_number,
    "units": lambda d: d.units,
    "unit_s": lambda d: d.unit_s,
    "free_units": lambda d: d.free_units,
    "setup_fee": lambda d: plain(d.setup_fee),
    "tax_mode": lambda d: d.tax.mode,
    "tax_rate": lambda d: plain(d.tax.rate),
}
DETAIL_COLUMNS: Final = tuple(_CELLS)
# Written by people or other systems; the rest is made here and cannot be a formula.
FREE_TEXT: Final = frozenset({"merchant_id", "order_id", "call_id", "tariff_id", "invoice_number"})


def detail_cells(detail: Detail) -> dict[str, Cell]:
    """One row by column."""
    return {column: cell(detail) for column, cell in _CELLS.items()}


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula: what begins like one (full-width signs count) gets a single quote
    in front."""
    return f"'{text}" if text.startswith(RISKY_STARTS) else text
