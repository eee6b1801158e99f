"""Life as Python 2 has to write it: no `yield from`.

Law: Python 2.7 and Python 3 run this file alike. So it
imports nothing of the lesson and has the rule and the grid
a second time; one specification holds them to the rest.

A generator cannot return a value here: it raises MyReturn.
Nor can it hand over to another: each level relays the
questions up and the answers down by hand, and closes the
next level itself.
"""

from __future__ import print_function

import sys
from collections import namedtuple
from contextlib import closing

ALIVE = "*"
EMPTY = "_"

GLIDER = [
    "___*____",
    "_*_*____",
    "__**____",
    "________",
    "________",
    "________",
]

Query = namedtuple("Query", ("y", "x"))
Transition = namedtuple("Transition", ("y", "x", "state"))
TICK = object()


class MyReturn(Exception):
    """Carries the value with which a generator ends."""

    def __init__(self, value):
        super(MyReturn, self).__init__(value)
        self.value = value


def my_coroutine():
    """Print whatever is sent."""
    while True:
        received = yield
        print("Received:", received)


def send_all(words):
    """Send words to a coroutine."""
    with closing(my_coroutine()) as it:
        # Run to the first yield.
        next(it)
        for word in words:
            it.send(word)


def delegated():
    """Yield twice."""
    yield 1
    yield 2


def composed():
    """Yield what another generator yields, in between."""
    yield "A"
    for value in delegated():
        yield value
    yield "B"


def delegated_with_value():
    """Yield once and end with a value.

    Raises:
        MyReturn: always, with the value.
    """
    yield 1
    raise MyReturn(2)


def composed_with_value():
    """Yield what another generator yields; use its end."""
    try:
        for value in delegated_with_value():
            yield value
    except MyReturn as end:
        output = end.value
    yield output * 4


def count_neighbors(y, x):
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


def step_cell(y, x):
    """Ask, decide, tell."""
    state = yield Query(y, x)
    with closing(count_neighbors(y, x)) as it:
        try:
            item = next(it)
            while True:
                item = it.send((yield item))
        except MyReturn as end:
            n = end.value
    yield Transition(y, x, game_logic(state, n))


def game_logic(state, neighbors):
    """Return a cell's next state: Conway's rule, B3/S23."""
    if state == ALIVE:
        return ALIVE if neighbors in (2, 3) else EMPTY
    return ALIVE if neighbors == 3 else EMPTY


def simulate(height, width):
    """Step every cell, tick, for ever."""
    while True:
        for y in range(height):
            for x in range(width):
                with closing(step_cell(y, x)) as it:
                    try:
                        item = next(it)
                        while True:
                            item = it.send((yield item))
                    except StopIteration:
                        pass
        yield TICK


class Grid(object):
    """Rows of cells, whose edges meet: a torus.

    Raises:
        ValueError: there would be no cell.
    """

    def __init__(self, height, width):
        if height < 1 or width < 1:
            raise ValueError(
                "a grid needs a row and a column at least,"
                " not %d rows of %d" % (height, width)
            )
        self.height, self.width = height, width
        self.rows = [[EMPTY] * width for _ in range(height)]

    @classmethod
    def from_rows(cls, rows):
        """Read a grid from one text a row.

        Raises:
            ValueError: no cell, a row of another length, or
                a character that is no state.
        """
        grid = cls(len(rows), len(rows[0]) if rows else 0)
        for y, row in enumerate(rows):
            if len(row) != grid.width:
                raise ValueError(
                    "row %d has %d cells, row 0 has %d"
                    % (y, len(row), grid.width)
                )
            strange = set(row) - set([ALIVE, EMPTY])
            if strange:
                raise ValueError(
                    "a cell is %r or %r, not %r: row %d"
                    % (ALIVE, EMPTY, min(strange), y)
                )
            grid.rows[y] = list(row)
        return grid

    def to_rows(self):
        """Return one text a row, as `from_rows` reads."""
        return ["".join(row) for row in self.rows]

    def query(self, y, x):
        """Return the state at (y, x), past any edge."""
        return self.rows[y % self.height][x % self.width]

    def assign(self, y, x, state):
        """Set the state at (y, x), past any edge."""
        self.rows[y % self.height][x % self.width] = state


def live_a_generation(grid, sim):
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


def run(rows, generations):
    """Return the rows that stand so many generations later.

    Raises:
        ValueError: the rows are no grid.
    """
    grid = Grid.from_rows(rows)
    with closing(simulate(grid.height, grid.width)) as sim:
        for _ in range(generations):
            grid = live_a_generation(grid, sim)
    return grid.to_rows()


def show(strip, first):
    """Print grids side by side, numbered from first."""
    numbers = range(first, first + len(strip))
    heads = [
        str(number).center(grid.width)
        for number, grid in zip(numbers, strip)
    ]
    print(" | ".join(heads))
    for line in zip(*[grid.to_rows() for grid in strip]):
        print(" | ".join(line))


def main(size):
    """Show the idioms, then film a glider for a while."""
    send_all(["First", "Second"])
    print("Composed:", list(composed()))
    print("With a value:", list(composed_with_value()))
    grid = Grid.from_rows(GLIDER)
    film = [grid]
    with closing(simulate(grid.height, grid.width)) as sim:
        for _ in range(size):
            grid = live_a_generation(grid, sim)
            film.append(grid)
    for first in range(0, len(film), 6):
        show(film[first : first + 6], first)


if __name__ == "__main__":
    if sys.version_info[0] == 2:
        main(5)  # the lessons' command line is Python 3
    else:
        from aconcur.lessons.alone import alone

        with alone(
            __file__, __doc__, size=5, unit="generations"
        ) as size:
            main(size)
