from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aconcur.life import Grid, View, classic, cut, draw, make_engine
from aconcur.life._model.window import far_rows, window_rows
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


@UNHURRIED
@given(st.integers(-200, 200), st.integers(-200, 200), st.sampled_from([1, 2, 4, 32, 128]))
def test_from_afar_a_dot_is_drawn_if_a_cell_of_it_lives(y: int, x: int, dot: int) -> None:
    engine = make_engine(classic("acorn"), engine="hashlife")
    engine.step(200)
    grid = engine.snapshot()
    height, width = 5 * dot, 7 * dot
    shown = {
        ((cell_y - y) // dot, (cell_x - x) // dot)
        for cell_y, cell_x in grid.cells()
        if y <= cell_y < y + height and x <= cell_x < x + width
    }
    assert set(grid.dots(y, x, height, width, dot)) == shown


def test_from_afar_it_does_not_matter_how_many_cells_live() -> None:
    engine = make_engine(classic("gosper-glider-gun"), engine="hashlife")
    engine.step(2**40)
    grid = engine.snapshot()
    assert grid.population > 10**11
    lines = draw(grid, View.fit(grid, 8, 16))
    # One line of gliders, down to the right.
    stream = "\u2819\u28a6\u2840"
    assert [line.index(stream) for line in lines if stream in line] == [4, 6, 8, 10]
    assert sum(character != "\u2800" for line in lines for character in line) == 13
