"""What a merchant may spend a month: warned from the alert on, no new numbers from the cap on; what is lent goes on."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from tests.engines import DAY, START, World, host_number, on_pool, request
from vnum.finance import spent as spent_in_billing
from vnum.model.bindings import Binding
from vnum.model.refusals import Code, Refusal
from vnum.service.batch import Bound
from vnum.service.labels import Label, LabelItem
from vnum.service.merchants import MerchantChange
from vnum.service.records import CallRecord, Status
from vnum.service.spend import REMEMBERED, SpendState

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
RENT = Decimal("0.00018")
MIDNIGHT = START.replace(day=31, hour=16, minute=0)
"""The end of October in Shanghai."""


@pytest.fixture(autouse=True)
def _logs_of_their_own() -> Any:
    yield
    structlog.reset_defaults()


async def limit(world: World, merchant: str = "m", **limits: str | None) -> None:
    given = {name: None if value is None else Decimal(value) for name, value in limits.items()}
    await world.engine.merchants.change(merchant, MerchantChange(**given))  # type: ignore[arg-type]


async def call(world: World, binding: Binding, call_id: str, minutes: int = 1) -> None:
    """A call that has just ended."""
    answered = world.now - minutes * MINUTE
    record = CallRecord(
        call_id=call_id,
        host=binding.host,
        extension=binding.extension,
        caller="13800000000",
        call_time=answered - SECOND,
        answer_time=answered,
        release_time=world.now,
    )
    (reported,) = await world.engine.records.report([record])
    assert reported.status is Status.RATED


async def spent(world: World, merchant: str = "m") -> tuple[Decimal, SpendState]:
    spend = await world.engine.spending.of(merchant)
    return spend.spent, spend.state


async def code(world: World, order: str, number: int = 1, **rest: Any) -> Code | None:
    outcome = await world.try_bind(order, number, **rest)
    return outcome.code if isinstance(outcome, Refusal) else None


async def test_the_story_of_a_month(world: World) -> None:
    await limit(world, spend_alert="0.05", spend_cap="0.1")
    first = await world.bind("a", 1)
    world.pass_time(timedelta(hours=1))
    assert await spent(world) == (RENT, SpendState.OK)
    with capture_logs() as logs:
        await call(world, first, "c1", minutes=3)
        world.pass_time(REMEMBERED)
        await world.bind("b", 2)
        await world.bind("c", 3)
        world.pass_time(MINUTE)
        await world.bind("d", 4)
    warned = [line for line in logs if line["event"] == "spend_alert"]
    assert [(line["merchant_id"], line["period"], line["spent"], line["alert"]) for line in warned] == [
        ("m", "2026-10", "0.06018", "0.05")
    ]
    assert await spent(world) == (Decimal("0.06") + 4 * RENT, SpendState.ALERT)

    await call(world, first, "c2", minutes=2)
    assert await spent(world) == (Decimal("0.1") + 4 * RENT, SpendState.CAPPED)
    world.pass_time(REMEMBERED)
    refusal = await world.refusal("e", 5)
    assert refusal.code is Code.SPEND_CAP_REACHED
    assert "0.1 CNY for 2026-10" in refusal.detail
    # what is lent goes on
    assert (await world.bind("a", 1)).binding_id == first.binding_id
    assert await code(world, "a", 9) is Code.BINDING_CONFLICT
    assert (await world.engine.lifetime.extend(first.binding_id, 7)).binding.expires_at > first.expires_at
    assert (await world.dial(first)).action == "connect"
    await call(world, first, "c3")
    (label,) = await world.engine.labels.current([LabelItem(merchant_id="m", order_id="a")])
    assert isinstance(label, Label)
    await world.engine.lifetime.release(first.binding_id, "returned")
    assert await code(world, "a", 1) is Code.SPEND_CAP_REACHED

    world.pass_time(MIDNIGHT - world.now - SECOND)
    assert await code(world, "e", 5) is Code.SPEND_CAP_REACHED
    world.pass_time(SECOND)
    await world.bind("e", 5)  # the next month, at Shanghai's midnight
    assert (await spent(world))[1] is SpendState.OK


async def test_a_cap_that_is_changed_counts_at_once(world: World) -> None:
    await limit(world, spend_cap="0.0001")
    await world.bind("a", 1)
    assert await code(world, "b", 2) is Code.SPEND_CAP_REACHED
    await limit(world, spend_cap="0.0002")
    await world.bind("b", 2)
    assert await code(world, "c", 3) is Code.SPEND_CAP_REACHED
    await world.engine.merchants.change("m", MerchantChange(name="renamed"))
    assert await code(world, "c", 3) is Code.SPEND_CAP_REACHED
    await limit(world, spend_cap=None)
    await world.bind("c", 3)
    await limit(world, spend_cap="0.00054")
    assert await code(world, "d", 4) is Code.SPEND_CAP_REACHED


async def test_a_cap_of_zero_lends_nothing(world: World) -> None:
    await limit(world, spend_cap="0")
    assert await code(world, "a") is Code.SPEND_CAP_REACHED
    assert await spent(world) == (0, SpendState.CAPPED)
    await limit(world, spend_cap=None, spend_alert="0")
    await world.bind("a")
    assert (await spent(world))[1] is SpendState.ALERT


async def test_the_numbers_of_one_batch_count_one_after_the_other(world: World) -> None:
    """0.0005 is reached by the third day's rent; the others of the batch are bound."""
    await world.merchant("free")
    await world.merchant("stopped")
    await world.engine.merchants.change("stopped", MerchantChange(spend_cap=Decimal(0)))
    await limit(world, spend_cap="0.0005")
    wanted = [
        ("m", "a"),
        ("free", "a"),
        ("stopped", "a"),
        ("m", "b"),
        ("m", "c"),
        ("m", "d"),
        ("free", "b"),
        ("m", "a"),
    ]
    phones = {name: n for n, name in enumerate(dict.fromkeys(wanted), 1)}
    outcomes = await world.engine.binder.bind(
        [request(order, phones[merchant, order], merchant=merchant) for merchant, order in wanted]
    )
    capped = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Refusal)]
    assert capped == [2, 5]
    assert {outcomes[n].code for n in capped} == {Code.SPEND_CAP_REACHED}  # type: ignore[union-attr]
    assert await code(world, "e", 8) is Code.SPEND_CAP_REACHED  # remembered
    world.pass_time(REMEMBERED)
    assert await code(world, "e", 8) is Code.SPEND_CAP_REACHED  # read anew
    assert await spent(world) == (3 * RENT, SpendState.CAPPED)


