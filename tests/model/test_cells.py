"""H(parts): vectors made with printf and sha256sum, since other systems compute the same and it never changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnum.model.cells import MAX_CELLS, cell_of

VECTORS = [
    (("m", "order-1"), "4eb3c7d8f9a4110e"),
    (("", ""), "af5570f5a1810b7a"),
    (("a", "bc"), "b534ce16ac9c8b36"),
    (("ab", "c"), "f2939f903016e5bb"),
    (("深圳-440300", "订单1"), "81d2d92793d8dc5d"),
    (("call-1",), "4b02462e2433cd94"),
    (("sf", "SF1234567890"), "15ee322f4ece855b"),
]


@pytest.mark.parametrize(("parts", "first_8_bytes"), VECTORS)
@pytest.mark.parametrize("cells", [2, 3, 16, 1000, MAX_CELLS])
def test_a_cell_is_the_first_8_bytes_of_sha_256_modulo_cells(
    parts: tuple[str, ...], first_8_bytes: str, cells: int
) -> None:
    assert cell_of(cells, *parts) == int(first_8_bytes, 16) % cells


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_one_cell_is_cell_0(parts: list[str]) -> None:
    assert cell_of(1, *parts) == 0


@given(st.integers(2, MAX_CELLS), st.lists(st.text(), min_size=1, max_size=3))
def test_a_cell_is_one_of_the_cells_and_always_the_same(cells: int, parts: list[str]) -> None:
    assert 0 <= cell_of(cells, *parts) < cells
    assert cell_of(cells, *parts) == cell_of(cells, *parts)


def test_cells_are_filled_evenly() -> None:
    filled = [0] * 8
    for n in range(8_000):
        filled[cell_of(8, "m", f"order-{n}")] += 1
    assert min(filled) > 850
    assert max(filled) < 1_150
