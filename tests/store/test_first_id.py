"""SQL's first_id and the model's ids agree: a month is a range of ids."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.engines import World
from vnum.model.ids import RANDOM_BYTES, new_id

MILLISECOND = timedelta(milliseconds=1)
INSTANTS = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 9, 30, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 10, 1, tzinfo=UTC),
    datetime(2026, 10, 10, 9, 30, 15, 123_456, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    datetime(2199, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
]


@pytest.mark.parametrize("instant", INSTANTS, ids=str)
async def test_first_id_is_the_lowest_id_of_its_millisecond(bare_world: World, instant: datetime) -> None:
    first = await bare_world.owner.fetchval("SELECT first_id($1)", instant)
    after = await bare_world.owner.fetchval("SELECT first_id($1)", instant + MILLISECOND)
    lowest = new_id(0, instant, bytes(RANDOM_BYTES))
    highest = new_id(4095, instant, b"\xff" * RANDOM_BYTES)
    assert first < lowest < highest < after
    assert first.int >> 80 == lowest.int >> 80
    assert first.int & (1 << 80) - 1 == 0


async def test_the_month_of_a_binding_is_told_by_its_id_to_the_millisecond(bare_world: World) -> None:
    await bare_world.merchant()
    await bare_world.host()
    assert bare_world.clock is not None
    edges = {
        datetime(2026, 10, 31, 23, 59, 59, 999_999, tzinfo=UTC): "bindings_2026_10",
        datetime(2026, 11, 1, tzinfo=UTC): "bindings_2026_11",
    }
    for n, (instant, partition) in enumerate(edges.items(), 1):
        bare_world.clock.instant = instant
        binding = await bare_world.bind(f"order-{n}", n)
        found = await bare_world.owner.fetchval(
            "SELECT tableoid::regclass::text FROM bindings WHERE binding_id = $1", binding.binding_id
        )
        assert found == partition
