"""Life as async generators: the literal counterpart.

Law 1: an async generator has no `yield from` and returns no
value, so the idioms of Python 2 come back (compare
`original_py2.py`): each level relays by hand, the end value
travels in an exception, and each level closes the next.
Law 2: `yield` speaks with the driver, `await` with the
loop. A cell may do both; a native coroutine that is driven
by `send()` may not.
"""

from __future__ import annotations

__all__ = (
    "MyReturn",
    "count_neighbors",
    "live_a_generation",
    "main",
    "run",
    "simulate",
    "step_cell",
)

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias

from aconcur.lessons.alone import alone
from aconcur.lessons.item40_coroutines.rebuilt import Pace
from aconcur.lessons.item40_coroutines.work import (
    ALIVE,
    GLIDER,
    TICK,
    Film,
    Grid,
    Item,
    Query,
    Transition,
    game_logic,
)

Asking: TypeAlias = AsyncGenerator[Item, str]


class MyReturn(Exception):  # noqa: N818 - a value, no error
    """Carries the value with which a coroutine ends."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


async def count_neighbors(y: int, x: int) -> Asking:
    """Count the live cells around.

    Raises:
        MyReturn: always, with the count.
    """
    n_ = yield Query(y - 1, x + 0)
    ne = yield Query(y - 1, x + 1)
    e_ = yield Query(y + 0, x + 1)
    se = yield Query(y + 1, x + 1)
    s_ = yield Query(y + 1, x + 0)
    sw = yield Query(y + 1, x - 1)
    w_ = yield Query(y + 0, x - 1)
    nw = yield Query(y - 1, x - 1)
    cells = n_, ne, e_, se, s_, sw, w_, nw
    raise MyReturn(cells.count(ALIVE))


async def step_cell(y: int, x: int) -> Asking:
    """Ask, decide, tell."""
    state = yield Query(y, x)
    async with aclosing(count_neighbors(y, x)) as it:
        try:
            item = await anext(it)
            while True:
                item = await it.asend((yield item))
        except MyReturn as end:
            n = end.value
    yield Transition(y, x, game_logic(state, n))


async def simulate(height: int, width: int) -> Asking:
    """Step every cell, tick, for ever."""
    pace = Pace()
    while True:
        for y in range(height):
            for x in range(width):
                if pace.due():
                    await pace.rest()
                async with aclosing(step_cell(y, x)) as it:
                    try:
                        item = await anext(it)
                        while True:
                            item = await it.asend(
                                (yield item)
                            )
                    except StopAsyncIteration:
                        pass
        yield TICK


async def live_a_generation(
    grid: Grid, sim: Asking
) -> Grid:
    """Answer the cells until they tick.

    **Cancelled**: `sim` has ended; start another.
    """
    progeny = Grid(grid.height, grid.width)
    item = await anext(sim)
    while item is not TICK:
        if isinstance(item, Query):
            state = grid.query(*item)
            item = await sim.asend(state)
        else:
            progeny.assign(*item)
            item = await anext(sim)
    return progeny


async def run(
    rows: list[str], generations: int
) -> list[str]:
    """Return the rows that stand so many generations later.

    **Cancelled**: stops within about a millisecond.

    Raises:
        ValueError: the rows do not make a grid.
    """
    grid = Grid.from_rows(rows)
    cells = simulate(grid.height, grid.width)
    async with aclosing(cells) as sim:
        for _ in range(generations):
            grid = await live_a_generation(grid, sim)
    return grid.to_rows()


async def main(size: int) -> None:
    """Film a glider for a while."""
    grid, film = Grid.from_rows(GLIDER), Film()
    film.show(grid)
    cells = simulate(grid.height, grid.width)
    async with aclosing(cells) as sim:
        for _ in range(size):
            grid = await live_a_generation(grid, sim)
            film.show(grid)
    film.flush()


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=5, unit="generations"
    ) as size:
        asyncio.run(main(size))
