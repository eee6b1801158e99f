"""Item 40 as the notes have it: cells are generators.

`stop_cell`, `yiled` and the six missing questions are
repaired.
"""

from collections import namedtuple

ALIVE = "*"
EMPTY = "_"
Query = namedtuple("Query", ("y", "x"))
Transition = namedtuple("Transition", ("y", "x", "state"))
TICK = object()


def my_coroutine():
    while True:
        received = yield
        print("Received:", received)


def count_neighbors(y, x):
    count = 0
    for dy, dx in AROUND:
        state = yield Query(
            y + dy, x + dx)
        if state == ALIVE:
            count += 1
    return count


def step_cell(y, x):
    state = yield Query(y, x)
    neighbors = yield from \
        count_neighbors(y, x)
    next_state = game_logic(
        state, neighbors)
    yield Transition(
        y, x, next_state)


def simulate(height, width):
    while True:
        for y in range(height):
            for x in range(width):
                yield from step_cell(y, x)
        yield TICK


def live_a_generation(grid, sim):
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


def game_logic(state, neighbors):
    if state == ALIVE:
        if neighbors < 2:
            return EMPTY
        elif neighbors > 3:
            return EMPTY
    else:
        if neighbors == 3:
            return ALIVE
    return state


AROUND = [
    (dy, dx)
    for dy in (-1, 0, 1)
    for dx in (-1, 0, 1)
    if dy or dx
]


class Grid(object):
    def __init__(self, height, width):
        self.height = height
        self.width = width
        self.rows = []
        for _ in range(self.height):
            self.rows.append([EMPTY] * self.width)

    def query(self, y, x):
        return self.rows[y % self.height][x % self.width]

    def assign(self, y, x, state):
        self.rows[y % self.height][x % self.width] = state


# Python 2 has no `yield from` and no `return value`.


def delegated():
    yield 1
    yield 2


def composed():
    yield "A"
    for value in delegated():
        yield value
    yield "B"


class MyReturn(Exception):
    def __init__(self, value):
        self.value = value
        super(MyReturn, self).__init__()


def delegated_with_value():
    yield 1
    raise MyReturn(2)
    yield "Not reached"


def composed_with_value():
    try:
        for value in delegated_with_value():
            yield value
    except MyReturn as e:
        output = e.value
    yield output * 4
