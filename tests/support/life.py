"""A slow reference for all engines, cell by cell, from the definitions."""

from __future__ import annotations

__all__ = ("by_the_book", "on_surface")

from functools import cache
from itertools import product

from aconcur.life import Bounds, Grid, Rule


@cache
def by_the_book(grid: Grid, rule: Rule, generations: int = 1, *, torus: bool = True) -> Grid:
    """Return the grid so many generations later, cell by cell; once for all engines."""
    h, w, live = grid.height, grid.width, set(grid.cells())
    around = [step for step in product((-1, 0, 1), repeat=2) if any(step)]
    for _ in range(generations):
        before, live = live, set()
        for y, x in product(range(h), range(w)):
            near = [(y + dy, x + dx) for dy, dx in around]
            if torus:
                near = [(ny % h, nx % w) for ny, nx in near]
            if rule.lives((y, x) in before, sum(cell in before for cell in near)):
                live.add((y, x))
    return Grid.from_cells(live, h, w)


def on_surface(grid: Grid, rule: Rule, bounds: Bounds, generations: int = 1) -> Grid:
    """Return the grid so many generations later, on a field whose edges are joined in any way."""
    h, w, live = grid.height, grid.width, set(grid.cells())
    around = [step for step in product((-1, 0, 1), repeat=2) if any(step)]
    for _ in range(generations):
        before, live = live, set()
        for y, x in product(range(h), range(w)):
            near = [_crossed(bounds, y + dy, x + dx) for dy, dx in around]
            if rule.lives((y, x) in before, sum(cell in before for cell in near)):
                live.add((y, x))
    return Grid.from_cells(live, h, w)


def _crossed(bounds: Bounds, y: int, x: int) -> tuple[int, int]:
    """Return the cell of the field that lies at (y, x), at most one cell beyond its edges."""
    h, w = bounds.height, bounds.width
    over, beside = not 0 <= y < h, not 0 <= x < w
    if bounds.topology in ("cross", "sphere") and over and beside:
        # The corners are poles: the cell at one of them is its own neighbour.
        return min(max(y, 0), h - 1), min(max(x, 0), w - 1)
    if bounds.topology == "sphere":
        # Each edge is folded onto the next one.
        return (
            (x, 0 if y < 0 else w - 1) if over else (0 if x < 0 else h - 1, y) if beside else (y, x)
        )
    flip_x = bounds.topology == "cross" or bounds.twist == "x"
    flip_y = bounds.topology == "cross" or (bounds.topology == "klein" and not flip_x)
    at_y, at_x = y % h, x % w
    if over:
        way = 1 if bounds.topology == "klein" or y >= h else -1
        at_x = (w - 1 - at_x if flip_x else at_x) + (-1 if flip_x else way) * bounds.shift_x
    if beside:
        way = 1 if bounds.topology == "klein" or x >= w else -1
        at_y = (h - 1 - at_y if flip_y else at_y) + (-1 if flip_y else way) * bounds.shift_y
    return at_y % h, at_x % w
