"""Events: written with their effects, delivered at least once, signed, in the order of each binding."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.engines import DAY, HOST, START, World, open_world, the
from tests.receiver import Received, Receiver, receiving
from tests.service.test_records import record
from vnum.model.refusals import Code, Refused
from vnum.model.webhooks import ATTEMPTS, DeliveryState, Event
from vnum.outside.addresses import Reach
from vnum.servers import Endpoints
from vnum.service.clock import ManualClock
from vnum.service.deliver import LEASE, Deliverer
from vnum.service.keys import Caller, Role
from vnum.service.webhooks import NewWebhook, Webhook, WebhookChange

PLATFORM = Caller(key_id="p1", role=Role.PLATFORM)
ENDS = [Event.BINDING_EXPIRING, Event.BINDING_EXPIRED, Event.BINDING_RELEASED]
HOUR = timedelta(hours=1)
LAG = timedelta(seconds=90)
"""What an end is told after, at the latest."""


@pytest.fixture
async def world(endpoints: Endpoints, schema: str, key_folder: Path) -> AsyncIterator[World]:
    reach = {"webhook_reach": Reach.LOOPBACK, "keep_deliveries_days": 7}
    async with open_world(endpoints, schema, key_folder, clock=ManualClock(START), **reach) as opened:
        await opened.merchant()
        await opened.host()
        await opened.engine.care.tend()  # from here on ends are told
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def subscribe(world: World, receiver: Receiver, *events: Event, **rest: Any) -> tuple[Webhook, str]:
    new = NewWebhook(url=rest.pop("url", receiver.url), events=list(events), **rest)
    return await world.engine.webhooks.add(new, PLATFORM)


async def deliver(world: World) -> int:
    return await world.engine.deliverer.round()


async def states(world: World) -> dict[str, int]:
    rows = await world.owner.fetch("SELECT state, count(*) FROM webhook_deliveries GROUP BY 1")
    return {row[0]: row[1] for row in rows}


async def call(world: World, binding: Any, call_id: str) -> None:
    await world.engine.records.report([record(world, binding, call_id=call_id)])


# What is told


async def test_a_release_is_told(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver, Event.BINDING_RELEASED)
    binding = await world.bind("a")
    world.pass_time(HOUR)
    await world.engine.lifetime.release(binding.binding_id, "signed")
    assert await deliver(world) == 1
    (got,) = receiver.got
    assert got.body["type"] == "binding.released"
    assert got.body["timestamp"] == "2026-10-10T10:30:00Z"
    assert got.data == {
        "binding_id": str(binding.binding_id),
        "merchant_id": "m",
        "order_id": "a",
        "host": HOST,
        "extension": binding.extension,
        "number": f"{HOST}-{binding.extension}",
        "bound_at": "2026-10-10T09:30:00Z",
        "expires_at": "2026-11-09T09:30:00Z",
        "ended_at": "2026-10-10T10:30:00Z",
        "code": "binding_released",
    }
    assert await deliver(world) == 0
    assert await states(world) == {"delivered": 1}


async def test_a_call_is_told_once_with_what_it_costs(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver, Event.CALL_ENDED)
    binding = await world.bind("a")
    world.pass_time(HOUR)
    for _ in range(2):
        await call(world, binding, "c-1")
    await deliver(world)
    (got,) = receiver.got
    told = {name: got.data[name] for name in ("call_id", "order_id", "seconds", "minutes", "cost", "release_time")}
    assert told == {
        "call_id": "c-1",
        "order_id": "a",
        "seconds": 61,
        "minutes": 2,
        "cost": "0.04",
        "release_time": "2026-10-10T10:30:00Z",
    }
    assert b"13800000000" not in got.raw


async def test_an_invoice_is_told_and_no_month_without_one(world: World, receiver: Receiver) -> None:
    await world.merchant("idle")
    await subscribe(world, receiver, Event.INVOICE_CLOSED)
    await world.bind("a")
    world.pass_time(25 * DAY)
    await world.engine.invoices.close("2026-10")
    await world.engine.invoices.close("2026-10")
    await deliver(world)
    (got,) = receiver.got
    assert got.data == {
        "invoice_number": "VN-2026-000001",
        "merchant_id": "m",
        "period": "2026-10",
        "closed_at": "2026-11-04T09:30:00Z",
        "total_exact": "0.00396",
        "amount_due": "0.00",
    }


async def test_a_pool_that_runs_low_is_told_once_until_it_has_room_again(world: World, receiver: Receiver) -> None:
    """Nine slots, of which fewer than a tenth are free: none."""
    await subscribe(world, receiver, Event.POOL_LOW)
    bound = await world.fill(9)
    for _ in range(2):
        world.pass_time(timedelta(minutes=11))
        await world.engine.care.tend()
    await deliver(world)
    assert [got.data for got in receiver.got] == [
        {"scope": "host", "host": HOST, "city": None, "free": 0, "capacity": 9}
    ]
    for binding in bound[:2]:
        await world.engine.lifetime.release(binding.binding_id, "x")
    world.pass_time(2 * DAY)
    await world.engine.care.tend()
    await world.fill(2, first=21)
    world.pass_time(timedelta(minutes=11))
    await world.engine.care.tend()
    await deliver(world)
    assert receiver.types == ["pool.low"] * 2


async def test_whoever_wants_all_hears_of_all_and_others_of_their_own(world: World, receiver: Receiver) -> None:
    await world.merchant("n")
    await subscribe(world, receiver, Event.BINDING_RELEASED, url=receiver.url + "/all")
    await subscribe(world, receiver, Event.BINDING_RELEASED, url=receiver.url + "/m", merchant_id="m")
    await subscribe(world, receiver, Event.CALL_ENDED, url=receiver.url + "/calls")
    for merchant in ("m", "n"):
        binding = await world.bind("a", 1 if merchant == "m" else 2, merchant=merchant)
        await world.engine.lifetime.release(binding.binding_id, "x")
    await deliver(world)
    told = sorted((got.path, got.data["merchant_id"]) for got in receiver.got)
    assert told == [("/hook/all", "m"), ("/hook/all", "n"), ("/hook/m", "m")]
    (one, other) = (got.id for got in receiver.got if got.data["merchant_id"] == "m")
    assert one == other, "an event has one id, whoever is told"


async def test_nobody_listens_so_nothing_is_written(world: World) -> None:
    binding = await world.bind("a")
    world.pass_time(HOUR)
    await call(world, binding, "c-1")
    await world.engine.lifetime.release(binding.binding_id, "x")
    world.pass_time(40 * DAY)
    await world.engine.care.tend()
    assert await world.count("webhook_deliveries") == 0


async def test_a_merchants_subscription_hides_the_number_until_the_order_is_shipped(
    world: World, receiver: Receiver
) -> None:
    """As its lists do. (Only a platform's may go to this machine, so what waits is looked at.)"""
    merchant = Caller(key_id="k", role=Role.MERCHANT, merchants=frozenset({"m"}))
    new = NewWebhook(url="https://shop.example.com/", events=[Event.BINDING_RELEASED, Event.CALL_ENDED])
    webhook, _ = await world.engine.webhooks.add(new, merchant)
    for n, status in enumerate(["waybill_issued", "shipped"]):
        binding = await world.bind(status, n, order_status=status)
        world.pass_time(HOUR)
        await call(world, binding, status)
        await world.engine.lifetime.release(binding.binding_id, "x")
    rows = await world.owner.fetch("SELECT data->>'order_id', data->>'number', data->>'host' FROM webhook_deliveries")
    assert {row[0]: (row[1] is None, row[2]) for row in rows} == {
        "waybill_issued": (True, None),
        "shipped": (False, HOST),
    }
    assert len(rows) == 4
    assert webhook.merchant_id == "m"


async def test_an_isv_hears_while_the_merchant_lets_it_act_for_him(world: World, receiver: Receiver) -> None:
    """After the withdrawal nothing is kept for it, nor sent of what was kept before. (Only a platform's may go to this
    machine, so attempts are counted.)"""
    grants, isv = world.engine.grants, (await world.engine.keys.make(Role.ISV)).key_id
    await grants.give("m", isv)
    new = NewWebhook(url="https://shop.example.com/", events=[Event.BINDING_RELEASED, *ENDS, Event.CALL_ENDED])
    webhook, _ = await world.engine.webhooks.add(new, Caller(key_id=isv, role=Role.ISV, merchants=frozenset({"m"})))
    await world.owner.execute("UPDATE webhooks SET url = $1", receiver.url)
    await grants.give("m", (await world.engine.keys.make(Role.ISV)).key_id)  # of another key: counts for that one only

    async def released(n: int) -> int:
        """How many events are kept after a call and a release."""
        binding = await world.bind(f"o{n}", n)
        world.pass_time(HOUR)
        await call(world, binding, f"c{n}")
        await world.engine.lifetime.release(binding.binding_id, "x")
        return await world.count("webhook_deliveries")

    assert await released(1) == 2
    await grants.withdraw("m", isv)
    assert await released(2) == 2
    await world.bind("ends", 3, ttl_days=1)
    world.pass_time(2 * DAY)
    await world.engine.care.tend()
    assert await world.count("webhook_deliveries") == 2
    assert await deliver(world) == 0
    assert await world.engine.deliverer.lane(webhook.webhook_id) == 0, "also by a worker that was about to"
    await grants.give("m", isv)
    world.pass_time(LEASE)
    assert await deliver(world) == 1, "the first of its binding"
    assert await world.owner.fetchval("SELECT failure FROM webhook_deliveries WHERE attempts = 1") == "address_refused"
    assert await released(4) == 4
    assert receiver.got == []


@pytest.mark.parametrize("end", ["revoked", "expires"])
async def test_an_isvs_subscription_ends_with_its_key(world: World, receiver: Receiver, end: str) -> None:
    """Though the merchant never withdrew the grant. A platform's goes on without the key that made it."""
    keys = world.engine.keys
    expires_at = world.now + 2 * HOUR + HOUR / 2 if end == "expires" else None
    isv = (await keys.make(Role.ISV, expires_at=expires_at)).key_id
    await world.engine.grants.give("m", isv)
    new = NewWebhook(url="https://shop.example.com/", events=[Event.BINDING_RELEASED, *ENDS, Event.CALL_ENDED])
    webhook, _ = await world.engine.webhooks.add(new, Caller(key_id=isv, role=Role.ISV, merchants=frozenset({"m"})))
    others, _ = await subscribe(world, receiver, Event.BINDING_RELEASED)

    async def released(n: int) -> int:
        """How many events are kept for it after a call and a release."""
        binding = await world.bind(f"o{n}", n)
        world.pass_time(HOUR)
        await call(world, binding, f"c{n}")
        await world.engine.lifetime.release(binding.binding_id, "x")
        return await world.count("webhook_deliveries WHERE webhook_id = $1", webhook.webhook_id)

    assert await released(1) == 2
    if end == "revoked":
        await keys.revoke(isv)
    else:
        assert await released(2) == 4
        world.pass_time(HOUR)
    had = 2 if end == "revoked" else 4
    assert await released(3) == had
    await world.bind("ends", 4, ttl_days=1)
    world.pass_time(2 * DAY)
    await world.engine.care.tend()
    assert await world.count("webhook_deliveries WHERE webhook_id = $1", webhook.webhook_id) == had
    assert await world.engine.deliverer.lane(webhook.webhook_id) == 0, "what waits is not sent"
    assert await deliver(world) == had // 2 + 1, "to the platform only"
    assert await world.count("webhook_deliveries WHERE webhook_id = $1", others.webhook_id) == had // 2 + 1


# Ends, which no command brings about


async def test_the_end_of_a_binding_is_told_three_days_before_and_after_it(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver, *ENDS)
    await world.bind("a", ttl_days=10)
    told: list[tuple[timedelta, str]] = []
    for _ in range(24 * 11):
        world.pass_time(HOUR)
        await world.engine.care.tend()
        before = len(receiver.got)
        await deliver(world)
        told += [(world.now - START, got.body["type"]) for got in receiver.got[before:]]
    assert told == [(7 * DAY + HOUR, "binding.expiring"), (10 * DAY + HOUR, "binding.expired")]
    assert [got.data["code"] for got in receiver.got] == ["binding_expiring", "binding_expired"]


async def test_an_end_is_told_90_seconds_after_it_when_nothing_can_move_it_any_more(
    world: World, receiver: Receiver
) -> None:
    await subscribe(world, receiver, Event.BINDING_EXPIRED)
    await world.bind("a", ttl_days=1)
    world.pass_time(DAY + LAG - timedelta(microseconds=1))
    await world.engine.care.tend()
    assert await deliver(world) == 0
    world.pass_time(timedelta(microseconds=1))
    await world.engine.care.tend()
    assert await deliver(world) == 1


async def test_an_extension_makes_another_end(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver, *ENDS)
    binding = await world.bind("a", ttl_days=10)
    world.pass_time(8 * DAY)
    await world.engine.care.tend()  # expiring is told
    await world.engine.lifetime.extend(binding.binding_id, 7)
    for _ in range(12):
        world.pass_time(DAY)
        await world.engine.care.tend()
    await deliver(world)
    assert receiver.types == ["binding.expiring", "binding.expiring", "binding.expired"]
    assert [got.data["expires_at"] for got in receiver.got] == ["2026-10-20T09:30:00Z", *["2026-10-27T09:30:00Z"] * 2]
    assert len({got.id for got in receiver.got}) == 3


async def test_a_released_binding_does_not_expire(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver, *ENDS)
    binding = await world.bind("a", ttl_days=10)
    world.pass_time(DAY)
    await world.engine.lifetime.release(binding.binding_id, "x")
    for _ in range(12):
        world.pass_time(DAY)
        await world.engine.care.tend()
    await deliver(world)
    assert receiver.types == ["binding.released"]


async def hours_of_events(world: World, receiver: Receiver, hours: int) -> list[tuple[int, str]]:
    """What is told from now on, and how many hours later."""
    told: list[tuple[int, str]] = []
    before = len(receiver.types)
    for hour in range(1, hours + 1):
        world.pass_time(HOUR)
        await world.engine.care.tend()
        await deliver(world)
        told += [(hour, kind) for kind in receiver.types[before + len(told) :]]
    return told


@pytest.mark.parametrize(
    ("days", "near"),
    [
        (1, 24 - 2),  # 2.4 hours ahead, told with the first look after it
        (2, 48 - 4),
        (3, 72 - 7),
        (4, 96 - 72 + 1),
    ],
)
async def test_of_a_short_life_a_tenth_is_its_nearing_end(
    world: World, receiver: Receiver, days: int, near: int
) -> None:
    await subscribe(world, receiver, *ENDS)
    await world.bind("a", ttl_days=days)
    told = await hours_of_events(world, receiver, 24 * days + 6)
    assert told == [(near, "binding.expiring"), (24 * days + 1, "binding.expired")]


async def test_a_short_life_that_is_extended_nears_another_end(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver, *ENDS)
    binding = await world.bind("a", ttl_days=1)
    assert await hours_of_events(world, receiver, 23) == [(22, "binding.expiring")]
    await world.engine.lifetime.extend(binding.binding_id, 7)
    assert await hours_of_events(world, receiver, 24 * 8) == [
        (24 * (8 - 3) + 1 - 23, "binding.expiring"),
        (24 * 8 + 1 - 23, "binding.expired"),
    ]


async def test_two_workers_tell_an_end_once(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver, *ENDS)
    await world.fill(9, ttl_days=10)
    world.pass_time(20 * DAY)
    await asyncio.gather(*(world.engine.care.tend() for _ in range(3)))
    await deliver(world)
    assert sorted(receiver.types) == ["binding.expired"] * 9 + ["binding.expiring"] * 9


# No effect, no event; no event without its delivery


async def test_an_effect_that_was_rolled_back_is_not_told(world: World, receiver: Receiver) -> None:
    """A release, a call and an invoice whose transactions come to nothing."""
    await subscribe(world, receiver, Event.BINDING_RELEASED, Event.CALL_ENDED, Event.INVOICE_CLOSED)
    binding = await world.bind("a")
    world.pass_time(25 * DAY)
    for name in ("audit_entries", "calls", "closes"):
        await world.owner.execute(f"ALTER TABLE {name} ADD CONSTRAINT broken CHECK (false) NOT VALID")
    try:
        with pytest.raises(Exception, match="broken"):
            await world.engine.lifetime.release(binding.binding_id, "x")
        await call(world, binding, "c-1")
        with pytest.raises(Exception, match="broken"):
            await world.engine.invoices.close("2026-10")
    finally:
        for name in ("audit_entries", "calls", "closes"):
            await world.owner.execute(f"ALTER TABLE {name} DROP CONSTRAINT broken")
    assert await world.count("webhook_deliveries") == 0


async def test_what_was_committed_is_delivered_by_who_comes_after(world: World, receiver: Receiver) -> None:
    """The worker is killed when the receiver has the event and nobody knows: another sends it again."""
    await subscribe(world, receiver, Event.BINDING_RELEASED)
    binding = await world.bind("a")
    await world.engine.lifetime.release(binding.binding_id, "x")
    receiver.answer = lambda _: None
    killed = asyncio.create_task(deliver(world))
    await receiver.until(lambda: bool(receiver.got))
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    receiver.answer = lambda _: 200
    assert await deliver(world) == 0, "its lease still stands"
    world.pass_time(LEASE)
    other = Deliverer(world.engine.database, world.engine.vault, world.clock, Reach.LOOPBACK, DAY)  # type: ignore[arg-type]
    assert await other.round() == 1
    await other.close()
    assert len(receiver.got) == 2
    assert receiver.got[0].id == receiver.got[1].id
    assert receiver.got[0].raw == receiver.got[1].raw
    assert await states(world) == {"delivered": 1}


async def test_one_worker_at_a_time_delivers_to_a_subscription(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver, Event.BINDING_RELEASED)
    for binding in await world.fill(9):
        await world.engine.lifetime.release(binding.binding_id, "x")
    attempts = await asyncio.gather(*(deliver(world) for _ in range(4)))
    assert sorted(attempts) == [0, 0, 0, 9]
    assert len(receiver.got) == len({got.id for got in receiver.got}) == 9


# Attempts


async def run_days(world: World, days: float, step: timedelta = timedelta(minutes=5)) -> None:
    until = world.now + timedelta(days=days)
    while world.now < until:
        await deliver(world)
        world.pass_time(step)


async def test_a_day_of_attempts_then_it_is_dead_and_can_be_replayed(world: World, receiver: Receiver) -> None:
    webhook, _ = await subscribe(world, receiver, Event.BINDING_RELEASED)
    binding = await world.bind("a")
    await world.engine.lifetime.release(binding.binding_id, "x")
    receiver.answer = lambda _: 500
    await run_days(world, 1)
    assert await states(world) == {"waiting": 1}
    await run_days(world, 0.3)
    assert len(receiver.got) == ATTEMPTS
    (dead,) = await world.engine.deliveries.page(webhook.webhook_id, DeliveryState.DEAD, PLATFORM)
    assert (dead.attempts, dead.failure) == (ATTEMPTS, "status 500")
    assert await deliver(world) == 0
    receiver.answer = lambda _: 204
    replayed = await world.engine.deliveries.replay(webhook.webhook_id, dead.delivery_id, PLATFORM)
    assert (replayed.state, replayed.attempts) == (DeliveryState.WAITING, 0)
    assert await deliver(world) == 1
    assert await states(world) == {"delivered": 1}
    assert {got.id for got in receiver.got} == {str(dead.delivery_id)}


async def test_all_dead_ones_are_replayed_at_once(world: World, receiver: Receiver) -> None:
    webhook, _ = await subscribe(world, receiver, Event.BINDING_RELEASED)
    for binding in await world.fill(5):
        await world.engine.lifetime.release(binding.binding_id, "x")
    await world.owner.execute("UPDATE webhook_deliveries SET state = 'dead', attempts = 13")
    assert await world.engine.deliveries.replay_dead(webhook.webhook_id, PLATFORM) == 5
    assert await deliver(world) == 5


async def test_order_of_a_binding_is_kept_while_others_overtake(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver, Event.BINDING_RELEASED, Event.CALL_ENDED)
    bad, good = await world.bind("bad"), await world.bind("good", 2)
    world.pass_time(HOUR)
    receiver.answer = lambda got: 503 if got.data["order_id"] == "bad" else 200
    for n in range(3):
        world.pass_time(timedelta(seconds=1))
        await call(world, bad, f"bad-{n}")
        await call(world, good, f"good-{n}")
        await deliver(world)
    world.pass_time(timedelta(microseconds=1))
    await world.engine.lifetime.release(bad.binding_id, "x")
    await world.engine.lifetime.release(good.binding_id, "x")
    await run_days(world, 0.05)
    tried = [got.data.get("call_id") for got in receiver.got if got.data["order_id"] == "bad"]
    assert set(tried) == {"bad-0"}, "what comes after waits for it"
    receiver.answer = lambda _: 200
    await run_days(world, 0.3)
    names = {
        order: list(
            dict.fromkeys(got.data.get("call_id", "released") for got in receiver.got if got.data["order_id"] == order)
        )
        for order in ("bad", "good")
    }
    assert names == {order: [f"{order}-0", f"{order}-1", f"{order}-2", "released"] for order in ("bad", "good")}
    assert await states(world) == {"delivered": 8}


async def test_what_waited_for_a_dead_one_is_delivered_after_it(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver, Event.BINDING_RELEASED, Event.CALL_ENDED)
    binding = await world.bind("a")
    world.pass_time(HOUR)
    await call(world, binding, "c-1")
    world.pass_time(timedelta(seconds=1))
    await world.engine.lifetime.release(binding.binding_id, "x")
    receiver.answer = lambda got: 500 if got.body["type"] == "call.ended" else 200
    await run_days(world, 1.2, timedelta(minutes=10))
    assert await states(world) == {"dead": 1, "delivered": 1}
    assert receiver.types == ["call.ended"] * ATTEMPTS + ["binding.released"]


async def test_calls_of_one_report_are_told_in_its_order(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver, Event.CALL_ENDED)
    binding = await world.bind("a")
    world.pass_time(HOUR)
    await world.engine.records.report([record(world, binding, call_id=f"c-{n}") for n in (3, 1, 2, 0)])
    await deliver(world)
    assert [got.data["call_id"] for got in receiver.got] == ["c-3", "c-1", "c-2", "c-0"]


async def test_a_receiver_that_hangs_does_not_slow_the_others(world: World, receiver: Receiver) -> None:
    await subscribe(world, receiver, Event.BINDING_RELEASED, url=receiver.url + "/hangs")
    await subscribe(world, receiver, Event.BINDING_RELEASED, url=receiver.url + "/fine")
    receiver.answer = lambda got: None if got.path.endswith("hangs") else 200
    for binding in await world.fill(9):
        await world.engine.lifetime.release(binding.binding_id, "x")
    running = asyncio.create_task(world.engine.deliverer.run())
    await receiver.until(lambda: sum(got.path.endswith("fine") for got in receiver.got) == 9)
    assert sum(got.path.endswith("hangs") for got in receiver.got) <= 8
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_nothing_is_sent_while_a_subscription_is_not_active(world: World, receiver: Receiver) -> None:
    webhook, _ = await subscribe(world, receiver, Event.BINDING_RELEASED)
    first, second, third = await world.fill(3)
    await world.engine.lifetime.release(first.binding_id, "x")
    await world.engine.webhooks.change(webhook.webhook_id, WebhookChange(active=False), PLATFORM)
    await world.engine.lifetime.release(second.binding_id, "x")
    assert await deliver(world) == 0
    await world.engine.webhooks.change(webhook.webhook_id, WebhookChange(active=True), PLATFORM)
    await world.engine.lifetime.release(third.binding_id, "x")
    await deliver(world)
    assert {got.data["binding_id"] for got in receiver.got} == {str(first.binding_id), str(third.binding_id)}


@pytest.mark.parametrize("url", ["https://localhost:1/", "http://127.0.0.1:1/"])
async def test_a_merchants_url_is_never_followed_into_own_networks(world: World, url: str) -> None:
    """Whatever the setting allows a platform. What is in the table is judged again."""
    merchant = Caller(key_id="k", role=Role.MERCHANT, merchants=frozenset({"m"}))
    new = NewWebhook(url="https://shop.example.com/", events=[Event.BINDING_RELEASED])
    webhook, _ = await world.engine.webhooks.add(new, merchant)
    await world.owner.execute("UPDATE webhooks SET url = $1", url)
    binding = await world.bind("a")
    await world.engine.lifetime.release(binding.binding_id, "x")
    assert await deliver(world) == 1
    (waiting,) = await world.engine.deliveries.page(webhook.webhook_id, DeliveryState.WAITING, merchant)
    assert waiting.failure == "address_refused"


# Signatures


def verified(got: Received, secret: str) -> bool:
    """As a receiver does it: nothing of vnum."""
    key = base64.b64decode(secret.split("_", 1)[1])
    signed = got.headers["webhook-id"].encode() + b"." + got.headers["webhook-timestamp"].encode() + b"." + got.raw
    mine = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    sent = [part.partition(",")[2] for part in got.headers["webhook-signature"].split(" ")]
    return any(hmac.compare_digest(mine, one) for one in sent)


async def test_both_secrets_sign_while_both_hold(world: World, receiver: Receiver) -> None:
    webhook, old = await subscribe(world, receiver, Event.BINDING_RELEASED)
    first, second, third = await world.fill(3)

    async def sent(binding_id: UUID) -> Received:
        await world.engine.lifetime.release(binding_id, "x")
        await deliver(world)
        return receiver.got[-1]

    got = await sent(first.binding_id)
    assert (verified(got, old), int(got.headers["webhook-timestamp"])) == (True, int(world.now.timestamp()))
    _, new = await world.engine.webhooks.rotate(webhook.webhook_id, timedelta(hours=24), PLATFORM)
    got = await sent(second.binding_id)
    assert (verified(got, old), verified(got, new)) == (True, True)
    world.pass_time(DAY)
    got = await sent(third.binding_id)
    assert (verified(got, old), verified(got, new)) == (False, True)
    got.raw += b" "
    assert not verified(got, new)


async def test_the_lines_that_the_page_gives_to_receivers(world: World, receiver: Receiver) -> None:
    """The Python of docs/webhooks.md, word for word, on a request that came."""
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    given: dict[str, Any] = {}
    (lines,) = [block for block in page.split("```python\n")[1:] if "def verified" in block]
    exec(lines.split("```")[0], given)  # noqa: S102 - our own page
    check = given["verified"]
    webhook, old = await subscribe(world, receiver, Event.BINDING_RELEASED)
    binding = await world.bind("a")
    _, new = await world.engine.webhooks.rotate(webhook.webhook_id, DAY, PLATFORM)
    await world.engine.lifetime.release(binding.binding_id, "x")
    await deliver(world)
    (got,) = receiver.got
    now = world.now.timestamp()
    assert check(got.headers, got.raw, old, now)
    assert check(got.headers, got.raw, new, now)
    assert not check(got.headers, got.raw + b" ", new, now)
    assert not check(got.headers | {"webhook-id": "other"}, got.raw, new, now)
    assert not check(got.headers, got.raw, new, now + 301)
    assert not check(got.headers, got.raw, "whsec_" + "A" * 44, now)


async def test_secrets_are_sealed(world: World, receiver: Receiver) -> None:
    _, secret = await subscribe(world, receiver, Event.BINDING_RELEASED)
    rows = await world.owner.fetch("SELECT w::text AS row, secret FROM webhooks w")
    assert secret not in rows[0]["row"]
    assert base64.b64decode(secret[6:]) not in rows[0]["secret"]


# Clearing


async def test_what_was_delivered_is_kept_for_some_days_and_what_is_dead_for_longer(
    world: World, receiver: Receiver
) -> None:
    webhook, _ = await subscribe(world, receiver, Event.BINDING_RELEASED)
    first, second = await world.fill(2)
    await world.engine.lifetime.release(first.binding_id, "x")
    await deliver(world)
    await world.engine.lifetime.release(second.binding_id, "x")
    await world.owner.execute("UPDATE webhook_deliveries SET state = 'dead' WHERE state = 'waiting'")
    world.pass_time(6 * DAY)
    await world.engine.care.tend()
    assert await states(world) == {"delivered": 1, "dead": 1}
    world.pass_time(2 * DAY)
    await world.engine.care.tend()
    assert await states(world) == {"dead": 1}
    await world.engine.webhooks.delete(webhook.webhook_id, PLATFORM)
    with pytest.raises(Refused) as refused:
        await world.engine.webhooks.get(webhook.webhook_id, PLATFORM)
    assert the(refused).code is Code.WEBHOOK_NOT_FOUND
    world.pass_time(DAY)
    await world.engine.care.tend()
    assert (await states(world), await world.count("webhooks"), await world.count("webhook_lanes")) == ({}, 0, 0)
