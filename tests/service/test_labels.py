"""Labels: the current number of an order, and the re-issue of a lapsed one."""

from pathlib import Path

import msgspec
import pytest

from tests.engines import DAY, START, World, host_number, open_world, request, slot_of
from vnum.model.bindings import Binding
from vnum.model.orders import OrderStatus
from vnum.model.refusals import Code, Refusal
from vnum.servers import Endpoints
from vnum.service.clock import ManualClock
from vnum.service.labels import Label, LabelItem, Reader
from vnum.service.orders import BindRequest


def of(order: str, merchant: str = "m") -> LabelItem:
    return LabelItem(merchant_id=merchant, order_id=order)


def by(waybill: str, carrier: str = "sf") -> LabelItem:
    return LabelItem(carrier=carrier, waybill_no=waybill)


async def label(
    world: World, item: LabelItem, *, reissue: bool = False, reader: Reader | None = None
) -> Label | Refusal:
    (answer,) = await world.engine.labels.current([item], reissue=reissue, reader=reader or Reader())
    return answer


async def number(world: World, item: LabelItem, **how: bool) -> Binding:
    answer = await label(world, item, **how)
    assert isinstance(answer, Label), answer
    return answer.binding


async def code(world: World, item: LabelItem, **how: object) -> Code:
    answer = await label(world, item, **how)  # type: ignore[arg-type]
    assert isinstance(answer, Refusal), answer
    return answer.code


def with_parcels(order: str, n: int, *waybills: str, carrier: str = "sf") -> BindRequest:
    parcels = [{"carrier": carrier, "waybill_no": waybill} for waybill in waybills]
    return msgspec.convert(msgspec.to_builtins(request(order, n)) | {"parcels": parcels}, BindRequest)


async def test_answers_come_in_the_order_of_the_items(world: World) -> None:
    bound = {order: await world.bind(order, n) for n, order in enumerate("abc")}
    answers = await world.engine.labels.current([of("c"), of("nobody"), of("a"), of("c")])
    found = [answer.binding.binding_id if isinstance(answer, Label) else answer.code for answer in answers]
    ids = {order: binding.binding_id for order, binding in bound.items()}
    assert found == [ids["c"], Code.BINDING_NOT_FOUND, ids["a"], ids["c"]]


async def test_an_order_is_found_by_its_parcels(world: World) -> None:
    await world.engine.binder.bind([with_parcels("a", 1, "SF1", "SF2"), with_parcels("b", 2, "YT1", carrier="yto")])
    assert (await number(world, by("SF2"))).order_id == "a"
    assert (await number(world, by("YT1", "yto"))).order_id == "b"
    assert await code(world, by("YT1")) is Code.BINDING_NOT_FOUND


async def test_a_parcel_that_moves_to_another_order_is_found_there(world: World) -> None:
    await world.engine.binder.bind([with_parcels("a", 1, "SF1")])
    await world.engine.binder.bind([with_parcels("b", 2, "SF1")])
    assert (await number(world, by("SF1"))).order_id == "b"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"merchant_id": "m"},
        {"order_id": "a"},
        {"carrier": "sf"},
        {"merchant_id": "m", "waybill_no": "SF1"},
        {"merchant_id": "m", "order_id": "a", "carrier": "sf", "waybill_no": "SF1"},
    ],
    ids=str,
)
def test_an_item_names_an_order_or_a_parcel(wrong: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, LabelItem)


# Re-issue


async def test_a_lapsed_order_gets_a_new_number_of_the_same_kind(world: World) -> None:
    await world.host(host_number(9), city="bj", ext_digits=2)
    old = await world.bind("a", 1, city="bj", city_strict=True, ttl_days=2)
    world.pass_time(2 * DAY)
    assert await code(world, of("a")) is Code.BINDING_EXPIRED
    new = await number(world, of("a"), reissue=True)
    assert new.binding_id != old.binding_id
    assert slot_of(new) != slot_of(old)
    assert (new.host, new.bound_at, new.expires_at) == (old.host, world.now, world.now + 2 * DAY)
    assert (await world.dial(new)).callee == "+8613900000001"


async def test_a_re_issue_is_made_once(world: World) -> None:
    await world.bind("a", ttl_days=1)
    world.pass_time(DAY)
    answers = await world.engine.labels.current([of("a"), of("a")], reissue=True)
    again = await number(world, of("a"), reissue=True)
    assert {answer.binding.binding_id for answer in answers if isinstance(answer, Label)} == {again.binding_id}
    assert await world.count("bindings") == 2


