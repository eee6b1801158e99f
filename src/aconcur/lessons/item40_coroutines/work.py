"""The Game of Life: its rule, its grid, its protocol.

Law 1: nothing here waits, yields or awaits.
Law 2: a cell never sees the grid. It asks (Query) and it
tells (Transition); its driver has the answers.
"""

from __future__ import annotations

__all__ = (
    "ALIVE",
    "EMPTY",
    "GLIDER",
    "TICK",
    "Film",
    "Grid",
    "Item",
    "Query",
    "Tick",
    "Transition",
    "game_logic",
    "random_life",
)

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from random import Random
from typing import Final, NamedTuple, Self, TypeAlias

ALIVE: Final = "*"
EMPTY: Final = "_"

GLIDER: Final = (
    "___*____",
    "_*_*____",
    "__**____",
    "________",
    "________",
    "________",
)

# Enough to show a broken generation, few enough to repeat.
GENERATIONS: Final = 4


class Query(NamedTuple):
    """A cell asks: what is in row y, column x?"""

    y: int
    x: int


class Transition(NamedTuple):
    """A cell tells: (y, x) is in this state next."""

    y: int
    x: int
    state: str


class Tick(Enum):
    """The type of TICK, so that checkers follow `is`."""

    TICK = "every cell has told its next state"


TICK: Final = Tick.TICK

Item: TypeAlias = Query | Transition | Tick


def game_logic(state: str, neighbors: int) -> str:
    """Return a cell's next state: Conway's rule, B3/S23."""
    if state == ALIVE:
        return ALIVE if neighbors in (2, 3) else EMPTY
    return ALIVE if neighbors == 3 else EMPTY


class Grid:
    """Rows of cells, whose edges meet: a torus.

    Raises:
        ValueError: a side is less than 1.
    """

    def __init__(self, height: int, width: int) -> None:
        if height < 1 or width < 1:
            raise ValueError(
                "a grid needs a row and a column at least,"
                f" not {height} rows of {width}"
            )
        self.height, self.width = height, width
        self.rows = [[EMPTY] * width for _ in range(height)]

    @classmethod
    def from_rows(cls, rows: Sequence[str]) -> Self:
        """Read a grid from one text a row.

        Raises:
            ValueError: no cell, a row of another length, or
                a character other than * and _.
        """
        grid = cls(len(rows), len(rows[0]) if rows else 0)
        for y, row in enumerate(rows):
            if len(row) != grid.width:
                raise ValueError(
                    f"row {y} has {len(row)} cells,"
                    f" row 0 has {grid.width}"
                )
            if strange := set(row) - {ALIVE, EMPTY}:
                raise ValueError(
                    f"a cell is {ALIVE!r} or {EMPTY!r},"
                    f" not {min(strange)!r}: row {y}"
                )
            grid.rows[y] = list(row)
        return grid

    @classmethod
    def random(
        cls, height: int, width: int, chance: Random
    ) -> Self:
        """Make a grid in which half the cells are alive."""
        grid = cls(height, width)
        for row in grid.rows:
            row[:] = chance.choices((ALIVE, EMPTY), k=width)
        return grid

    def to_rows(self) -> list[str]:
        """Return one text a row, as `from_rows` reads."""
        return ["".join(row) for row in self.rows]

    def query(self, y: int, x: int) -> str:
        """Return the state at (y, x), past any edge."""
        return self.rows[y % self.height][x % self.width]

    def assign(self, y: int, x: int, state: str) -> None:
        """Set the state at (y, x), past any edge."""
        self.rows[y % self.height][x % self.width] = state

    def __str__(self) -> str:
        return "\n".join(self.to_rows())


class Film:
    """Prints grids side by side, a strip at a time."""

    def __init__(self, per_strip: int = 6) -> None:
        self.per_strip = per_strip
        self.shown = 0
        self.strip: list[Grid] = []

    def show(self, grid: Grid) -> None:
        """Add a grid; print the strip once it is full."""
        self.strip.append(grid)
        self.shown += 1
        if len(self.strip) == self.per_strip:
            self.flush()

    def flush(self) -> None:
        """Print the strip as far as it goes."""
        first = self.shown - len(self.strip)
        columns = [
            [f"{number:^{grid.width}}", *grid.to_rows()]
            for number, grid in enumerate(self.strip, first)
        ]
        for line in zip(*columns, strict=True):
            print(" | ".join(line))
        self.strip.clear()


@contextmanager
def random_life(
    size: int, seed: int
) -> Iterator[tuple[list[str], int]]:
    """Yield a random size × size grid and how long."""
    grid = Grid.random(size, size, Random(seed))
    yield grid.to_rows(), GENERATIONS
