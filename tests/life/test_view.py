from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aconcur.life import Grid, View, draw
from tests.support.patterns import UNHURRIED

GLIDER = Grid.from_text(".O.\n..O\nOOO")


def dots_of(character: str) -> set[tuple[int, int]]:
    """Return the dots of a character as (row, column), by the Unicode standard's numbering."""
    places = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0), (3, 1)]
    return {place for bit, place in enumerate(places) if ord(character) - 0x2800 >> bit & 1}


def test_near_a_cell_is_two_characters() -> None:
    assert draw(GLIDER, View(0, 0, 3, 7, 1)) == ["  ██   ", "    ██ ", "██████ "]


def test_at_zero_a_cell_is_half_a_character() -> None:
    assert draw(GLIDER, View(0, 0, 2, 4)) == [" ▀▄ ", "▀▀▀ "]
    assert draw(GLIDER, View(-1, 1, 2, 2)) == ["▄ ", "▄█"]


@UNHURRIED
@given(st.integers(-3, -1), st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 99))
def test_further_off_a_dot_lives_if_one_of_its_cells_does(
    zoom: int, y: int, x: int, seed: int
) -> None:
    grid = Grid.random(20, 18, density=0.1, seed=seed)
    view = View(0, 0, 5, 6, zoom).centred(y, x)
    assert view.y % view.dot == view.x % view.dot == 0
    dots = {
        (4 * row + down, 2 * column + right)
        for row, line in enumerate(draw(grid, view))
        for column, character in enumerate(line)
        for down, right in dots_of(character)
    }
    assert dots == {
        ((cell_y - view.y) // view.dot, (cell_x - view.x) // view.dot)
        for cell_y, cell_x in grid.cells()
        if 0 <= cell_y - view.y < view.height and 0 <= cell_x - view.x < view.width
    }


@UNHURRIED
@given(st.integers(-12, 1), st.integers(1, 9), st.integers(2, 9))
def test_fills_its_rows_and_columns_wherever_it_looks(zoom: int, rows: int, columns: int) -> None:
    for y in (-10_000, -1, 0, 2, 10_000):
        lines = draw(GLIDER, View(y, y, rows, columns, zoom))
        assert [len(line) for line in lines] == [columns] * rows


@pytest.mark.parametrize(
    ("size", "zoom"),
    [((9, 9), 1), ((10, 10), 1), ((11, 9), 0), ((20, 20), 0), ((40, 40), -1), ((41, 5), -2)],
)
def test_fits_all_as_near_as_it_can(size: tuple[int, int], zoom: int) -> None:
    grid = Grid(*size, (1 << size[0] * size[1]) - 1, top=100, left=-70)
    view = View.fit(grid, 10, 20)
    assert view.zoom == zoom
    assert view.y <= 100
    assert view.x <= -70
    assert view.y + view.height >= 100 + size[0]
    assert view.x + view.width >= -70 + size[1]


def test_moves_zooms_and_resizes_about_its_middle() -> None:
    view = View(0, 0, 8, 16)
    assert view.middle == (8, 8)
    assert view.moved(1, -2) == replace(view, y=2, x=-4)
    assert view.zoomed(-1).middle == (8, 8)
    far = view.zoomed(-5)
    assert all(0 <= 8 - middle < far.dot for middle in far.middle)
    assert view.zoomed(-1).zoomed(1) == view
    assert view.resized(20, 30).middle == (8, 8)
    assert view.zoomed(99).zoom == 1
    assert view.zoomed(-99).zoom == -40
    assert draw(GLIDER, view.zoomed(-99))[4] != draw(Grid(1, 1), view.zoomed(-99))[4]
