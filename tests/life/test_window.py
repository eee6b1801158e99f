from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aconcur.life import Grid, cut
from aconcur.life._window import far_rows, window_rows
from tests.support.patterns import UNHURRIED

near = st.integers(-9, 9)
sizes = st.integers(1, 20)


@UNHURRIED
@given(st.tuples(sizes, sizes), near, near, st.tuples(sizes, sizes), near, near)
def test_a_window_shows_what_is_there_and_nothing_else(
    size: tuple[int, int], top: int, left: int, shown: tuple[int, int], y: int, x: int
) -> None:
    grid = Grid(*size, Grid.random(*size, seed=5).bits, top=top, left=left)
    height, width = shown
    cells = {
        cell for cell in grid.cells() if y <= cell[0] < y + height and x <= cell[1] < x + width
    }
    window = cut(grid, y, x, height, width)
    assert set(window.cells()) == cells
    assert (window.top, window.left, window.height, window.width) == (y, x, height, width)
    assert list(far_rows(grid, y, x, *shown)) == list(window_rows(grid, y, x, *shown))


def test_a_window_on_all_is_the_grid_itself() -> None:
    grid = Grid(2, 3, 0b101, top=4, left=5)
    assert cut(grid, 4, 5, 2, 3) is grid


def test_a_huge_grid_is_not_laid_out() -> None:
    class Far:
        def box(self) -> tuple[int, int, int, int]:
            return 0, 0, 10**12, 10**12

        def population(self) -> int:
            return 2

        def bits(self) -> int:
            raise AssertionError("laid out")

        def cells(self) -> object:
            return iter([(0, 0), (10**12 - 1, 10**12 - 1)])

    grid = Grid.from_source(Far())  # type: ignore[arg-type]
    assert cut(grid, 10**12 - 2, 10**12 - 3, 4, 3).bits == 0b100_000
