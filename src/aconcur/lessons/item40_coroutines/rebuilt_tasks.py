"""Life with a task for every cell: what not to do.

Law: a task is for work that waits. A cell never waits,
so its task costs a place in the loop's queue, a wake-up and
half a kilobyte, and buys nothing; all the tasks of one
generation stand in front of everybody else's.
"""

from __future__ import annotations

__all__ = ("count_neighbors", "main", "run", "step_cell")

import asyncio

from aconcur.lessons.alone import alone
from aconcur.lessons.item40_coroutines.work import (
    ALIVE,
    GLIDER,
    Film,
    Grid,
    game_logic,
)


async def count_neighbors(
    grid: Grid, y: int, x: int
) -> int:
    """Count the live cells around."""
    cells = (
        grid.query(y - 1, x + 0),
        grid.query(y - 1, x + 1),
        grid.query(y + 0, x + 1),
        grid.query(y + 1, x + 1),
        grid.query(y + 1, x + 0),
        grid.query(y + 1, x - 1),
        grid.query(y + 0, x - 1),
        grid.query(y - 1, x - 1),
    )
    return cells.count(ALIVE)


async def step_cell(
    grid: Grid, progeny: Grid, y: int, x: int
) -> None:
    """Look, decide, write: the cell sees the grid."""
    n = await count_neighbors(grid, y, x)
    next_state = game_logic(grid.query(y, x), n)
    progeny.assign(y, x, next_state)


async def live_a_generation(grid: Grid) -> Grid:
    """Start a task for every cell; wait for all.

    **Cancelled**: the tasks have ended, nothing
    has changed.
    """
    progeny = Grid(grid.height, grid.width)
    async with asyncio.TaskGroup() as group:
        for y in range(grid.height):
            for x in range(grid.width):
                step = step_cell(grid, progeny, y, x)
                group.create_task(step)
    return progeny


async def run(
    rows: list[str], generations: int
) -> list[str]:
    """Return the rows that stand so many generations later.

    **Cancelled**: ends with the generation's tasks.

    Raises:
        ValueError: the rows do not make a grid.
    """
    grid = Grid.from_rows(rows)
    for _ in range(generations):
        grid = await live_a_generation(grid)
    return grid.to_rows()


async def main(size: int) -> None:
    """Film a glider for a while."""
    grid, film = Grid.from_rows(GLIDER), Film()
    film.show(grid)
    for _ in range(size):
        grid = await live_a_generation(grid)
        film.show(grid)
    film.flush()


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=5, unit="generations"
    ) as size:
        asyncio.run(main(size))
