"""A grid is a value: whatever it is made from and however it is read, the cells are the same."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from aconcur.life import Grid, GridTooLargeError, Pattern, classic, make_engine

SIZES = [(1, 1), (1, 9), (9, 1), (3, 5), (8, 8), (7, 64), (17, 8), (33, 3)]
GLIDER = ".O.\n..O\nOOO"


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_form_gives_the_same_grid(height: int, width: int) -> None:
    grid = Grid.random(height, width, seed=height)
    cells = set(grid.cells())
    again = [
        Grid(height, width, grid.bits),
        Grid.from_text(str(grid)),
        Grid.from_text(str(grid).splitlines()),
        Grid.from_cells(cells, height, width),
        Grid.from_numpy(grid.to_numpy()),
        Grid.from_numpy(np.asarray(grid, dtype=float)),
        pickle.loads(pickle.dumps(grid)),
    ]
    assert {grid, *again} == {grid}
    assert len(cells) == grid.population == int(grid.to_numpy().sum())
    assert all(grid[y, x] == ((y, x) in cells) for y in range(height) for x in range(width))


def test_it_reads_and_writes_text() -> None:
    grid = Grid.from_text(GLIDER)
    assert list(grid.cells()) == [(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert str(grid) == GLIDER
    assert grid.to_text(alive="*", dead="_") == "_*_\n__*\n***"
    assert Grid.from_text("_*_\n__*\n***") == grid
    assert repr(grid) == "<Grid 3 × 3: 5 alive>"
    assert repr(Grid(1, 2, 1, top=3, left=-4)) == "<Grid 1 × 2 at (3, -4): 1 alive>"


def test_grids_at_different_places_differ() -> None:
    assert Grid(1, 1, 1) != Grid(1, 1, 1, top=1)
    assert list(Grid(2, 2, 0b1001, top=-5, left=7).cells()) == [(-5, 7), (-4, 8)]
    assert Grid(1, 1) != "."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a grid needs at least one row and one column, not 0 rows of 0 cells"),
        ("OO\nO", "row 1 has 1 cells, row 0 has 2"),
        ("OO\nO#", "a cell is one of 'O[*]._', not '#': row 1, column 1"),
    ],
)
def test_text_of_another_form_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Grid.from_text(text)


def test_cells_and_bits_beyond_the_grid_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the cell \(2, 0\) is outside of 2 × 2 at \(0, 0\)"):
        Grid.from_cells([(2, 0)], 2, 2)
    with pytest.raises(ValueError, match="at most 1 × 2 = 2 bits, not 3"):
        Grid(1, 2, 4)
    with pytest.raises(ValueError, match="not a sign"):
        Grid(1, 2, -1)
    with pytest.raises(ValueError, match="not 0 rows of 3 cells"):
        Grid(0, 3)
    with pytest.raises(TypeError, match=r"height and width must be whole numbers, not 1\.5"):
        Grid(1.5, 3)  # type: ignore[arg-type]
    with pytest.raises(GridTooLargeError, match="1048576 × 1048576 cells is too large"):
        Grid.random(1 << 20, 1 << 20)
    with pytest.raises(ValueError, match="must have 2 dimensions, not 1"):
        Grid.from_numpy([0, 1])
    with pytest.raises(IndexError, match=r"cell \(0, -1\) is outside of 1 × 2"):
        Grid(1, 2)[0, -1]


@pytest.mark.parametrize("density", [0, 0.1, 0.25, 0.5, 0.9, 1])
def test_a_random_grid_has_about_the_density_asked_for(density: float) -> None:
    grid = Grid.random(256, 256, density=density, seed=1)
    assert grid == Grid.random(256, 256, density=density, seed=1)
    assert grid.population / 65536 == pytest.approx(density, abs=0.01)


def test_a_density_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"density must be from 0 to 1, not 1\.5"):
        Grid.random(1, 1, density=1.5)


def test_a_huge_box_is_not_laid_out() -> None:
    far = [(0, 0), (0, 1), (1, 0), (1, 1)]
    far += [(y + 2**40, x + 2**40) for y, x in far]
    grid = make_engine(Pattern(far), engine="hashlife").snapshot()
    assert (grid.height, grid.width, grid.population) == (2**40 + 2, 2**40 + 2, 8)
    assert sorted(grid.cells()) == far
    with pytest.raises(GridTooLargeError, match="1099511627778 × 1099511627778 cells"):
        _ = grid.bits


def test_a_snapshot_is_a_grid_like_any_other() -> None:
    glider = classic("glider")
    grid = make_engine(glider, engine="hashlife").snapshot()
    assert sorted(grid.cells()) == sorted(glider.cells())
    assert grid == Grid.from_cells(glider.cells(), 3, 3, top=grid.top, left=grid.left)
