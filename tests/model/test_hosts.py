"""Hosts: which extensions they lend, counted one by one, and until when they hold a slot."""

from datetime import UTC, datetime, timedelta

import pytest

from vnum.model import damm
from vnum.model.hosts import ExtCheck, Host, HostState
from vnum.model.instants import FOREVER
from vnum.model.numbers import Plan, extension_of
from vnum.pool.image import Image, image_of

NOW = datetime(2026, 10, 10, 9, 30, tzinfo=UTC)


def make_host(digits: int, check: ExtCheck = ExtCheck.NONE, quarantine_days: int | None = 90) -> Host:
    return Host(
        host="18400913965",
        cell=0,
        plan=Plan.HOST_EXT,
        ext_digits=digits,
        ext_check=check,
        quarantine_days=quarantine_days,
        state=HostState.ACTIVE,
    )


@pytest.mark.parametrize(
    ("digits", "check", "capacity"),
    [
        (1, ExtCheck.NONE, 9),
        (2, ExtCheck.NONE, 99),
        (3, ExtCheck.NONE, 999),
        (4, ExtCheck.NONE, 9_999),
        (2, ExtCheck.DAMM, 9),
        (3, ExtCheck.DAMM, 99),
        (4, ExtCheck.DAMM, 999),
    ],
)
def test_the_capacity_is_what_can_be_lent_one_by_one(digits: int, check: ExtCheck, capacity: int) -> None:
    host = make_host(digits, check)
    usable = [index for index in range(host.size) if host.usable(index)]
    assert len(usable) == host.capacity == capacity
    assert 0 not in usable, "0...0 is never lent"
    if check is ExtCheck.DAMM:
        assert all(damm.is_valid(extension_of(index, digits)) for index in usable)


@pytest.mark.parametrize("digits", [1, 2, 3, 4])
def test_a_fresh_image_has_what_the_host_lends(digits: int) -> None:
    host = make_host(digits, ExtCheck.DAMM if digits > 1 else ExtCheck.NONE)
    image = Image(host)
    assert image.left == host.capacity
    drawn = [image.take(start % len(image.free)) for start in range(host.capacity)]
    assert sorted(index for index in drawn if index is not None) == [i for i in range(host.size) if host.usable(i)]
    assert image.take(0) is None


def test_an_image_leaves_out_what_is_held() -> None:
    image = image_of(make_host(1), [("3", NOW), ("7", FOREVER)])
    assert image.left == 7
    assert {image.take(0) for _ in range(9)} == {1, 2, 4, 5, 6, 8, 9, None}


def test_giving_back_twice_counts_once() -> None:
    image = Image(make_host(1))
    index = image.take(0)
    assert index is not None
    image.give_back(index)
    image.give_back(index)
    assert image.left == 9


@pytest.mark.parametrize(
    ("quarantine_days", "held_until"),
    [(1, NOW + timedelta(hours=24)), (90, NOW + timedelta(hours=2_160)), (None, FOREVER)],
)
def test_a_slot_is_held_to_its_end_and_its_quarantine(quarantine_days: int | None, held_until: datetime) -> None:
    assert make_host(4, quarantine_days=quarantine_days).held_until(NOW) == held_until
