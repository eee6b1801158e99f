"""Counters that cannot be reached without their lock.

Rule: the count lives inside; there is no lock to forget.
"""

from __future__ import annotations

__all__ = (
    "count_alone",
    "count_many",
    "count_many_read_first",
    "no_lock_needed",
    "threads_and_tasks",
    "with_lock",
)

from collections.abc import Awaitable, Callable
from importlib.util import find_spec

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint

from aconcur.lessons.alone import alone
from aconcur.lessons.item38_lock.work import (
    WORKERS,
    at_least_one,
    line,
)
from aconcur.lock import Counter, ThreadGuarded


async def read_sensor() -> int:
    """Take a sample while every other task has its turn."""
    await checkpoint()
    return 1


async def count_inside(counter: Counter) -> None:
    """Add a sample, alone.

    Cancelled: nothing was added,
    and the count is free.
    """
    async with counter as cell:
        cell.value += await read_sensor()


async def count_first(counter: Counter) -> None:
    """Wait for a sample, then add it.

    Cancelled: nothing was added.
    """
    await counter.increment(await read_sensor())


Step = Callable[[Counter], Awaitable[None]]


async def race(step: Step, workers: int, times: int) -> int:
    """Give each worker a task; count all.

    Cancelled: all workers have ended.
    """
    counter = Counter()
    workers = at_least_one(workers)

    async def worker() -> None:
        for _ in range(times):
            await step(counter)

    async with anyio.create_task_group() as group:
        for _ in range(workers):
            group.start_soon(worker)
    return counter.count


async def with_lock(workers: int) -> int:
    """Return what a guarded counter shows: ``workers``."""
    return await race(count_inside, workers, 1)


async def no_lock_needed(workers: int) -> int:
    """Return the same of workers that wait first."""
    return await race(count_first, workers, 1)


async def count_many(workers: int, times: int) -> int:
    """Count ``times`` samples each; wait inside."""
    return await race(count_inside, workers, times)


async def count_many_read_first(
    workers: int, times: int
) -> int:
    """Count ``times`` samples each; wait, then add."""
    return await race(count_first, workers, times)


async def count_alone(times: int) -> int:
    """Count ``times`` samples; the count is always free.

    Cancelled: not before the end.
    """
    counter = Counter()
    for _ in range(times):
        await counter.increment()
    return counter.count


async def threads_and_tasks(workers: int) -> int:
    """Count a sample of each.

    threading.Lock would stop the loop,
    asyncio.Lock keeps no thread out.
    """
    count = ThreadGuarded(0)
    workers = at_least_one(workers)

    def in_thread() -> None:
        with count as cell:
            cell.value += 1

    async def in_task() -> None:
        async with count as cell:
            cell.value += await read_sensor()

    async with anyio.create_task_group() as group:
        for _ in range(workers):
            group.start_soon(
                anyio.to_thread.run_sync, in_thread
            )
            group.start_soon(in_task)
    return await count.update(lambda total: total)


async def show(loop: str, size: int) -> None:
    """Count in every way on one event loop."""
    print(
        f"{WORKERS} tasks add 1 {size} times each, {loop}:"
    )
    for what, counted, expected in (
        (
            "await inside the cell",
            await count_many(WORKERS, size),
            WORKERS * size,
        ),
        (
            "await, then increment",
            await count_many_read_first(WORKERS, size),
            WORKERS * size,
        ),
        (
            "threads and tasks",
            await threads_and_tasks(WORKERS),
            WORKERS * 2,
        ),
    ):
        print(line(what, counted, expected))


def main(size: int) -> None:
    """Count on each event loop there is."""
    for loop in filter(find_spec, ("asyncio", "trio")):
        anyio.run(show, loop, size, backend=loop)


if __name__ == "__main__":
    with alone(
        __file__,
        __doc__,
        size=10_000,
        unit="updates a task",
    ) as size:
        main(size)
