"""Where an order stands after what was told of it, and when its number ends: by a table of days."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from vnum.model.lifecycle import Event, EventType, Parcel, ParcelState, Policy, course, moved_on
from vnum.model.orders import OrderStatus

START = datetime(2026, 10, 1, tzinfo=UTC)
POLICY = Policy(end_after_signed_days=7, end_after_closed_days=1)


def day(n: float) -> datetime:
    return START + timedelta(days=n)


def events(text: str) -> list[Event]:
    """`3 signed, 5 *signed`: on which day; * = of one parcel."""
    told = [one.split() for one in text.split(", ") if one]
    return [Event(EventType(what.removeprefix("*")), day(float(at)), not what.startswith("*")) for at, what in told]


def parcels(text: str) -> list[Parcel]:
    """`signed 3, travelling`."""
    read = [one.split() for one in text.split(", ") if one]
    return [Parcel(ParcelState(one[0]), day(float(one[1])) if one[1:] else None) for one in read]


STORIES = [
    # told, parcels, status, day of the end
    ("", "", "unpaid", None),
    ("", "travelling", "unpaid", None),
    ("1 shipped", "travelling", "shipped", None),
    ("1 shipped, 3 signed", "", "signed", 10),
    ("3 signed", "signed 3", "signed", 10),
    ("3 *signed", "signed 3, travelling", "shipped", None),
    ("3 *signed, 5 *signed", "signed 3, signed 5", "signed", 12),
    ("3 *signed, 5 *returned", "signed 3, returned 5", "signed", 12),
    ("5 *returned", "returned 5", "shipped", 6),
    ("3 *returned, 5 *returned", "returned 3, returned 5", "shipped", 6),
    ("5 returned", "", "shipped", 6),
    ("3 signed, 4 returned", "", "shipped", 5),
    ("3 signed, 4 after_sales_opened", "signed 3", "after_sales", None),
    ("3 signed, 4 after_sales_opened, 8 after_sales_closed", "signed 3", "after_sales", 15),
    ("3 after_sales_opened, 4 after_sales_closed", "signed 6", "after_sales", 13),
    ("3 after_sales_opened, 4 after_sales_closed", "travelling", "after_sales", None),
    ("3 signed, 5 closed", "signed 3", "closed", 6),
    ("3 signed, 20 closed", "signed 3", "closed", 10),
    ("2 cancelled", "travelling", "cancelled", 3),
    ("5 closed, 6 after_sales_opened", "signed 3", "after_sales", None),
    ("5 closed, 6 after_sales_opened, 7 closed", "signed 3", "closed", 8),
    ("5 cancelled, 6 after_sales_opened", "signed 3", "cancelled", 6),
    ("4 after_sales_opened, 5 closed", "signed 3", "closed", 6),
]


@pytest.mark.parametrize(("told", "of", "status", "ends"), STORIES)
def test_where_an_order_stands(told: str, of: str, status: str, ends: int | None) -> None:
    found = course(OrderStatus.WAYBILL_ISSUED, events(told), parcels(of), POLICY)
    assert (found.status, found.ends_at) == (status, None if ends is None else day(ends))


@pytest.mark.parametrize(("told", "of", "status", "ends"), STORIES)
def test_without_a_policy_nothing_ends_early(told: str, of: str, status: str, ends: int | None) -> None:
    assert course(OrderStatus.SHIPPED, events(told), parcels(of), Policy()).ends_at is None


def test_after_sales_by_status_alone_keep_the_number() -> None:
    told = events("3 signed")
    assert course(OrderStatus.AFTER_SALES, told, [], POLICY).ends_at is None
    assert course(OrderStatus.AFTER_SALES, [*told, *events("5 after_sales_closed")], [], POLICY).ends_at == day(12)


@pytest.mark.parametrize("days", [0, 1, 180])
def test_days_are_spans_of_24_hours(days: int) -> None:
    policy = Policy(end_after_signed_days=days)
    assert course(OrderStatus.SHIPPED, events("3.5 signed"), [], policy).ends_at == day(3.5 + days)


MOVES = [
    # stored, told, now
    ("waybill_issued", "1 shipped", "shipped"),
    ("shipped", "3 signed", "signed"),
    ("signed", "1 shipped", "signed"),
    ("after_sales", "3 signed", "after_sales"),
    ("signed", "4 after_sales_opened", "after_sales"),
    ("after_sales", "4 after_sales_opened, 5 after_sales_closed", "after_sales"),
    ("shipped", "2 cancelled", "cancelled"),
    ("cancelled", "3 signed", "cancelled"),
    ("cancelled", "2 cancelled, 4 after_sales_opened", "cancelled"),
    ("closed", "4 after_sales_opened, 5 closed", "closed"),
    ("closed", "5 closed, 6 after_sales_opened", "after_sales"),
    ("closed", "6 after_sales_opened", "closed"),
]


@pytest.mark.parametrize(("stored", "told", "now"), MOVES)
def test_a_late_message_takes_no_order_back(stored: str, told: str, now: str) -> None:
    status = OrderStatus(stored)
    assert moved_on(status, course(status, events(told), [], POLICY)) == now


def test_the_order_in_which_messages_come_is_no_matter() -> None:
    told = events("1 shipped, 3 signed, 4 after_sales_opened, 5 after_sales_closed, 9 closed")
    stands = {
        course(OrderStatus.SHIPPED, sorted(come, key=lambda event: event.at), [], POLICY) for come in permutations(told)
    }
    assert len(stands) == 1
