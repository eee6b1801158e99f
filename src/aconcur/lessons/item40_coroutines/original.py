"""Life as coroutines that are generators.

Law: a cell yields what it asks, and is sent the answer.
`yield from` carries both through every level between.
"""

from __future__ import annotations

__all__ = (
    "count_neighbors",
    "live_a_generation",
    "main",
    "my_coroutine",
    "run",
    "send_all",
    "simulate",
    "step_cell",
)

from collections.abc import Generator
from contextlib import closing
from typing import TypeAlias, TypeVar

from aconcur.lessons.alone import alone
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

T = TypeVar("T")

# Yields items, is sent states, returns a T in the end.
Asking: TypeAlias = Generator[Item, str, T]
# Yields nothing, is sent words.
Listener: TypeAlias = Generator[None, str]


def my_coroutine() -> Listener:
    """Print whatever is sent."""
    while True:
        received = yield
        print("Received:", received)


def send_all(words: list[str]) -> None:
    """Send words to a coroutine."""
    with closing(my_coroutine()) as it:
        # Run to the first yield.
        next(it)
        for word in words:
            it.send(word)


def count_neighbors(
    y: int,
    x: int,
) -> Asking[int]:
    """Count the live cells around."""
    n_ = yield Query(y - 1, x + 0)
    ne = yield Query(y - 1, x + 1)
    e_ = yield Query(y + 0, x + 1)
    se = yield Query(y + 1, x + 1)
    s_ = yield Query(y + 1, x + 0)
    sw = yield Query(y + 1, x - 1)
    w_ = yield Query(y + 0, x - 1)
    nw = yield Query(y - 1, x - 1)
    cells = n_, ne, e_, se, s_, sw, w_, nw
    return cells.count(ALIVE)


def step_cell(
    y: int,
    x: int,
) -> Asking[None]:
    """Ask, decide, tell."""
    state = yield Query(y, x)
    n = yield from count_neighbors(y, x)
    next_state = game_logic(state, n)
    yield Transition(y, x, next_state)


def simulate(height: int, width: int) -> Asking[None]:
    """Step every cell, tick, for ever."""
    while True:
        for y in range(height):
            for x in range(width):
                yield from step_cell(y, x)
        yield TICK


def live_a_generation(
    grid: Grid,
    sim: Asking[None],
) -> Grid:
    """Answer the cells until they tick."""
    progeny = Grid(grid.height, grid.width)
    item = next(sim)
    while item is not TICK:
        if isinstance(item, Query):
            state = grid.query(*item)
            item = sim.send(state)
        else:
            progeny.assign(*item)
            item = next(sim)
    return progeny


def run(rows: list[str], generations: int) -> list[str]:
    """Return the rows that stand so many generations later.

    Raises:
        ValueError: the rows do not make a grid.
    """
    grid = Grid.from_rows(rows)
    with closing(simulate(grid.height, grid.width)) as sim:
        for _ in range(generations):
            grid = live_a_generation(grid, sim)
    return grid.to_rows()


def main(size: int) -> None:
    """Send two words, then film a glider for a while."""
    send_all(["First", "Second"])
    grid, film = Grid.from_rows(GLIDER), Film()
    film.show(grid)
    with closing(simulate(grid.height, grid.width)) as sim:
        for _ in range(size):
            grid = live_a_generation(grid, sim)
            film.show(grid)
    film.flush()


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=5, unit="generations"
    ) as size:
        main(size)
