"""Life half way: generators below, native coroutines above.

Law: `@types.coroutine` lets a generator be awaited and does
nothing else. Below it stands the original's own text, so
that the cost of `await` by itself can be measured.
"""

from __future__ import annotations

__all__ = ("main", "run", "simulate_cells", "step_cell")

import asyncio
import types

from aconcur.lessons.alone import alone
from aconcur.lessons.item40_coroutines.original import (
    Asking,
    count_neighbors,
)
from aconcur.lessons.item40_coroutines.rebuilt import (
    simulate,
    tell,
)
from aconcur.lessons.item40_coroutines.work import (
    GLIDER,
    TICK,
    Film,
    Grid,
    Query,
    Transition,
    game_logic,
)


@types.coroutine
def step_cell(y: int, x: int) -> Asking[None]:
    """Ask, decide, tell."""
    state = yield Query(y, x)
    n = yield from count_neighbors(y, x)
    next_state = game_logic(state, n)
    yield Transition(y, x, next_state)


async def simulate_cells(height: int, width: int) -> None:
    """Step every cell, tick, for ever."""
    while True:
        for y in range(height):
            for x in range(width):
                await step_cell(y, x)
        await tell(TICK)


async def run(
    rows: list[str], generations: int
) -> list[str]:
    """Return the rows that stand so many generations later.

    **Cancelled**: stops within about a millisecond.

    Raises:
        ValueError: the rows do not make a grid.
    """
    grid = Grid.from_rows(rows)
    sim = simulate(grid, simulate_cells)
    for _ in range(generations):
        grid = await anext(sim)
    return grid.to_rows()


async def main(size: int) -> None:
    """Film a glider for a while."""
    grid, film = Grid.from_rows(GLIDER), Film()
    film.show(grid)
    async for generation in simulate(grid, simulate_cells):
        film.show(generation)
        if film.shown > size:
            break
    film.flush()


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=5, unit="generations"
    ) as size:
        asyncio.run(main(size))
