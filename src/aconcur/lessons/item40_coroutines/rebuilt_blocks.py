"""Life by bigger questions: a cell asks for its block.

Law: the protocol stays (ask, tell, tick) and so does the
driver's part in it. Nine questions a cell become one, and
the count is a count again.
"""

from __future__ import annotations

__all__ = ("main", "run", "simulate_blocks", "step_cell")

import asyncio
import types
from collections.abc import Coroutine, Generator
from contextlib import closing
from typing import NamedTuple, TypeAlias

from aconcur.lessons.alone import alone
from aconcur.lessons.item40_coroutines.rebuilt import (
    Pace,
    tell,
)
from aconcur.lessons.item40_coroutines.work import (
    ALIVE,
    GLIDER,
    TICK,
    Film,
    Grid,
    Tick,
    Transition,
    game_logic,
)


class Block(NamedTuple):
    """A cell asks: what is in the nine cells around?"""

    y: int
    x: int


# What a cell says to its driver.
Said: TypeAlias = Block | Transition | Tick
Cells: TypeAlias = Coroutine[Said, str | None, None]


@types.coroutine
def query_block(
    y: int, x: int
) -> Generator[Block, str, str]:
    """Ask for three rows of three cells."""
    cells = yield Block(y, x)
    return cells


async def step_cell(y: int, x: int) -> None:
    """Ask, decide, tell."""
    cells = await query_block(y, x)
    state = cells[4]
    n = cells.count(ALIVE) - (state == ALIVE)
    await tell(Transition(y, x, game_logic(state, n)))


async def simulate_blocks(height: int, width: int) -> None:
    """Step every cell, tick, for ever."""
    while True:
        for y in range(height):
            for x in range(width):
                await step_cell(y, x)
        await tell(TICK)


def framed(grid: Grid) -> list[str]:
    """Return the rows with those around: edges meet."""
    rows = grid.to_rows()
    rows = [rows[-1], *rows, rows[0]]
    return [row[-1] + row + row[0] for row in rows]


def serve(
    rows: list[str],
    progeny: Grid,
    sim: Cells,
) -> bool:
    """Answer a cell; False at the tick."""
    item = sim.send(None)
    while isinstance(item, Block):
        y, x = item
        above, here, below = rows[y : y + 3]
        part = slice(x, x + 3)
        item = sim.send(
            above[part] + here[part] + below[part]
        )
    if isinstance(item, Tick):
        return False
    progeny.assign(*item)
    return True


async def live(grid: Grid, pace: Pace) -> Grid:
    """Live one generation; the loop has its turns.

    **Cancelled**: nothing has changed.
    """
    rows = framed(grid)
    progeny = Grid(grid.height, grid.width)
    cells = simulate_blocks(grid.height, grid.width)
    with closing(cells) as sim:
        while serve(rows, progeny, sim):
            if pace.due():
                await pace.rest()
    return progeny


async def run(
    rows: list[str], generations: int
) -> list[str]:
    """Return the rows that stand so many generations later.

    **Cancelled**: stops within about a millisecond.

    Raises:
        ValueError: the rows are no grid.
    """
    grid, pace = Grid.from_rows(rows), Pace()
    for _ in range(generations):
        grid = await live(grid, pace)
    return grid.to_rows()


async def main(size: int) -> None:
    """Film a glider for a while."""
    grid, film = Grid.from_rows(GLIDER), Film()
    pace = Pace()
    film.show(grid)
    for _ in range(size):
        grid = await live(grid, pace)
        film.show(grid)
    film.flush()


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=5, unit="generations"
    ) as size:
        asyncio.run(main(size))
