"""Orders, as far as vnum knows them: what their status allows."""

from enum import StrEnum


class OrderStatus(StrEnum):
    UNPAID = "unpaid"
    PAID = "paid"
    WAYBILL_ISSUED = "waybill_issued"
    SHIPPED = "shipped"
    SIGNED = "signed"
    AFTER_SALES = "after_sales"
    CANCELLED = "cancelled"
    CLOSED = "closed"


BINDABLE = frozenset({OrderStatus.WAYBILL_ISSUED, OrderStatus.SHIPPED, OrderStatus.SIGNED, OrderStatus.AFTER_SALES})
"""A number may be bound from the waybill (whose label bears it) to after-sales."""

READABLE = BINDABLE - {OrderStatus.WAYBILL_ISSUED}
"""Merchants and ISVs read or dial the number only once the order is shipped."""

UNDER_WAY = frozenset({OrderStatus.WAYBILL_ISSUED, OrderStatus.SHIPPED})
"""An order of which no parcel is known travels by its status."""

OVER = frozenset({OrderStatus.CANCELLED, OrderStatus.CLOSED})
"""What is over gets no new number, whatever a late message says."""


def advances(before: OrderStatus, after: OrderStatus) -> bool:
    """Whether an order moves on: a late message does not take it back."""
    order = list(OrderStatus)
    return order.index(after) > order.index(before)
