"""A rectangle of the plane, whatever grid lies on it: outside of the grid all is dead."""

from __future__ import annotations

__all__ = ("cut", "far_rows", "is_huge", "window_rows")

from collections.abc import Iterator
from itertools import islice
from typing import Final

from aconcur.life._grid import Grid

# A guess: laying out more cells than this takes longer than going through the live ones.
_MOST_LAID_OUT: Final = 1 << 26


def cut(grid: Grid, y: int, x: int, height: int, width: int) -> Grid:
    """Return what is alive in a window whose topmost row is y and whose leftmost column is x."""
    if (grid.top, grid.left, grid.height, grid.width) == (y, x, height, width):
        return grid
    rows = window_rows(grid, y, x, height, width)
    digits = "".join(f"{row:0{width}b}" for row in reversed(list(rows)))
    return Grid(height, width, int(digits, 2), top=y, left=x)


def is_huge(grid: Grid) -> bool:
    """Return whether a grid had better not be laid out for a look at a part of it."""
    return grid.height * grid.width > _MOST_LAID_OUT


def window_rows(grid: Grid, y: int, x: int, height: int, width: int) -> Iterator[int]:
    """Yield the rows of a window: bit 0 is the leftmost cell."""
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
    """Yield the rows of a window where a bit stands for ``dot * dot`` cells."""
    rows: dict[int, int] = {}
    for row, column in grid.dots(y, x, height, width, dot):
        rows[row] = rows.get(row, 0) | 1 << column
    for row in range(height // dot):
        yield rows.get(row, 0)
