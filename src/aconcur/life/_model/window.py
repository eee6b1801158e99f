"""Read a rectangle of the plane from a grid. Cells outside of the grid are dead."""

from __future__ import annotations

__all__ = ("cut", "far_rows", "is_huge", "window_rows")

from collections.abc import Iterator
from itertools import islice
from typing import Final

from aconcur.life._model.grid import Grid

# A guess: laying out more cells than this takes longer than visiting the live ones.
_MOST_LAID_OUT: Final = 1 << 26


def cut(grid: Grid, y: int, x: int, height: int, width: int) -> Grid:
    """Return a window of a grid as a grid of its own.

    Args:
        grid: the cells.
        y: the topmost row of the window.
        x: the leftmost column of the window.
        height: rows of the window.
        width: columns of the window.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is below 1.
    """
    if (grid.top, grid.left, grid.height, grid.width) == (y, x, height, width):
        return grid
    rows = window_rows(grid, y, x, height, width)
    digits = "".join(f"{row:0{width}b}" for row in reversed(list(rows)))
    return Grid(height, width, int(digits, 2), top=y, left=x)


def is_huge(grid: Grid) -> bool:
    """Return whether laying out the whole grid would cost more than visiting its live cells."""
    return grid.height * grid.width > _MOST_LAID_OUT


def window_rows(grid: Grid, y: int, x: int, height: int, width: int) -> Iterator[int]:
    """Yield each row of a window as an integer: bit 0 is the leftmost cell."""
    if is_huge(grid):
        yield from far_rows(grid, y, x, height, width)
        return
    down, right = y - grid.top, x - grid.left
    above = min(max(-down, 0), height)
    first = max(down, 0)
    mask = (1 << width) - 1
    yield from [0] * above
    left = height - above
    for row in islice(grid.rows(), first, first + left):
        yield (row >> right if right >= 0 else row << -right) & mask
        left -= 1
    yield from [0] * left


def far_rows(grid: Grid, y: int, x: int, height: int, width: int, *, dot: int = 1) -> Iterator[int]:
    """Yield the rows of a window in which a bit stands for ``dot * dot`` cells."""
    rows: dict[int, int] = {}
    for row, column in grid.dots(y, x, height, width, dot):
        rows[row] = rows.get(row, 0) | 1 << column
    for row in range(height // dot):
        yield rows.get(row, 0)