async def test_one_who_got_no_number_has_spent_nothing(world: World) -> None:
    """Nine slots for twelve orders, and a cap that ten reach: what the tenth counted for is given back."""
    await limit(world, spend_cap="0.0018")
    outcomes = await world.engine.binder.bind([request(f"o{n}", n) for n in range(1, 13)])
    codes = [outcome.code for outcome in outcomes if isinstance(outcome, Refusal)]
    assert codes == [Code.NO_NUMBER_AVAILABLE, Code.SPEND_CAP_REACHED, Code.SPEND_CAP_REACHED]
    assert sum(isinstance(outcome, Bound) for outcome in outcomes) == 9
    await world.host(host_number(7))
    await world.bind("more", 20)  # in the same ten seconds


async def test_a_reissue_for_a_parcel_under_way_is_never_refused(world: World) -> None:
    lapsed = await world.bind("a", 1, ttl_days=1)
    world.pass_time(2 * DAY)
    await limit(world, spend_cap="0")
    assert await code(world, "a", 1) is Code.SPEND_CAP_REACHED
    (label,) = await world.engine.labels.current([LabelItem(merchant_id="m", order_id="a")], reissue=True)
    assert isinstance(label, Label)
    assert label.binding.binding_id != lapsed.binding_id
    assert await spent(world) == (2 * RENT, SpendState.CAPPED)
    assert await code(world, "b", 2) is Code.SPEND_CAP_REACHED


async def test_added_tax_and_free_minutes_count(world: World) -> None:
    await world.owner.execute(
        "INSERT INTO tariffs (tariff_id, version, effective_from, rental_day, call_minute, free_minutes, tax_mode, "
        "tax_rate) VALUES ('plan', 1, '2020-01-01', 0.1, 0.5, 2, 'added', 0.06)"
    )
    await world.merchant("p", tariff_id="plan", spend_cap=Decimal("0.636"))
    bound = await world.bind("a", 1, merchant="p")
    world.pass_time(MINUTE * 5)
    assert await spent(world, "p") == (Decimal("0.106"), SpendState.OK)
    await call(world, bound, "c1", minutes=2)
    assert await spent(world, "p") == (Decimal("0.106"), SpendState.OK)
    await call(world, bound, "c2", minutes=1)
    assert await spent(world, "p") == (Decimal("0.636"), SpendState.CAPPED)
    assert await code(world, "b", 2, merchant="p") is Code.SPEND_CAP_REACHED


