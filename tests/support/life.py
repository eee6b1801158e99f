"""Life by the book: what every engine must agree with."""

from __future__ import annotations

__all__ = ("by_the_book",)

from functools import cache
from itertools import product

from aconcur.life import Grid, Rule


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
