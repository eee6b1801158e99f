"""The same with async generators, line by line.

An async generator has no `yield from` and no return value:
both of Python 2's workarounds come back.
"""

from contextlib import aclosing

from aconcur.lessons.item40_coroutines.notes_original import (
    ALIVE,
    AROUND,
    TICK,
    Grid,
    MyReturn,
    Query,
    Transition,
    game_logic,
)


async def my_coroutine():
    while True:
        received = yield
        print("Received:", received)


async def count_neighbors(y, x):
    count = 0
    for dy, dx in AROUND:
        state = yield Query(
            y + dy, x + dx)
        if state == ALIVE:
            count += 1
    raise MyReturn(count)


async def step_cell(y, x):
    state = yield Query(y, x)
    it = count_neighbors(y, x)
    item = await anext(it)
    try:
        while True:
            answer = yield item
            item = await it.asend(answer)
    except MyReturn as e:
        neighbors = e.value
    next_state = game_logic(
        state, neighbors)
    yield Transition(
        y, x, next_state)


async def simulate(height, width):
    while True:
        for y in range(height):
            for x in range(width):
                cell = step_cell(y, x)
                item = await anext(cell)
                while item is not None:
                    answer = yield item
                    try:
                        item = await cell.asend(answer)
                    except StopAsyncIteration:
                        item = None
        yield TICK


async def live_a_generation(grid, sim):
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


async def delegated():
    yield 1
    yield 2


async def composed():
    yield "A"
    async for value in delegated():
        yield value
    yield "B"


async def delegated_with_value():
    yield 1
    raise MyReturn(2)
    yield "Not reached"


async def composed_with_value():
    try:
        async for value in delegated_with_value():
            yield value
    except MyReturn as e:
        output = e.value
    yield output * 4


async def send_all(words):
    async with aclosing(my_coroutine()) as it:
        await anext(it)
        for word in words:
            await it.asend(word)