async def test_a_live_order_keeps_its_number(world: World) -> None:
    binding = await world.bind("a")
    assert (await number(world, of("a"), reissue=True)).binding_id == binding.binding_id


async def test_a_released_order_is_not_re_issued(world: World) -> None:
    binding = await world.bind("a", ttl_days=1)
    await world.engine.lifetime.release(binding.binding_id, "done")
    assert await code(world, of("a"), reissue=True) is Code.BINDING_RELEASED
    world.pass_time(3 * DAY)
    assert await code(world, of("a"), reissue=True) is Code.BINDING_RELEASED


async def test_an_order_never_bound_is_not_re_issued(world: World) -> None:
    assert await code(world, of("a"), reissue=True) is Code.BINDING_NOT_FOUND


async def test_an_erased_recipient_is_not_re_issued(world: World) -> None:
    await world.bind("a", ttl_days=1)
    world.pass_time(DAY)
    await world.owner.execute("UPDATE bindings SET recipient = NULL, recipient_name = NULL")
    assert await code(world, of("a"), reissue=True) is Code.RECIPIENT_ERASED


async def test_a_re_issue_without_numbers_says_why(world: World) -> None:
    await world.bind("a", 1, ttl_days=1)
    world.pass_time(DAY)
    await world.fill(8, first=10)
    answer = await label(world, of("a"), reissue=True)
    assert isinstance(answer, Refusal)
    assert answer.code is Code.NO_NUMBER_AVAILABLE
    assert answer.reason is not None


# Readers


@pytest.mark.parametrize(
    ("reader", "sees"),
    [
        (Reader(), "ab"),
        (Reader(merchants=frozenset({"m"})), "ab"),
        (Reader(merchants=frozenset({"x"})), ""),
        (Reader(merchants=frozenset()), ""),
        (Reader(carrier="sf"), "a"),
        (Reader(carrier="yto"), "b"),
        (Reader(carrier="zto"), ""),
    ],
    ids=str,
)
async def test_a_tied_reader_sees_his_own_and_nothing_else(world: World, reader: Reader, sees: str) -> None:
    await world.engine.binder.bind([with_parcels("a", 1, "SF1"), with_parcels("b", 2, "YT1", carrier="yto")])
    for order, parcel in (("a", by("SF1")), ("b", by("YT1", "yto"))):
        for item in (of(order), parcel):
            answer = await label(world, item, reader=reader)
            assert isinstance(answer, Label) is (order in sees)
            if order not in sees:
                assert isinstance(answer, Refusal)
                assert answer.code is Code.BINDING_NOT_FOUND, "what is not his does not exist"


@pytest.mark.parametrize(
    ("status", "prints", "code_"),
    [
        (OrderStatus.WAYBILL_ISSUED, True, None),
        (OrderStatus.WAYBILL_ISSUED, False, Code.ORDER_NOT_SHIPPED),
        (OrderStatus.SHIPPED, False, None),
        (OrderStatus.SIGNED, False, None),
        (OrderStatus.AFTER_SALES, False, None),
    ],
)
async def test_merchants_read_from_shipped_on_and_labels_from_the_waybill_on(
    world: World, status: OrderStatus, prints: bool, code_: Code | None
) -> None:
    await world.bind("a", order_status=status)
    answer = await label(world, of("a"), reader=Reader(prints=prints))
    assert getattr(answer, "code", None) is code_


async def test_an_order_that_moves_on_becomes_readable(world: World) -> None:
    binding = await world.bind("a", order_status=OrderStatus.WAYBILL_ISSUED)
    again = await world.bind("a", order_status=OrderStatus.SHIPPED)
    assert again == binding
    assert isinstance(await label(world, of("a"), reader=Reader(prints=False)), Label)


async def test_labels_of_many_cells_come_in_one_call(endpoints: Endpoints, schema: str, key_folder: Path) -> None:
    async with open_world(endpoints, schema, key_folder, clock=ManualClock(START), cells=3) as world:
        await world.merchant()
        for n in range(3):
            await world.host(host_number(n), ext_digits=2)
        await world.engine.binder.bind([with_parcels(f"o{n}", n, f"SF{n}") for n in range(20)])
        answers = await world.engine.labels.current([of(f"o{n}") if n % 2 else by(f"SF{n}") for n in range(20)])
        assert [answer.binding.order_id for answer in answers if isinstance(answer, Label)] == [
            f"o{n}" for n in range(20)
        ]
