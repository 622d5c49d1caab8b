"""Ids: UUIDv7 that carry their cell, in order of time."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vnum.model.cells import MAX_CELLS
from vnum.model.ids import RANDOM_BYTES, cell_in, new_id, new_ids
from vnum.model.instants import EPOCH

cells = st.integers(0, MAX_CELLS - 1)
instants = st.timedeltas(timedelta(days=366), timedelta(days=84_000)).map(lambda span: EPOCH + span)
noise = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(cells, instants, noise)
def test_an_id_carries_its_cell_and_is_a_uuid_of_version_7(cell: int, instant: datetime, random: bytes) -> None:
    made = new_id(cell, instant, random)
    assert cell_in(made) == cell
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"


@given(cells, instants, noise)
def test_the_first_48_bits_are_the_millisecond(cell: int, instant: datetime, random: bytes) -> None:
    milliseconds = (instant - EPOCH) // timedelta(milliseconds=1)
    assert new_id(cell, instant, random).int >> 80 == milliseconds


@given(cells, cells, instants, noise, noise)
def test_ids_of_later_milliseconds_sort_behind(one: int, two: int, at: datetime, first: bytes, second: bytes) -> None:
    assert new_id(one, at, first) < new_id(two, at + timedelta(milliseconds=1), second)


@given(cells, instants, st.lists(noise, min_size=1, max_size=5, unique_by=lambda bits: bits[1:]))
def test_many_at_once_are_the_same_as_one_by_one(cell: int, instant: datetime, randoms: list[bytes]) -> None:
    assert new_ids(cell, instant, b"".join(randoms)) == [new_id(cell, instant, random) for random in randoms]
    assert len(set(new_ids(cell, instant, b"".join(randoms)))) == len(randoms)