async def test_rental_days_are_spent_when_they_start(world: World) -> None:
    await limit(world, spend_cap="0.0005")
    await world.bind("a", 1)
    for days in range(1, 4):
        assert (await spent(world))[0] == days * RENT
        world.pass_time(DAY - SECOND)
        assert (await spent(world))[0] == days * RENT
        world.pass_time(SECOND)
    assert await code(world, "b", 2) is Code.SPEND_CAP_REACHED


async def test_what_others_add_is_known_after_ten_seconds(world: World) -> None:
    """Two workers: each adds its own at once, and reads the other's when what it remembers is old."""
    other = on_pool(world, world.engine.pool)
    await limit(world, spend_cap="0.0005")
    await world.bind("a", 1)
    await other.bind("b", 2)
    await world.bind("c", 3)
    assert (await spent(world))[1] is SpendState.CAPPED
    await world.bind("d", 4)  # it knows of two
    assert await code(other, "e", 5) is None
    world.pass_time(REMEMBERED)
    assert await code(world, "f", 6) is Code.SPEND_CAP_REACHED
    assert await code(other, "f", 6) is Code.SPEND_CAP_REACHED


async def test_it_is_read_ahead_while_what_is_known_still_holds(world: World) -> None:
    """Five seconds on, a bind goes by what is known, and starts to read; who comes later finds it done."""
    await limit(world, spend_cap="0.0005")
    await world.bind("a", 1)
    await on_pool(world, world.engine.pool).bind("b", 2)
    await on_pool(world, world.engine.pool).bind("c", 3)
    world.pass_time(REMEMBERED / 2)
    await world.bind("d", 4)
    spending = world.engine.spending
    await asyncio.gather(*spending._readings.values())
    assert spending._known["m"].read_at == world.now
    assert await code(world, "e", 5) is Code.SPEND_CAP_REACHED


async def test_trouble_while_reading_refuses_and_does_not_last(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(*_: object) -> None:
        raise ConnectionError

    await limit(world, spend_cap="1")
    with monkeypatch.context() as patched:
        patched.setattr("vnum.service.spend.spent", lost)
        assert await code(world, "a") is Code.STORE_UNAVAILABLE
    await world.bind("a")


async def test_binds_at_once_read_once_and_count_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    async def counted(connection: Any, names: list[str], *rest: Any) -> Any:
        reads.append(names)
        return await spent_in_billing(connection, names, *rest)

    monkeypatch.setattr("vnum.service.spend.spent", counted)
    await limit(world, spend_cap="0.0005")
    outcomes = await asyncio.gather(
        *(world.engine.binder.bind([request(f"o{n}", n), request(f"p{n}", n + 50)]) for n in range(1, 5))
    )
    bound = [outcome for pair in outcomes for outcome in pair if isinstance(outcome, Bound)]
    assert (len(bound), reads) == (3, [["m"]])


async def test_it_is_warned_once_a_month(world: World) -> None:
    await limit(world, spend_alert="0")
    with capture_logs() as logs:
        for n in range(1, 4):
            await world.bind(f"o{n}", n)
            world.pass_time(MINUTE)
        world.pass_time(MIDNIGHT - world.now)
        await world.bind("next", 5)
    assert [line["period"] for line in logs if line["event"] == "spend_alert"] == ["2026-10", "2026-11"]


async def test_without_limits_nothing_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(type(world.engine.spending), "_read", never)
    await world.bind("a")
    assert world.engine.spending._known == {}


@pytest.mark.parametrize("amount", ["-0.01", "NaN", "Infinity", "1000000000", "0.0000000000001", "1e400", "sNaN"])
async def test_a_limit_that_is_none(amount: str) -> None:
    for name in ("spend_cap", "spend_alert"):
        with pytest.raises(ValueError, match=name):
            MerchantChange(**{name: Decimal(amount)})


async def test_limits_are_kept_and_taken_off(world: World) -> None:
    await world.merchant("x", spend_cap=Decimal("10.50"), spend_alert=Decimal(8))
    change = world.engine.merchants.change
    assert (await change("x", MerchantChange(name="y"))).spend_cap == Decimal("10.5")
    changed = await change("x", MerchantChange(spend_cap=None))
    assert (changed.spend_cap, changed.spend_alert) == (None, 8)
    assert (await change("x", MerchantChange(spend_alert=None, spend_cap=Decimal(0)))).spend_cap == 0
