"""Counters that tasks share, and when they need a lock.

Rule: another task runs only where this one awaits.
Rule: an update that awaits between its read and its write
needs a lock; an update that does not needs none.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from itertools import repeat
from time import perf_counter
from typing import TypeAlias

from aconcur.lessons.alone import alone
from aconcur.lessons.item38_lock.work import (
    WORKERS,
    at_least_one,
    line,
)

Sensor: TypeAlias = Callable[[], Awaitable[int]]


class Counter:
    """A tally that loses updates."""

    def __init__(self) -> None:
        self.count = 0

    async def increment(
        self,
        sensor: Sensor,
    ) -> None:
        """Add to a stale count.

        Cancelled: nothing was added.
        """
        self.count += await sensor()


class LockingCounter:
    """A tally that loses nothing."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.count = 0

    async def increment(
        self,
        sensor: Sensor,
    ) -> None:
        """Add a sample, alone.

        Cancelled: nothing was added,
        and the lock is free.
        """
        async with self.lock:
            self.count += await sensor()


class PlainCounter:
    """A tally that needs no lock.

    Where a task does not await, no other
    task of its loop runs. A thread may.
    """

    def __init__(self) -> None:
        self.count = 0

    async def increment(
        self,
        sensor: Sensor,
    ) -> None:
        """Await a sample, then add it.

        Cancelled: nothing was added.
        """
        offset = await sensor()
        # An await in the next statement
        # would bring the hole back.
        self.count += offset


AnyCounter: TypeAlias = (
    Counter | LockingCounter | PlainCounter
)


async def read_sensor() -> int:
    """Take a sample while every other task has its turn.

    A loop runs ready tasks first in, first out: all tasks
    come to this await before one gets past it.
    """
    await asyncio.sleep(0)
    return 1


def ready_sensor() -> Sensor:
    """Make a sensor whose sample is there already."""
    sample = asyncio.get_running_loop().create_future()
    sample.set_result(1)
    return lambda: sample


async def worker(
    counter: AnyCounter,
    sensors: Iterable[Sensor],
) -> None:
    """Count the sensors' samples."""
    for sensor in sensors:
        await counter.increment(sensor)


async def race(
    counter: AnyCounter,
    samples: Sequence[Iterable[Sensor]],
) -> int:
    """Give each worker a task; count all.

    Raises the workers' errors as a group.
    Cancelled: all workers have ended.
    """
    async with asyncio.TaskGroup() as group:
        for sensors in samples:
            group.create_task(worker(counter, sensors))
    return counter.count


async def attack(counter: AnyCounter, workers: int) -> int:
    """Count one sample each; all read before one writes."""
    samples = [[read_sensor]] * at_least_one(workers)
    return await race(counter, samples)


async def without_lock(workers: int) -> int:
    """Return what an unlocked counter shows: always 1."""
    return await attack(Counter(), workers)


async def with_lock(workers: int) -> int:
    """Return what a locked counter shows: ``workers``."""
    return await attack(LockingCounter(), workers)


async def no_lock_needed(workers: int) -> int:
    """Return what a plain counter shows: ``workers``."""
    return await attack(PlainCounter(), workers)


async def hammer(
    counter: AnyCounter, workers: int, times: int
) -> int:
    """Count ``times`` samples by each worker."""
    samples = [
        repeat(read_sensor, times)
        for _ in range(at_least_one(workers))
    ]
    return await race(counter, samples)


async def count_many(workers: int, times: int) -> int:
    """Count ``times`` samples each; wait in the lock."""
    return await hammer(LockingCounter(), workers, times)


async def count_many_read_first(
    workers: int, times: int
) -> int:
    """Count ``times`` samples each; wait, then add."""
    return await hammer(PlainCounter(), workers, times)


async def count_many_locked_first(
    workers: int, times: int
) -> int:
    """Count ``times`` samples each; wait, then lock."""

    async def run() -> None:
        for _ in range(times):
            offset = await read_sensor()
            async with counter.lock:
                counter.count += offset

    counter = LockingCounter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_least_one(workers)):
            group.create_task(run())
    return counter.count


async def count_alone(times: int) -> int:
    """Count ``times`` samples; the lock is always free.

    Cancelled: not before the end. A free lock and a sample
    that is there let no other task run.
    """
    counter = LockingCounter()
    await worker(counter, repeat(ready_sensor(), times))
    return counter.count


async def count_alone_unlocked(times: int) -> int:
    """Count ``times`` samples without a lock.

    Cancelled: not before the end, as in `count_alone`.
    """
    counter = PlainCounter()
    await worker(counter, repeat(ready_sensor(), times))
    return counter.count


async def main(size: int) -> None:
    """Show the loss, and the two ways to prevent it."""
    kinds: dict[str, type[AnyCounter]] = {
        "await inside +=": Counter,
        "asyncio.Lock": LockingCounter,
        "await before +=": PlainCounter,
    }
    print(
        f"{WORKERS} tasks add 1 each,"
        " and all read before anyone writes:"
    )
    for what, kind in kinds.items():
        count = await attack(kind(), WORKERS)
        print(line(what, count, WORKERS))
    print(f"{WORKERS} tasks add 1 {size} times each:")
    for what, kind in kinds.items():
        start = perf_counter()
        count = await hammer(kind(), WORKERS, size)
        seconds = perf_counter() - start
        said = line(what, count, WORKERS * size)
        print(f"{said}, {seconds:.2f} s")


if __name__ == "__main__":
    with alone(
        __file__,
        __doc__,
        size=10_000,
        unit="updates a task",
    ) as size:
        asyncio.run(main(size))
