"""Life by whole rows: the same protocol at a coarser grain.

Law: a row asks for a row and tells a row. A row is one
integer, a bit a cell, so that `&`, `|` and `^` count the
neighbors of all its cells at once. The sums of one row
serve the next two.
"""

from __future__ import annotations

__all__ = ("main", "next_row", "run", "simulate_rows")

import asyncio
import types
from collections.abc import Coroutine, Generator
from contextlib import closing
from typing import NamedTuple, TypeAlias

from aconcur.lessons.alone import alone
from aconcur.lessons.item40_coroutines.rebuilt import Pace
from aconcur.lessons.item40_coroutines.work import (
    ALIVE,
    EMPTY,
    GLIDER,
    TICK,
    Film,
    Grid,
    Tick,
)


class RowQuery(NamedTuple):
    """A row asks: what is in row y?"""

    y: int


class RowTransition(NamedTuple):
    """A row tells: y is this next."""

    y: int
    row: int


Said: TypeAlias = RowQuery | RowTransition | Tick
Rows: TypeAlias = Coroutine[Said, int | None, None]
# Of each cell and its two neighbors in the row, how many
# are alive: the ones, and the twos.
Sums: TypeAlias = tuple[int, int]


@types.coroutine
def query_row(y: int) -> Generator[RowQuery, int, int]:
    """Ask the driver for a row."""
    row = yield RowQuery(y)
    return row


@types.coroutine
def tell(
    item: RowTransition | Tick,
) -> Generator[Said, None, None]:
    """Tell the driver; there is no answer."""
    yield item


def sums(row: int, width: int) -> Sums:
    """Add each cell and its two neighbors; edges meet."""
    left = (row << 1 | row >> width - 1) & (1 << width) - 1
    right = row >> 1 | (row & 1) << width - 1
    odd = left ^ right
    return odd ^ row, left & right | odd & row


def next_row(
    north: Sums, here: Sums, south: Sums, row: int
) -> int:
    """Count three in the block, or four and the cell."""
    (n1, n2), (h1, h2), (s1, s2) = north, here, south
    half = n1 ^ h1
    ones = half ^ s1
    carry = n1 & h1 | half & s1
    some, more = n2 ^ h2, s2 ^ carry
    twos = some ^ more
    fours = n2 & h2 ^ s2 & carry ^ some & more
    alive = twos ^ fours & (twos | row)
    return (ones ^ fours) & alive


async def simulate_rows(height: int, width: int) -> None:
    """Step every row, tick, for ever."""
    while True:
        north = sums(await query_row(-1), width)
        row = await query_row(0)
        here = sums(row, width)
        for y in range(height):
            below = await query_row(y + 1)
            south = sums(below, width)
            after = next_row(north, here, south, row)
            await tell(RowTransition(y, after))
            north, here, row = here, south, below
        await tell(TICK)


def serve(
    rows: list[int],
    progeny: list[int],
    sim: Rows,
) -> bool:
    """Answer a row; False at the tick."""
    item = sim.send(None)
    while isinstance(item, RowQuery):
        item = sim.send(rows[item.y % len(rows)])
    if isinstance(item, Tick):
        return False
    progeny[item.y] = item.row
    return True


async def live(
    rows: list[int], width: int, pace: Pace
) -> list[int]:
    """Live one generation; the loop has its turns.

    **Cancelled**: nothing has changed.
    """
    progeny = [0] * len(rows)
    cells = simulate_rows(len(rows), width)
    with closing(cells) as sim:
        while serve(rows, progeny, sim):
            if pace.due():
                await pace.rest()
    return progeny


TO_BITS = str.maketrans(ALIVE + EMPTY, "10")
TO_CELLS = str.maketrans("10", ALIVE + EMPTY)


def to_bits(rows: list[str]) -> list[int]:
    """Return a row's cells as one integer each."""
    return [int(row.translate(TO_BITS), 2) for row in rows]


def to_cells(rows: list[int], width: int) -> list[str]:
    """Return the rows that `to_bits` reads."""
    return [
        f"{r:0{width}b}".translate(TO_CELLS) for r in rows
    ]


async def run(
    rows: list[str], generations: int
) -> list[str]:
    """Return the rows that stand so many generations later.

    **Cancelled**: stops within about a millisecond.

    Raises:
        ValueError: the rows do not make a grid.
    """
    grid, pace = Grid.from_rows(rows), Pace()
    cells, width = to_bits(grid.to_rows()), grid.width
    for _ in range(generations):
        cells = await live(cells, width, pace)
    return to_cells(cells, width)


async def main(size: int) -> None:
    """Film a glider for a while."""
    rows, film = list(GLIDER), Film()
    film.show(Grid.from_rows(rows))
    for _ in range(size):
        rows = await run(rows, 1)
        film.show(Grid.from_rows(rows))
        # One generation is too short for a rest of its own.
        await asyncio.sleep(0)
    film.flush()


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=5, unit="generations"
    ) as size:
        asyncio.run(main(size))
