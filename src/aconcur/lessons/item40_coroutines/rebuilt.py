"""Life as native coroutines: a cell awaits the answer.

Law 1: `send()` drives the cells; they need no event loop.
Law 2: `async for grid in simulate(grid)` gives the loop its
turn in the middle of a generation, and a generation is
lived wholly or not at all.
"""

from __future__ import annotations

__all__ = (
    "Pace",
    "Simulation",
    "count_neighbors",
    "live_a_generation",
    "main",
    "my_coroutine",
    "query",
    "run",
    "send_all",
    "serve",
    "simulate",
    "simulate_cells",
    "step_cell",
    "tell",
)

import asyncio
import types
from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Generator,
)
from contextlib import aclosing, closing
from time import perf_counter
from typing import Final, Self, TypeAlias, TypeVar

from aconcur.lessons.alone import alone
from aconcur.lessons.item40_coroutines.work import (
    ALIVE,
    GLIDER,
    TICK,
    Film,
    Grid,
    Item,
    Query,
    Tick,
    Transition,
    game_logic,
)

T = TypeVar("T")

# Yields items, is sent states, returns a T in the end.
Asking: TypeAlias = Generator[Item, str, T]
# The same as a native coroutine.
Cells: TypeAlias = Coroutine[Item, str | None, None]
# Yields nothing, is sent words.
Listener: TypeAlias = AsyncGenerator[None, str]

# Seconds. Measured: a task that sleeps meanwhile wakes two
# to three budgets late.
BUDGET: Final = 0.001


async def my_coroutine() -> Listener:
    """Print whatever is sent."""
    while True:
        received = yield
        print("Received:", received)


async def send_all(words: list[str]) -> None:
    """Send words to a coroutine."""
    async with aclosing(my_coroutine()) as it:
        # Run to the first yield.
        await anext(it)
        for word in words:
            await it.asend(word)


# An `async def` has no bare yield: these two are the door
# from it to the driver of the cells.
@types.coroutine
def query(y: int, x: int) -> Asking[str]:
    """Ask the driver for a state."""
    state = yield Query(y, x)
    return state


@types.coroutine
def tell(item: Transition | Tick) -> Asking[None]:
    """Tell the driver; there is no answer."""
    yield item


async def count_neighbors(
    y: int,
    x: int,
) -> int:
    """Count the live cells around."""
    n_ = await query(y - 1, x + 0)
    ne = await query(y - 1, x + 1)
    e_ = await query(y + 0, x + 1)
    se = await query(y + 1, x + 1)
    s_ = await query(y + 1, x + 0)
    sw = await query(y + 1, x - 1)
    w_ = await query(y + 0, x - 1)
    nw = await query(y - 1, x - 1)
    cells = n_, ne, e_, se, s_, sw, w_, nw
    return cells.count(ALIVE)


async def step_cell(y: int, x: int) -> None:
    """Ask, decide, tell."""
    state = await query(y, x)
    n = await count_neighbors(y, x)
    next_state = game_logic(state, n)
    await tell(Transition(y, x, next_state))


async def simulate_cells(height: int, width: int) -> None:
    """Step every cell, tick, for ever."""
    while True:
        for y in range(height):
            for x in range(width):
                await step_cell(y, x)
        await tell(TICK)


def serve(
    grid: Grid,
    progeny: Grid,
    sim: Cells,
) -> bool:
    """Answer a cell; False at the tick."""
    item = sim.send(None)
    while isinstance(item, Query):
        item = sim.send(grid.query(*item))
    if item is TICK:
        return False
    progeny.assign(*item)
    return True


def live_a_generation(grid: Grid, sim: Cells) -> Grid:
    """Answer the cells until they tick: no loop needed."""
    progeny = Grid(grid.height, grid.width)
    while serve(grid, progeny, sim):
        pass
    return progeny


class Pace:
    """Knows when the event loop is due for its turn.

    Args:
        budget: how long the loop may be held, in seconds.
    """

    def __init__(self, budget: float = BUDGET) -> None:
        self.budget = budget
        self.until = perf_counter() + budget

    def due(self) -> bool:
        """Return whether the budget is spent."""
        return perf_counter() >= self.until

    async def rest(self) -> None:
        """Let the loop run whatever else is ready."""
        await asyncio.sleep(0)
        self.until = perf_counter() + self.budget


class Simulation:
    """The generations after a grid, for one consumer.

    No coroutine lives from one generation to the next: who
    breaks off has nothing to close.
    """

    def __init__(
        self,
        grid: Grid,
        cells: Callable[[int, int], Cells],
    ) -> None:
        self.grid, self.cells = grid, cells
        self.pace = Pace()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Grid:
        """Live one generation.

        **Cancelled**: nothing has changed, and
        the next call lives it from its start.
        """
        grid = self.grid
        height, width = grid.height, grid.width
        progeny = Grid(height, width)
        cells = self.cells(height, width)
        with closing(cells) as sim:
            while serve(grid, progeny, sim):
                if self.pace.due():
                    await self.pace.rest()
        self.grid = progeny
        return progeny


def simulate(
    grid: Grid,
    cells: Callable[[int, int], Cells] = simulate_cells,
) -> Simulation:
    """Return an async iterator over the grid's future.

    Holds the loop for about a millisecond at a time.
    """
    return Simulation(grid, cells)


async def run(
    rows: list[str], generations: int
) -> list[str]:
    """Return the rows that stand so many generations later.

    **Cancelled**: stops within about a millisecond.

    Raises:
        ValueError: the rows do not make a grid.
    """
    grid = Grid.from_rows(rows)
    sim = simulate(grid)
    for _ in range(generations):
        grid = await anext(sim)
    return grid.to_rows()


async def main(size: int) -> None:
    """Send two words, then film a glider for a while."""
    await send_all(["First", "Second"])
    grid, film = Grid.from_rows(GLIDER), Film()
    film.show(grid)
    async for generation in simulate(grid):
        film.show(generation)
        if film.shown > size:
            break
    film.flush()


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=5, unit="generations"
    ) as size:
        asyncio.run(main(size))
