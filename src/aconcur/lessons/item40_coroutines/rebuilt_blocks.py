"""Life by bigger questions: a cell asks for its block.

Law 1: the protocol stays: ask, tell, tick. Nine questions a
cell become one, and the count is a count again.
Law 2: what costs is what is made for a cell. So a cell is
one generator, which speaks for itself; its question is made
once and asked again; and a row's answers are cut together.
"""

from __future__ import annotations

__all__ = (
    "live_a_generation",
    "main",
    "run",
    "simulate_blocks",
    "step_cell",
)

import asyncio
import types
from collections.abc import Coroutine, Generator, Iterator
from contextlib import closing
from itertools import product
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
Cell: TypeAlias = Generator[Said, str, None]
Cells: TypeAlias = Coroutine[Said, str | None, None]


@types.coroutine
def step_cell(block: Block) -> Cell:
    """Ask, decide, tell."""
    cells = yield block
    state = cells[4]
    n = cells.count(ALIVE) - (state == ALIVE)
    y, x = block
    yield Transition(y, x, game_logic(state, n))


async def simulate_blocks(height: int, width: int) -> None:
    """Step every cell, tick, for ever."""
    every = product(range(height), range(width))
    blocks = [Block(y, x) for y, x in every]
    while True:
        for block in blocks:
            await step_cell(block)
        await tell(TICK)


def framed(grid: Grid) -> list[str]:
    """Return the rows with those around: edges meet."""
    rows = grid.to_rows()
    rows = [rows[-1], *rows, rows[0]]
    return [row[-1] + row + row[0] for row in rows]


def answers(*rows: str) -> Iterator[str]:
    """Yield the nine cells around each of a row.

    Of three framed rows, the row in the middle; a column
    is joined once and serves three blocks.
    """
    columns = map("".join, zip(*rows, strict=True))
    west, here = next(columns), next(columns)
    for east in columns:
        yield west + here + east
        west, here = here, east


async def live_a_generation(
    grid: Grid, sim: Cells, pace: Pace
) -> Grid:
    """Answer the cells until they tick."""
    rows = framed(grid)
    threes = zip(rows, rows[1:], rows[2:], strict=False)
    around = [list(answers(*three)) for three in threes]
    progeny = Grid(grid.height, grid.width)
    item = sim.send(None)
    while item is not TICK:
        if isinstance(item, Block):
            y, x = item
            item = sim.send(around[y][x])
        else:
            y, x, progeny.rows[y][x] = item
            if pace.due():
                await pace.rest()
            item = sim.send(None)
    return progeny


async def run(
    rows: list[str], generations: int
) -> list[str]:
    """Return the rows that stand so many generations later.

    **Cancelled**: stops within about a millisecond.

    Raises:
        ValueError: the rows do not make a grid.
    """
    grid, pace = Grid.from_rows(rows), Pace()
    cells = simulate_blocks(grid.height, grid.width)
    with closing(cells) as sim:
        for _ in range(generations):
            grid = await live_a_generation(grid, sim, pace)
    return grid.to_rows()


async def main(size: int) -> None:
    """Film a glider for a while."""
    grid, film = Grid.from_rows(GLIDER), Film()
    pace = Pace()
    film.show(grid)
    cells = simulate_blocks(grid.height, grid.width)
    with closing(cells) as sim:
        for _ in range(size):
            grid = await live_a_generation(grid, sim, pace)
            film.show(grid)
    film.flush()


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=5, unit="generations"
    ) as size:
        asyncio.run(main(size))
