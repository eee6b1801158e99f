"""Life as `aconcur.life` has it: an `async for`.

All cells are in one integer, and every operation on it is
for all of them. The loop has its turn once a millisecond;
on asyncio and on trio.
"""

from __future__ import annotations

__all__ = ("main", "run")

import anyio

from aconcur.lessons.alone import alone
from aconcur.lessons.item40_coroutines import work
from aconcur.lessons.item40_coroutines.work import (
    ALIVE,
    EMPTY,
    GLIDER,
    Film,
)
from aconcur.life import Grid, simulate


def to_rows(grid: Grid) -> list[str]:
    """Return one text a row, in the lesson's letters."""
    text = grid.to_text(alive=ALIVE, dead=EMPTY)
    return text.splitlines()


async def run(
    rows: list[str], generations: int
) -> list[str]:
    """Return the rows that stand so many generations later.

    **Cancelled**: stops within about a millisecond.

    Raises:
        ValueError: the rows do not make a grid.
    """
    grid = Grid.from_text(
        work.Grid.from_rows(rows).to_rows()
    )
    async for generation in simulate(
        grid,
        every=max(generations, 1),
        stop=generations,
        engine="bigint",
    ):
        grid = generation.grid
    return to_rows(grid)


async def main(size: int) -> None:
    """Film a glider for a while."""
    film = Film()
    grid = Grid.from_text(GLIDER)
    async for generation in simulate(grid, stop=size):
        rows = to_rows(generation.grid)
        film.show(work.Grid.from_rows(rows))
    film.flush()


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=5, unit="generations"
    ) as size:
        anyio.run(main, size)
